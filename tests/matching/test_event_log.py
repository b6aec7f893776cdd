"""The event log of the match pool in Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec import json

from chatd.cluster.lease import Lease
from chatd.core.config import RedisSection
from chatd.db.embedded import redis as embedded_redis
from chatd.db.redis import Redis, open_redis
from chatd.matching.criteria import Ticket
from chatd.matching.event_log import PoolEventLog
from chatd.matching.owned_pool import OwnedPool
from chatd.matching.pool_events import PoolEvent, Queued, Reset, TicketRemoved
from tests.conftest import Servers
from tests.support import PATIENCE, eventually, poll_until

KEYS = count()


def queued(number: int) -> Queued:
    ticket = Ticket(f"t{number}", "default", f"u{number}", "q", number, ("tea",), {"age": 3, "ok": True})
    return Queued(ticket)


def removed(number: int) -> TicketRemoved:
    return TicketRemoved(f"t{number}", "cancelled", ("default", f"u{number}"))


@asynccontextmanager
async def running_log(
    redis: Redis, *tickets: Queued, **tunables: float
) -> AsyncIterator[tuple[PoolEventLog, OwnedPool]]:
    """The log of a node that owns a pool with these tickets, under a lease with the number 3."""
    lease = Lease(redis, "match", "node")
    lease.held, lease.fence = True, 3
    owned = OwnedPool({}, lease, lambda: 7)
    for ticket in tickets:
        owned.pool.apply(ticket)
    async with trio.open_nursery() as nursery:
        log = PoolEventLog(redis, f"log-{next(KEYS)}", owned, lambda: 7, **tunables)  # type: ignore[arg-type]
        nursery.start_soon(log.run)
        yield log, owned
        nursery.cancel_scope.cancel()


@pytest.fixture
async def log(servers: Servers, loop: None) -> AsyncIterator[PoolEventLog]:
    """The log of a pool with the ticket 100."""
    async with (
        open_redis(RedisSection(timeout=PATIENCE), servers.redis) as redis,
        running_log(redis, queued(100)) as (log, _),
    ):
        yield log


async def written(log: PoolEventLog, count: int) -> list[PoolEvent]:
    logged = await poll_until(log.reader.everything, lambda logged: len(logged) >= count)
    return [line.event for line in logged]


async def latest(log: PoolEventLog) -> list[PoolEvent]:
    return [line.event for line in await log.reader.latest()]


async def test_events_are_written_in_order(log: PoolEventLog) -> None:
    events: list[PoolEvent] = [Reset(), *map(queued, range(499)), removed(1)]
    for event in events:
        log.append(event)
    assert await written(log, 501) == events
    assert await latest(log) == events
    assert {(line.at, line.fence) for line in await log.reader.latest()} == {(7, 3)}


async def test_after_a_loss_a_snapshot_is_written_and_nothing_before_it(log: PoolEventLog) -> None:
    """An event after a lost one could not be replayed if the owner died then."""
    log.append(queued(1))
    await written(log, 1)
    await trio.testing.wait_all_tasks_blocked(0.05)
    log.append(queued(2))
    log.rewrite()
    assert await written(log, 3) == [queued(1), Reset(), queued(100)]
    assert await latest(log) == [Reset(), queued(100)]
    log.append(queued(3))
    await written(log, 4)
    assert await latest(log) == [Reset(), queued(100), queued(3)]


async def test_an_entry_that_redis_executes_late_is_skipped(log: PoolEventLog, servers: Servers) -> None:
    """Its sender has given it up and written a snapshot.

    Reading goes back as far as necessary, wherever the entry is.
    """
    log.append(queued(1))
    log.rewrite()
    log.append(queued(2))
    await written(log, 2)
    async with open_redis(RedisSection(timeout=PATIENCE), servers.redis) as redis:

        async def late(number: int, *events: PoolEvent) -> None:
            entry = ("f", 3, "n", number, "at", 7, "s", json.encode(events))
            await redis.call("XADD", log._key, "*", *entry)

        first = log._number
        await late(first + 2, Reset(), queued(5), queued(6))
        await late(first + 1, removed(9))
        assert await latest(log) == [Reset(), queued(5), queued(6)]
        await late(first + 1, Reset(), queued(9))
        await late(first + 3, queued(7))
        assert await latest(log) == [Reset(), queued(5), queued(6), queued(7)]


async def test_entries_of_a_replaced_owner_are_skipped(log: PoolEventLog) -> None:
    events = [(Reset(), 3), (queued(1), 3), (queued(2), 4), (queued(3), 3), (Reset(), 3), (queued(4), 4)]
    for number, (event, fence) in enumerate(events, start=1):
        log._owned.lease.fence = fence
        log.append(event)
        await written(log, number)
    assert await latest(log) == [Reset(), queued(1), queued(2), queued(4)]


async def test_a_log_without_its_beginning_has_no_events_to_replay(log: PoolEventLog) -> None:
    """Redis has lost what was written before."""
    log.append(removed(1))
    await written(log, 1)
    assert await latest(log) == []
    log.rewrite()
    await written(log, 3)
    assert await latest(log) == [Reset(), queued(100)]


async def test_a_snapshot_is_written_before_the_last_one_is_trimmed(servers: Servers, loop: None) -> None:
    """Even if the pool is large and its events are rare."""
    tickets = [queued(number) for number in range(1000)]
    async with (
        open_redis(RedisSection(timeout=PATIENCE), servers.redis) as redis,
        running_log(redis, *tickets, max_entries=200) as (log, owned),
    ):
        log.rewrite()
        for number in range(1000, 1600):
            tickets.append(queued(number))
            owned.pool.apply(tickets[-1])
            log.append(tickets[-1])
            # So that each event has an entry of its own.
            while log._unwritten:
                await trio.sleep(0.001)
        await poll_until(lambda: latest(log), lambda events: events == [Reset(), *tickets])
        assert sum(line.event == Reset() for line in await log.reader.everything()) < 5


async def test_events_are_logged_again_after_an_outage_of_redis(tmp_path: Path, loop: None) -> None:
    server = embedded_redis.Server(tmp_path / "redis", "+@all")
    await server.start()
    async with (
        open_redis(RedisSection(timeout=PATIENCE), server.url) as redis,
        running_log(redis, queued(100), lagging_after_s=0.2) as (log, _),
    ):
        await server.stop()
        log.append(queued(1))
        await eventually(lambda: log.is_lagging)
        await server.start()
        await eventually(lambda: not log.is_lagging)
        assert await written(log, 2) == [Reset(), queued(100)]
    await server.stop()


async def test_what_is_lost_while_a_snapshot_is_written_is_in_the_next_one(servers: Servers, loop: None) -> None:
    async with (
        open_redis(RedisSection(timeout=PATIENCE), servers.redis) as redis,
        running_log(redis, queued(1)) as (log, owned),
    ):
        call = redis.call

        async def call_and_lose(*words: object) -> object:
            """The stream is emptied between the answer of Redis and its arrival."""
            answer = await call(*words)
            if words[0] == "XADD" and len(owned.pool.tickets) == 1:
                owned.pool.apply(queued(2))
                log.rewrite()
            return answer

        redis.call = call_and_lose  # type: ignore[method-assign, assignment]
        log.rewrite()
        assert await written(log, 5) == [Reset(), queued(1), Reset(), queued(1), queued(2)]


async def test_unreadable_entries_are_skipped_and_counted(log: PoolEventLog) -> None:
    """The next owner begins with what can be read."""
    redis, key = log._redis, log._key
    foreign: list[tuple[object, ...]] = [
        ("foreign", 1), ("f", "x", "at", 1, "s", "[]"), ("f", 3, "at", 1, "s", "[{"), ("f", 3, "at", 1, "s", "[]"),
        ("f", 3, "at", 1, "s", '[{"t":"future"}]'), ("f", 3, "at", 1, "s", "\xff"), ("f", 3, "at", 1, "s", "[" * 100_000),
    ]  # fmt: skip
    log.rewrite()
    await written(log, 2)
    for fields in foreign:
        await redis.call("XADD", key, "*", *fields)
    log.append(queued(5))
    assert await written(log, 3) == [Reset(), queued(100), queued(5)]
    redis.unreadable.clear()
    assert await latest(log) == [Reset(), queued(100), queued(5)]
    assert redis.unreadable == {"event_log": len(foreign)}


async def test_the_stream_is_bounded_in_bytes(servers: Servers, loop: None) -> None:
    """It still contains everything that the next owner needs."""
    limit = 1024 * 1024
    large = Queued(Ticket("t", "default", "u", "q", 1, (), {"x": "x" * 50_000}))
    async with (
        open_redis(RedisSection(timeout=PATIENCE), servers.redis) as redis,
        running_log(redis, large, queued(100), max_stream_bytes=limit) as (log, owned),
    ):
        for number in range(80):
            if number == 79:
                owned.pool.apply(queued(5000))
            log.append(large if number < 79 else queued(5000))
            # So that an entry has few events.
            await trio.sleep(0.002)
        await poll_until(log.reader.everything, lambda logged: queued(5000) in [line.event for line in logged])
        rows = await redis.call("XRANGE", log._key, "-", "+")
        assert sum(len(fields[b"s"]) for _, fields in rows) < 2 * limit
        events = await latest(log)
        assert events[:3] == [Reset(), large, queued(100)]
        assert events[-1] == queued(5000)
