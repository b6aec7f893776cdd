"""The lease of the match pool: whether this node holds it, and whether it held it without a break."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
import trio

from chatd.cluster.lease import TAKE, Lease
from chatd.core.config import RedisSection
from chatd.db.redis import Redis, open_redis
from tests.conftest import Servers
from tests.support import PATIENCE, eventually

NUMBERS = count()


@pytest.fixture
async def redis(servers: Servers, loop: None) -> AsyncIterator[Redis]:
    async with open_redis(RedisSection(prefix=f"lease{next(NUMBERS)}"), servers.redis) as opened:
        yield opened


@asynccontextmanager
async def held(redis: Redis, holder: str) -> AsyncIterator[tuple[Lease, list[bool]]]:
    """A lease that was acquired, and its later reports of whether it continues."""
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
    """As after a long sleep: another node held it and let it go before this node looks again."""
    came_and_went = "redis.call('incr', KEYS[2]) redis.call('del', KEYS[1])"
    async with held(redis, "one") as (lease, said):
        said.clear()
        await redis.call("EVAL", came_and_went, 2, redis.key("lease", "match"), redis.key("fence", "match"))
        await eventually(lambda: bool(said))
        assert (said, lease.held) == ([False], True)


class Slow(Redis):
    """A Redis whose replies wait for a gate."""

    gate = trio.Event()
    asked = 0

    async def call(self, *command: Any) -> Any:
        answer = await super().call(*command)
        if command[1] == TAKE:
            self.asked += 1
            await self.gate.wait()
        return answer


async def test_an_answer_that_comes_after_it_was_let_go_does_not_bring_it_back(redis: Redis) -> None:
    """A node that leaves would otherwise keep tickets for a pool that no longer pairs."""
    slow = Slow(redis._connect, redis._prefix)
    slow.gate = trio.Event()
    slow.gate.set()
    async with held(slow, "one") as (lease, _), trio.open_nursery() as nursery:
        slow.gate, before = trio.Event(), slow.asked
        with trio.fail_after(PATIENCE):
            while slow.asked == before:
                await trio.sleep(0.01)
        nursery.start_soon(lease.release)
        await trio.sleep(0.1)
        slow.gate.set()
        await trio.sleep(0.1)
        assert not lease.held
        assert await redis.call("GET", redis.key("lease", "match")) is None
