"""The bus: one Redis stream that every node writes to and reads, in batches.

Messages that are published while a write is under way become the next entry. Each node reads all entries, including its
own, on a connection of its own, and remembers its position, so that a short outage of Redis loses nothing.

Entries can still be lost: the stream is trimmed or flushed, or Redis restarts empty. So every node numbers its entries,
and writes one per heartbeat even if it has no message. A missing number, or a stream that has gone back, means that
messages may be lost: `on_gap` is called, and the state is read from Postgres. Two failures do not end by themselves;
`cluster/peer_watch.py` detects them: a node does not read its own entries back (`is_healthy`), or another node has
stopped writing (`silent`). Entries of other nodes prove nothing about the writes of this node: after a failover of
Redis, a node may read from one server and write to another.

A node that knows of no other publishes nothing. A node is known from its first entry until its last one, or until
`forget` is called because it is dead. A new node writes an entry and waits until each other node has acknowledged it
(`join_cluster`): from then on it gets all messages.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import trio
from msgspec import DecodeError, Raw

from chatd.cluster.stream_entries import (
    BATCH_SIZE,
    ENCODE,
    MAX_AGE_S,
    MAX_ENTRIES,
    MAX_ENTRY_BYTES,
    MAX_STREAM_BYTES,
    Entry,
    entry_of,
    pairs,
    recent,
    rows_of,
    size_of,
)
from chatd.cluster.stream_window import StreamWindow, order_of
from chatd.core import log
from chatd.core.clock import now_ms
from chatd.core.config import ClusterTimes
from chatd.core.errors import Refused
from chatd.db.redis import OwnConnection, Redis

LOG = log.get(__name__)

DEFAULT_TIMES = ClusterTimes()
MAX_WAITING = 50_000
MAX_WAITING_BYTES = 64 * 1024 * 1024
MAX_MESSAGES_PER_ENTRY = 2_000
# Writes whose time is remembered.
MAX_WRITES = 5_000
# Less than redis.timeout.
READ_BLOCK_MS = 500
RETRY_S = 0.2
# Between two writes, and two reads, while there is something to write or read: what arrives in that time is written or
# read together. It delays no first message.
GATHER_S = 0.005
# Failed attempts to read, while writing works, after which the unreadable entries are skipped.
MAX_FAILED_READS = 3
START = b"0-0"
Handle = Callable[[bytes], Awaitable[None]]
# Executes a command of Redis.
Call = Callable[..., Awaitable[Any]]
OnGap = Callable[[], Awaitable[None]]
Rows = list[tuple[bytes, dict[bytes, bytes]]]


class Bus:
    """Publishes control messages and reads those of the others. `name`: of this node, never used twice.

    `write` and `read` run in the background.
    """

    def __init__(
        self,
        redis: Redis,
        name: str,
        *,
        times: ClusterTimes = DEFAULT_TIMES,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        max_stream_bytes: int = MAX_STREAM_BYTES,
        max_age_s: float = MAX_AGE_S,
        gather_s: float = GATHER_S,
    ) -> None:
        self.name = name
        self.times = times
        # Messages that were published; and entries, as the number of their last message, and when they were written (0:
        # dropped).
        self.enqueued = 0
        self.writes: deque[tuple[int, int]] = deque(maxlen=MAX_WRITES)
        self.published = self.received = self.gaps = 0
        # When a gap was last reported, in milliseconds, apart from gaps before the first entry of a node.
        self.gap_at = 0
        self._redis = redis
        self._max_waiting_bytes = max_waiting_bytes
        self._gather_s = gather_s
        self._key = redis.key("bus")
        self._waiting: list[Raw] = []
        self._waiting_bytes = 0
        self._unacked: list[str] = []
        self._acked_by: set[str] = set()
        self._work = trio.Event()
        self._number = 0
        self._writing = self._leaving = False
        self._last: bytes | None = None
        self._written: bytes | None = None
        self._failed_reads = 0
        self._numbers: dict[str, int] = {}
        self._seen: dict[str, float] = {}
        self._own_seen_at = self._healthy_since = trio.current_time()
        self._window = StreamWindow(MAX_ENTRIES, max_stream_bytes, max_age_s)

    # --- out ------------------------------------------------------------------------------------------------------

    @property
    def is_single_node(self) -> bool:
        """Whether no other node can be running."""
        return self.is_healthy and not self._seen

    @property
    def is_healthy(self) -> bool:
        """Whether this node reads its own entries back."""
        return trio.current_time() - self._own_seen_at < self.times.silence_s

    @property
    def is_settled(self) -> bool:
        """Whether a silent node is dead. After an outage of Redis the other nodes have time to write again."""
        return self.is_healthy and (
            trio.current_time() - self._healthy_since >= self.times.settle_s or not self.silent()
        )

    def peers(self, within: float | None = None) -> list[str]:
        """The other nodes that have written within the last `within` seconds; by default `peer_timeout_s`."""
        now, within = trio.current_time(), self.times.peer_timeout_s if within is None else within
        return [name for name, at in self._seen.items() if now - at < within]

    def silent(self) -> set[str]:
        """Known nodes that have not written for `silence_s`."""
        return set(self._seen) - set(self.peers(self.times.silence_s))

    def expect(self, names: Iterable[str]) -> None:
        """Note that these nodes exist. Their silence counts from now."""
        for name in names:
            if name != self.name:
                self._seen.setdefault(name, trio.current_time())

    def forget(self, names: Iterable[str]) -> None:
        """Forget dead nodes."""
        for name in names:
            self._seen.pop(name, None)
            self._numbers.pop(name, None)
            self._acked_by.discard(name)

    async def reconnect(self) -> None:
        """Reconnect to Redis: the connections may lead to the wrong server."""
        await self._redis.reconnect()

    def publish(self, message: bytes) -> None:
        """Send a message to the other nodes, without waiting.

        If too many are waiting, all are dropped: the others see a gap.
        """
        if self.is_single_node:
            return
        if len(self._waiting) >= MAX_WAITING or self._waiting_bytes >= self._max_waiting_bytes:
            LOG.warning("the bus is overloaded: control messages were dropped", extra={"messages": len(self._waiting)})
            self._waiting.clear()
            self._waiting_bytes = 0
            self._number += 1
            self.writes.append((self.enqueued, 0))
        self.enqueued += 1
        self._waiting.append(Raw(message))
        self._waiting_bytes += len(message)
        self._work.set()

    async def write(self) -> None:
        """Write waiting messages, or an entry without messages per heartbeat, until this node leaves."""
        next_at = trio.current_time()
        async with self._redis.own_connection() as connection:
            while True:
                with trio.move_on_after(self.times.heartbeat):
                    await self._work.wait()
                    await sleep_until(next_at)
                self._work = trio.Event()
                if self._leaving:
                    return
                next_at = trio.current_time() + self._gather_s
                await self._write_all(connection.call)

    async def _write_all(self, call: Call) -> None:
        """Write what is waiting, and at least one entry."""
        has_more = True
        while has_more:
            batch = self._take_batch()
            has_more = bool(self._waiting)
            await self._write_batch(call, batch)

    async def _write_batch(self, call: Call, batch: list[Raw]) -> None:
        """Write an entry. A write is repeated until it succeeds; readers skip a repeated entry."""
        last = self.enqueued - len(self._waiting)
        self._number += 1
        acks, self._unacked = self._unacked, []
        await self._write(call, ENCODE(Entry(self.name, self._number, acks, batch)))
        self.published += len(batch)
        if batch:
            self.writes.append((last, now_ms()))

    def _take_batch(self) -> list[Raw]:
        """Take the messages of the next entry: as many as fit, and at least one if any is waiting."""
        count = size = 0
        for message in self._waiting[:MAX_MESSAGES_PER_ENTRY]:
            size += len(message)
            if count and size > MAX_ENTRY_BYTES:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_bytes -= sum(map(len, batch))
        return batch

    async def _write(self, call: Call, entry: bytes) -> None:
        self._writing = True
        while self._writing:
            trim = ("MINID", "~", self._window.cut) if self._window.cut else ()
            try:
                self._written = await call("XADD", self._key, *trim, "*", "b", entry)
                self._writing = False
            except Refused:
                await trio.sleep(RETRY_S)

    async def leave(self) -> None:
        """Write all waiting messages and a last entry. Nothing may be published afterwards."""
        await wait_until(lambda: not self._waiting and not self._writing)
        self._leaving = True
        self._number += 1
        await self._write(self._redis.call, ENCODE(Entry(self.name, self._number, [], [], leaves=True)))

    async def join_cluster(self, timeout_s: float) -> None:
        """Wait until all other nodes know of this one, at most `timeout_s`.

        This node first writes an entry, then reads which others there are. Of two new nodes, the later one finds the
        other.
        """
        with trio.move_on_after(timeout_s), suppress(Refused):
            await wait_until(lambda: self._last is not None)
            self._work.set()
            await wait_until(lambda: self._number > 0 and not self._writing)
            here = set(await recent(self._redis, self.times.silence_s)) - {self.name}
            await wait_until(lambda: here <= self._acked_by)

    def written_at(self, number: int) -> int | None:
        """The time at which the message with this number (see `enqueued`) was written, in milliseconds; 0 if it was
        dropped.

        None if it is not written yet, or too long ago to be remembered.
        """
        later = [write for write in self.writes if write[0] >= number]
        return min(later)[1] if later and (len(self.writes) < MAX_WRITES or self.writes[0][0] < number) else None

    @property
    def waiting(self) -> int:
        """Messages that are not written yet."""
        return len(self._waiting)

    # --- in -------------------------------------------------------------------------------------------------------

    async def read(self, handle: Handle, on_gap: OnGap) -> None:
        """Read forever. Calls `handle` for each message of other nodes, and `on_gap` if some may be lost."""
        async with self._redis.own_connection() as connection:
            while True:
                await self._read_once(connection, handle, on_gap)

    async def _read_once(self, connection: OwnConnection, handle: Handle, on_gap: OnGap) -> None:
        try:
            if self._last is None:
                self._last = await self._newest()
            answer = await connection.call(
                "XREAD", "COUNT", BATCH_SIZE, "BLOCK", READ_BLOCK_MS, "STREAMS", self._key, self._last
            )
            self._failed_reads = 0
            if answer:
                next_at, rows = trio.current_time() + self._gather_s, rows_of(answer)
                size = await self._take_rows(rows, handle, on_gap)
                if len(rows) < BATCH_SIZE and size < MAX_ENTRY_BYTES:
                    await sleep_until(next_at)
            elif await self._has_gone_back():
                await self._restart_at(START, on_gap)
        except Refused:
            await self._skip_unreadable(on_gap)
            await trio.sleep(RETRY_S)

    async def _take_rows(self, rows: Rows, handle: Handle, on_gap: OnGap) -> int:
        """Handle these entries. Returns their bytes."""
        bytes_ = 0
        for id_, fields in rows:
            self._last = id_
            size = size_of(fields)
            bytes_ += size
            self._window.note(id_, size)
            entry = entry_of(fields)
            if entry is not None:
                await self._receive(entry, handle, on_gap)
            else:
                self._redis.note_unreadable("bus", entry=id_)
        return bytes_

    async def _receive(self, entry: Entry, handle: Handle, on_gap: OnGap) -> None:
        """Handle an entry, unless it was received before."""
        known = self._numbers.get(entry.node)
        self._note_alive(entry.node)
        if known is not None and entry.number <= known:
            return
        self._numbers[entry.node] = entry.number
        if entry.node != self.name:
            await self._handle_all(entry, handle)
            await self._check_number(entry, known, on_gap)
            self._note_peer(entry, is_new=known is None)
        if entry.leaves:
            self.forget([entry.node])

    def _note_alive(self, node: str) -> None:
        if node == self.name:
            if not self.is_healthy:
                self._healthy_since = trio.current_time()
            self._own_seen_at = trio.current_time()
        else:
            self._seen[node] = trio.current_time()

    async def _check_number(self, entry: Entry, known: int | None, on_gap: OnGap) -> None:
        """Report a gap before this entry; for a new node also before its first entry."""
        if known is None and entry.number > 1:
            self.gaps += 1
            await on_gap()
        elif known is not None and entry.number > known + 1:
            await self.report_gap(on_gap)

    def _note_peer(self, entry: Entry, *, is_new: bool) -> None:
        """Acknowledge a new node, and note the acknowledgements for this one."""
        if is_new and not entry.leaves:
            self._unacked.append(entry.node)
            self._work.set()
        if self.name in entry.acks:
            self._acked_by.add(entry.node)

    async def _handle_all(self, entry: Entry, handle: Handle) -> None:
        for message in entry.messages:
            self.received += 1
            try:
                await handle(bytes(message))
            except DecodeError as error:
                self._redis.note_unreadable("bus", node=entry.node, cause=str(error))
            except Exception:
                LOG.exception("a control message could not be applied", extra={"node": entry.node})

    async def report_gap(self, on_gap: OnGap) -> None:
        """Count a gap and call `on_gap`."""
        self.gaps += 1
        self.gap_at = now_ms()
        await on_gap()

    async def _newest(self) -> bytes:
        rows = await self._redis.call("XREVRANGE", self._key, "+", "-", "COUNT", 1)
        return pairs(rows)[0][0] if rows else START

    async def _has_gone_back(self) -> bool:
        """Whether the stream ends before the read position, because it is a new one."""
        assert self._last is not None
        return order_of(await self._newest()) < order_of(self._last)

    async def _restart_at(self, position: bytes, on_gap: OnGap) -> None:
        self._last = position
        self._window.clear()
        await self.report_gap(on_gap)

    async def _skip_unreadable(self, on_gap: OnGap) -> None:
        """Count a failed read. If writing works, the next entries are too large to be read in time, and are skipped."""
        self._failed_reads += 1
        last, written = self._last, self._written
        if self._failed_reads >= MAX_FAILED_READS and last and written and order_of(written) > order_of(last):
            self._failed_reads = 0
            self._redis.note_unreadable("bus", entry=last)
            await self._restart_at(written, on_gap)

    def statistics(self) -> dict[str, int]:
        counts = {"sent": self.published, "received": self.received, "gaps": self.gaps}
        return {**counts, "peers": len(self.peers()), "waiting": len(self._waiting)}


async def sleep_until(at: float) -> None:
    if at > trio.current_time():
        await trio.sleep_until(at)


async def wait_until(holds: Callable[[], bool]) -> None:
    while not holds():
        await trio.sleep(0.005)
