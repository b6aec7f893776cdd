"""The lease of the match pool: whether this node holds it, and whether it held it without a break."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
import trio

from chatd.cluster.lease import Lease
from chatd.core.config import RedisSection
from chatd.db.redis import Redis, open_redis
from tests.conftest import Servers
from tests.support import PATIENCE, eventually

NUMBERS = count()


@pytest.fixture
async def redis(servers: Servers, loop: None) -> AsyncIterator[Redis]:
    async with open_redis(RedisSection(prefix=f"lease{next(NUMBERS)}", timeout=PATIENCE), servers.redis) as opened:
        yield opened


@asynccontextmanager
async def held(redis: Redis, holder: str) -> AsyncIterator[tuple[Lease, list[bool]]]:
    """A lease that was acquired, and its later reports of whether it continues."""
    lease, changes = Lease(redis, "match", holder), list[bool]()

    async def changed(goes_on: bool) -> None:
        changes.append(goes_on)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lease.run, changed)
        await eventually(lambda: bool(changes))
        assert lease.held
        yield lease, changes
        nursery.cancel_scope.cancel()


async def test_a_lease_continues_after_redis_lost_it(redis: Redis) -> None:
    async with held(redis, "one") as (lease, messages):
        messages.clear()
        fence = lease.fence
        await redis.call("DEL", redis.key("lease", "match"), redis.key("fence", "match"))
        await eventually(lambda: bool(messages))
        assert (messages, lease.held, lease.fence > fence) == ([True], True, True)


async def test_an_expired_lease_continues_if_it_was_not_taken(redis: Redis) -> None:
    async with held(redis, "one") as (lease, messages):
        messages.clear()
        await redis.call("DEL", redis.key("lease", "match"))
        await eventually(lambda: bool(messages))
        assert (messages, lease.held) == ([True], True)


async def test_a_lease_that_another_node_held_begins_anew(redis: Redis) -> None:
    """As after a long sleep: another node held and released it before this node reads it again."""
    async with held(redis, "one") as (lease, messages):
        messages.clear()
        await redis.transaction(("INCR", redis.key("fence", "match")), ("DEL", redis.key("lease", "match")))
        await eventually(lambda: bool(messages))
        assert (messages, lease.held) == ([False], True)


class Slow(Redis):
    """A Redis whose replies wait for a gate."""

    gate = trio.Event()
    asked = 0

    async def update(self, *args: Any) -> Any:
        answer = await super().update(*args)
        self.asked += 1
        await self.gate.wait()
        return answer


async def test_a_late_answer_does_not_restore_a_released_lease(redis: Redis) -> None:
    """A node that leaves would otherwise keep tickets for a pool that no longer pairs."""
    slow = Slow(redis._connect, redis._prefix, PATIENCE)
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


async def test_one_of_many_candidates_takes_the_lease_with_a_higher_number(redis: Redis) -> None:
    leases, fences = [Lease(redis, "match", f"holder {number}") for number in range(8)], list[int]()
    for _ in range(10):
        async with trio.open_nursery() as nursery:
            for lease in leases:
                nursery.start_soon(lease._take)
        (holder,) = [lease for lease in leases if lease.held]
        fences.append(holder.fence)
        holder.held = False
        await redis.call("DEL", redis.key("lease", "match"))
    assert fences == sorted(set(fences))


async def test_only_the_holder_renews_and_releases_it(redis: Redis) -> None:
    one, two = Lease(redis, "match", "one"), Lease(redis, "match", "two")
    assert await one._take() == 0
    await redis.call("PEXPIRE", redis.key("lease", "match"), 500)
    assert await two._take() == one.fence
    assert (two.held, await redis.call("PTTL", redis.key("lease", "match")) <= 500) == (False, True)
    assert await one._take() == one.fence
    assert await redis.call("PTTL", redis.key("lease", "match")) > 500
    two.held = True
    await two.release()
    assert await redis.call("GET", redis.key("lease", "match")) == b"one"
    await one.release()
    assert await redis.call("GET", redis.key("lease", "match")) is None
