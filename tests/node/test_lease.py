"""The lease of the match pool: when it is ours, and whether it has been ours all the time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import pytest
import trio

from chatd.config import RedisSection
from chatd.node.lease import Lease
from chatd.store.redis import Redis, open_redis
from tests.conftest import Servers
from tests.support import eventually

NUMBERS = count()


@pytest.fixture
async def redis(servers: Servers, loop: None) -> AsyncIterator[Redis]:
    async with open_redis(RedisSection(prefix=f"lease{next(NUMBERS)}"), servers.redis) as opened:
        yield opened


@asynccontextmanager
async def held(redis: Redis, holder: str) -> AsyncIterator[tuple[Lease, list[bool]]]:
    """A lease that has been taken, and what it says from then on: whether it goes on."""
    lease, said = Lease(redis, "match", holder), list[bool]()

    async def changed(goes_on: bool) -> None:
        said.append(goes_on)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lease.run, changed)
        await eventually(lambda: bool(said))
        assert lease.held
        yield lease, said
        nursery.cancel_scope.cancel()


async def test_it_goes_on_when_redis_has_forgotten_it(redis: Redis) -> None:
    async with held(redis, "one") as (lease, said):
        said.clear()
        fence = lease.fence
        await redis.call("DEL", redis.key("lease", "match"), redis.key("fence", "match"))
        await eventually(lambda: bool(said))
        assert (said, lease.held, lease.fence > fence) == ([True], True, True)


async def test_it_goes_on_when_it_ran_out_and_nobody_else_took_it(redis: Redis) -> None:
    async with held(redis, "one") as (lease, said):
        said.clear()
        await redis.call("DEL", redis.key("lease", "match"))
        await eventually(lambda: bool(said))
        assert (said, lease.held) == ([True], True)


async def test_it_begins_anew_when_it_was_somebody_elses_meanwhile(redis: Redis) -> None:
    """As after a long sleep: the other one has come and gone before we look again."""
    came_and_went = "redis.call('incr', KEYS[2]) redis.call('del', KEYS[1])"
    async with held(redis, "one") as (lease, said):
        said.clear()
        await redis.call("EVAL", came_and_went, 2, redis.key("lease", "match"), redis.key("fence", "match"))
        await eventually(lambda: bool(said))
        assert (said, lease.held) == ([False], True)
