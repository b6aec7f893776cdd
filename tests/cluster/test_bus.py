"""The Redis stream between the nodes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import pytest
import trio

from chatd.app.maintenance import MaintenanceChanged
from chatd.cluster import control_messages
from chatd.cluster.bus import Bus
from chatd.cluster.stream_entries import DECODE, ENCODE, MAX_ENTRIES, MAX_ENTRY_BYTES, Entry, pairs, recent
from chatd.core.config import ClusterTimes, RedisSection
from chatd.db.redis import Command, Redis, open_redis
from chatd.matching.control_messages import DropTicket
from tests.conftest import Servers
from tests.support import PATIENCE

if TYPE_CHECKING:
    from redis.asyncio import Redis as Client

T = TypeVar("T")
NUMBERS = count()
# The line of `Narrow`.
BYTES_PER_S = 1_000_000


class Slow(Redis):
    """A Redis whose writes wait for a gate."""

    pause = 0.0

    async def _translate_errors(self, work: Callable[["Client"], Awaitable[T]], command: Command) -> T:
        answer = await super()._translate_errors(work, command)
        if command[0] == "XADD":
            await trio.sleep(self.pause)
        return answer


class Narrow(Redis):
    """A Redis behind a slow line."""

    async def _translate_errors(self, work: Callable[["Client"], Awaitable[T]], command: Command) -> T:
        async def transfer(client: "Client") -> T:
            answer = await work(client)
            await trio.sleep(len(str(answer)) / BYTES_PER_S)
            return answer

        return await super()._translate_errors(transfer, command)


async def test_a_node_writes_nothing_after_its_last_entry(servers: Servers, loop: None) -> None:
    """Also if the next heartbeat is due while the last entry is written: other nodes would wait for its acks."""
    async with (
        open_redis(RedisSection(prefix=f"bus{next(NUMBERS)}", timeout=PATIENCE), servers.redis) as redis,
        trio.open_nursery() as nursery,
    ):
        slow = Slow(redis._connect, redis._prefix, PATIENCE)
        bus = Bus(slow, "leaving", times=ClusterTimes(heartbeat=0.02))
        nursery.start_soon(bus.write)
        with trio.fail_after(PATIENCE):
            while not await redis.call("XLEN", redis.key("bus")):
                await trio.sleep(0.01)
            slow.pause = 0.3
            await bus.leave()
        nursery.cancel_scope.cancel()
    async with open_redis(RedisSection(prefix=redis._prefix, timeout=PATIENCE), servers.redis) as redis:
        entries = [DECODE(fields[b"b"]) for _, fields in pairs(await redis.call("XRANGE", redis.key("bus"), "-", "+"))]
    assert [entry.leaves for entry in entries] == [False] * (len(entries) - 1) + [True]
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))


async def nobody_asks() -> None:
    """A handler of gaps that does nothing."""


@asynccontextmanager
async def two_nodes(
    servers: Servers, kind: type[Redis] = Redis, timeout_s: float = PATIENCE, **limits: Any
) -> AsyncIterator[tuple[Bus, Redis, list[bytes]]]:
    """A node that publishes, and all control messages that another one receives."""
    received: list[bytes] = []

    async def handle(message: bytes) -> None:
        received.append(control_messages.encode(control_messages.decoder().decode(message)))

    async with (
        open_redis(RedisSection(prefix=f"bus{next(NUMBERS)}", timeout=timeout_s), servers.redis) as plain,
        aclosing(kind(plain._connect, plain._prefix, timeout_s)) as redis,
        trio.open_nursery() as nursery,
    ):
        one, other = Bus(redis, "one", **limits), Bus(redis, "other", **limits)
        for bus in (one, other):
            nursery.start_soon(bus.write)
            nursery.start_soon(bus.read, handle, nobody_asks)
        await one.join_cluster(PATIENCE)
        await other.join_cluster(PATIENCE)
        yield one, redis, received
        nursery.cancel_scope.cancel()


async def test_the_stream_is_bounded_in_bytes(servers: Servers, loop: None) -> None:
    """Whatever the size and number of messages; also entries that wait for an unavailable Redis."""
    limit = 2 * 1024 * 1024
    async with two_nodes(servers, max_stream_bytes=limit) as (bus, redis, received):
        message = control_messages.encode(DropTicket("x" * 60_000, "user", "reason"))
        for _ in range(4 * limit // len(message)):
            bus.publish(message)
            await trio.sleep(0.001)
        with trio.fail_after(2 * PATIENCE):
            while len(received) < 4 * limit // len(message):
                await trio.sleep(0.01)
        sizes = [len(fields[b"b"]) for _, fields in pairs(await redis.call("XRANGE", redis.key("bus"), "-", "+"))]
        assert sum(sizes) < limit + 3 * MAX_ENTRY_BYTES
        assert max(sizes) <= MAX_ENTRY_BYTES + 1000
        assert bus.gaps == 0
        bus._max_waiting_bytes = limit
        for _ in range(3 * limit // len(message)):
            bus.publish(message)
        assert bus.waiting * len(message) < limit + len(message)


async def test_messages_of_a_moment_share_an_entry(servers: Servers, loop: None) -> None:
    """An entry costs its writer and each reader more than a hundred messages in one."""
    async with two_nodes(servers, gather_s=0.2) as (bus, _, received):
        await trio.sleep(0.2)
        first, began = bus._number, trio.current_time()
        for number in range(100):
            bus.publish(control_messages.encode(DropTicket(str(number), "user", "reason")))
            await trio.sleep(0.002)
        with trio.fail_after(PATIENCE):
            while len(received) < 100:
                await trio.sleep(0.01)
        spent = trio.current_time() - began
        assert received == [control_messages.encode(DropTicket(str(n), "user", "reason")) for n in range(100)]
        assert bus._number - first <= 2 + spent / 0.2


async def test_messages_are_trimmed_by_age(servers: Servers, loop: None) -> None:
    """Long before newer entries displace it, while nodes write only heartbeats (see docs/privacy.md)."""
    async with two_nodes(servers, max_age_s=0.5) as (bus, redis, received):
        bus.publish(control_messages.encode(DropTicket("zqmarkqz", "user", "reason")))
        with trio.fail_after(PATIENCE):
            while not received:
                await trio.sleep(0.01)
        assert b"zqmarkqz" in repr(await redis.call("XRANGE", redis.key("bus"), "-", "+")).encode()
        with trio.fail_after(2 * PATIENCE):
            while b"zqmarkqz" in repr(await redis.call("XRANGE", redis.key("bus"), "-", "+")).encode():
                bus.publish(control_messages.encode(MaintenanceChanged()))
                await trio.sleep(0.01)
        assert await redis.call("XLEN", redis.key("bus")) < MAX_ENTRIES


ENTRY = ENCODE(Entry("stranger", 1, [], [msgspec.Raw(control_messages.encode(MaintenanceChanged()))]))
UNREADABLE = [
    pytest.param(("foreign", "1"), 1, id="foreign fields"),
    pytest.param(("b", ""), 1, id="empty"),
    pytest.param(("b", "\xff\xfe"), 1, id="no msgpack"),
    pytest.param(("b", msgspec.msgpack.encode([1, "2", None])), 1, id="wrong types"),
    pytest.param(("b", msgspec.msgpack.encode({"node": "x"})), 1, id="no array"),
    pytest.param(("b", b"\x91" * 100_000), 1, id="deep"),
    pytest.param(("b", ENTRY + b"x"), 1, id="something after it"),
    pytest.param(
        ("b", ENCODE(Entry("stranger", 1, [], [msgspec.Raw(b"\x91\xa6future")]))), 1, id="a message of a newer version"
    ),
    pytest.param(("b", ENCODE(Entry("stranger", 1, [], [msgspec.Raw(b"\xa5wrong")]))), 1, id="a message that is none"),
    pytest.param(("b", b"\xdd\xff\xff\xff\xff"), 1, id="a length without a body"),
    *[pytest.param(("b", ENTRY[:end]), 1, id=f"cut at {end}") for end in (1, 5, len(ENTRY) // 2, len(ENTRY) - 1)],
]


@pytest.mark.parametrize(("fields", "skipped"), UNREADABLE)
async def test_unreadable_entries_are_skipped_and_counted(
    servers: Servers, loop: None, fields: Any, skipped: int
) -> None:
    # Both nodes read it.
    async with two_nodes(servers) as (bus, redis, received):
        await redis.call("XADD", redis.key("bus"), "*", *fields)
        bus.publish(control_messages.encode(MaintenanceChanged()))
        with trio.fail_after(PATIENCE):
            while not received or redis.unreadable["bus"] < 2 * skipped:
                await trio.sleep(0.01)
        assert redis.unreadable == {"bus": 2 * skipped}
        assert "one" in await recent(redis)


async def test_entries_too_large_to_be_read_in_time_are_skipped(servers: Servers, loop: None) -> None:
    """Reading them takes longer than the timeout of a command, and writing works."""
    async with two_nodes(servers, Narrow, timeout_s=1.0) as (bus, redis, _):
        for _ in range(4):
            await redis.call("XADD", redis.key("bus"), "*", "b", b"x" * (2 * BYTES_PER_S))
        with trio.fail_after(2 * PATIENCE):
            while not (redis.unreadable and bus.gaps and bus.is_healthy):
                await trio.sleep(0.01)
        await redis.call("DEL", redis.key("bus"))
