"""The journal of the match pool in Redis."""

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec import json

from chatd.core.config import RedisSection
from chatd.db.embedded import redis as embedded_redis
from chatd.db.redis import open_redis
from chatd.matching import event_log as mirror_module
from chatd.matching.criteria import Ticket
from chatd.matching.event_log import PoolEventLog
from chatd.matching.pool_events import PoolEvent, Queued, Reset, TicketRemoved
from tests.conftest import Servers
from tests.support import PATIENCE, eventually

KEYS = count()


def queued(number: int) -> Queued:
    return Queued(Ticket(f"t{number}", "default", f"u{number}", "q", number, ("tea",), {"age": 3, "ok": True}))


@pytest.fixture
async def mirror(servers: Servers, loop: None) -> AsyncIterator[PoolEventLog]:
    """A mirror whose pool is what `pool` says."""
    async with open_redis(RedisSection(), servers.redis) as redis, trio.open_nursery() as nursery:
        made = PoolEventLog(redis, f"mirror-{next(KEYS)}", lambda: 7, lambda: (3, [queued(100)]))
        nursery.start_soon(made.run)
        yield made
        nursery.cancel_scope.cancel()


async def written(mirror: PoolEventLog, count: int) -> list[PoolEvent]:
    with trio.fail_after(PATIENCE):
        while len(lines := await mirror.everything()) < count:
            await trio.sleep(0.01)
    return [line.step for line in lines]


async def test_every_step_is_there_in_its_order(mirror: PoolEventLog) -> None:
    steps: list[PoolEvent] = [Reset(), *map(queued, range(499))]
    steps.append(TicketRemoved("t1", "cancelled", ("default", "u1")))
    for step in steps:
        mirror.note(step, 3)
    assert await written(mirror, 501) == steps
    assert [line.step for line in await mirror.latest()] == steps
    assert {(line.at, line.fence) for line in await mirror.latest()} == {(7, 3)}


async def test_after_a_gap_the_whole_pool_is_written_and_nothing_before_it(mirror: PoolEventLog) -> None:
    """A step that comes after one that was lost could not be replayed, if the owner died then."""
    mirror.note(queued(1), 3)
    await written(mirror, 1)
    await trio.testing.wait_all_tasks_blocked(0.05)
    mirror.note(queued(2), 3)
    mirror.renew()
    assert await written(mirror, 3) == [queued(1), Reset(), queued(100)]
    assert [line.step for line in await mirror.latest()] == [Reset(), queued(100)]
    mirror.note(queued(3), 3)
    await written(mirror, 4)
    assert [line.step for line in await mirror.latest()] == [Reset(), queued(100), queued(3)]


async def test_an_entry_that_redis_carries_out_late_does_not_count(mirror: PoolEventLog, servers: Servers) -> None:
    """Its owner had given it up, and written the whole pool. Wherever it stands, reading goes back as far as it must."""
    mirror.note(queued(1), 3)
    mirror.renew()
    mirror.note(queued(2), 3)
    await written(mirror, 2)
    async with open_redis(RedisSection(), servers.redis) as redis:

        async def late(number: int, *steps: PoolEvent) -> None:
            entry = ("f", 3, "n", number, "at", 7, "s", json.encode(steps))
            await redis.call("XADD", mirror._key, "*", *entry)

        first = mirror._number
        await late(first + 2, Reset(), queued(5), queued(6))
        await late(first + 1, TicketRemoved("t9", "cancelled", ("default", "u9")))
        assert [line.step for line in await mirror.latest()] == [Reset(), queued(5), queued(6)]
        await late(first + 1, Reset(), queued(9))
        await late(first + 3, queued(7))
        assert [line.step for line in await mirror.latest()] == [Reset(), queued(5), queued(6), queued(7)]


async def test_what_a_replaced_owner_still_writes_does_not_count(mirror: PoolEventLog) -> None:
    steps = [(Reset(), 3), (queued(1), 3), (queued(2), 4), (queued(3), 3), (Reset(), 3), (queued(4), 4)]
    for number, (step, fence) in enumerate(steps, start=1):
        mirror.note(step, fence)
        await written(mirror, number)
    assert [line.step for line in await mirror.latest()] == [Reset(), queued(1), queued(2), queued(4)]


async def test_without_its_beginning_it_says_nothing(mirror: PoolEventLog) -> None:
    """Redis has forgotten what was written before."""
    mirror.note(TicketRemoved("t1", "cancelled", ("default", "u1")), 3)
    await written(mirror, 1)
    assert await mirror.latest() == []
    mirror.renew()
    await written(mirror, 3)
    assert [line.step for line in await mirror.latest()] == [Reset(), queued(100)]


async def test_the_whole_pool_is_written_again_before_its_beginning_is_trimmed(
    servers: Servers, loop: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large it is, and however slowly its steps come."""
    monkeypatch.setattr(mirror_module, "MOST_ENTRIES", 200)
    pool = [queued(number) for number in range(1000)]
    async with open_redis(RedisSection(), servers.redis) as redis, trio.open_nursery() as nursery:
        mirror = PoolEventLog(redis, f"mirror-{next(KEYS)}", lambda: 7, lambda: (3, list(pool)))
        nursery.start_soon(mirror.run)
        mirror.renew()
        for number in range(1000, 1600):
            pool.append(queued(number))
            mirror.note(pool[-1], 3)
            while mirror._waiting:
                await trio.sleep(0.001)
        with trio.fail_after(PATIENCE):
            while [line.step for line in await mirror.latest()] != [Reset(), *pool]:
                await trio.sleep(0.01)
        assert sum(line.step == Reset() for line in await mirror.everything()) < 5
        nursery.cancel_scope.cancel()


async def test_redis_away_and_back(tmp_path: Path, loop: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_module, "LATE", 0.2)
    server = embedded_redis.Server(tmp_path / "redis", "+@all")
    await server.start()
    async with open_redis(RedisSection(), server.url) as redis, trio.open_nursery() as nursery:
        mirror = PoolEventLog(redis, "mirror", lambda: 7, lambda: (3, [queued(100)]))
        nursery.start_soon(mirror.run)
        await server.stop()
        mirror.note(queued(1), 3)
        await eventually(lambda: mirror.is_late)
        await server.start()
        assert await written(mirror, 2) == [Reset(), queued(100)]
        await eventually(lambda: not mirror.is_late)
        nursery.cancel_scope.cancel()
    await server.stop()


async def test_what_is_lost_while_the_whole_is_written_is_written_after_it(servers: Servers, loop: None) -> None:
    async with open_redis(RedisSection(), servers.redis) as redis, trio.open_nursery() as nursery:
        pool: list[PoolEvent] = [queued(1)]
        call = redis.call

        async def call_and_lose(*words: object) -> object:
            """The stream is emptied in the moment between the answer of Redis and its arrival."""
            answer = await call(*words)
            if words[0] == "XADD" and len(pool) == 1:
                pool.append(queued(2))
                mirror.renew()
            return answer

        redis.call = call_and_lose  # type: ignore[method-assign, assignment]
        mirror = PoolEventLog(redis, f"mirror-{next(KEYS)}", lambda: 7, lambda: (3, pool))
        nursery.start_soon(mirror.run)
        mirror.renew()
        assert await written(mirror, 5) == [Reset(), queued(1), Reset(), queued(1), queued(2)]
        nursery.cancel_scope.cancel()


async def test_what_cannot_be_read_is_skipped_and_counted(mirror: PoolEventLog) -> None:
    """The next owner begins with all that can be read."""
    redis, key = mirror._redis, mirror._key
    foreign: list[tuple[object, ...]] = [
        ("foreign", 1), ("f", "x", "at", 1, "s", "[]"), ("f", 3, "at", 1, "s", "[{"), ("f", 3, "at", 1, "s", "[]"),
        ("f", 3, "at", 1, "s", '[{"t":"future"}]'), ("f", 3, "at", 1, "s", "\xff"), ("f", 3, "at", 1, "s", "[" * 100_000),
    ]  # fmt: skip
    mirror.renew()
    await written(mirror, 2)
    for fields in foreign:
        await redis.call("XADD", key, "*", *fields)
    mirror.note(queued(5), 3)
    assert await written(mirror, 3) == [Reset(), queued(100), queued(5)]
    redis.unreadable.clear()
    assert [line.step for line in await mirror.latest()] == [Reset(), queued(100), queued(5)]
    assert redis.unreadable == {"match log": len(foreign)}


async def test_the_stream_is_bounded_in_bytes(servers: Servers, loop: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """And still holds all that the next owner needs."""
    limit = 1024 * 1024
    monkeypatch.setattr(mirror_module, "MAX_STREAM_BYTES", limit)
    large = Queued(Ticket("t", "default", "u", "q", 1, (), {"x": "x" * 50_000}))
    async with open_redis(RedisSection(), servers.redis) as redis, trio.open_nursery() as nursery:
        waiting = [large, queued(100)]
        mirror = PoolEventLog(redis, f"mirror-{next(KEYS)}", lambda: 7, lambda: (3, list(waiting)))
        nursery.start_soon(mirror.run)
        for number in range(80):
            if number == 79:
                waiting.append(queued(5))
            mirror.note(large if number < 79 else queued(5), 3)
            await trio.sleep(0.002)
        with trio.fail_after(PATIENCE):
            while queued(5) not in [line.step for line in await mirror.everything()]:
                await trio.sleep(0.01)
        rows = await redis.call("XRANGE", mirror._key, "-", "+")
        assert sum(len(fields[b"s"]) for _, fields in rows) < 2 * limit
        steps = [line.step for line in await mirror.latest()]
        assert steps[:3] == [Reset(), large, queued(100)]
        assert steps[-1] == queued(5)
        nursery.cancel_scope.cancel()
