"""Node to node: one Redis stream that every node writes to and reads, batch by batch.

What is published while one write is on its way leaves together as the next entry. Each node reads all entries, its own too, on
a connection of its own, and remembers its last position, so that a hiccup of Redis loses nothing.

Entries can still be lost: the stream is trimmed, flushed, or Redis starts again empty. So every node numbers its entries, and
writes one every second even when it has nothing to say. A number that is missing or a stream that has gone back says that
something may have been lost, and `lost` is called: the truth is in Postgres. Two other signs do not end by themselves, and are
watched by `cluster/peer_watch.py`: a node that does not read its own entries back (`well`), and another node that writes no more
(`silent`). Entries that were written by others prove nothing about the way of one's own: after a failover of Redis, a node may
read from one server and write to another.

A node that knows of no other publishes nothing. A node is known from its first entry until it says goodbye, or until
`forget` is called because it is dead. Whoever comes new says so, and waits until each of the others has written something after
hearing it (`introduce`): from then on it is told everything.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import trio
from msgspec import DecodeError, Raw

from chatd.cluster.stream_entries import (
    ENCODE,
    MAX_AGE_S,
    MAX_ENTRY_BYTES,
    MAX_STREAM_BYTES,
    MOST_ENTRIES,
    PAGE,
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
from chatd.core.errors import Refused
from chatd.db.redis import Redis

LOG = log.get(__name__)

BEAT = 1.0
LEASE = 10
# Seconds without an entry of a node (this one or another) after which some of its entries may be missing.
SILENCE = 3.0
# Seconds after an outage in which silence says nothing of another node.
SETTLE = 2 * SILENCE
MOST_WAITING = 50_000
MAX_WAITING_BYTES = 64 * 1024 * 1024
MOST_IN_ENTRY = 2_000
MOST_WRITES = 5_000
BLOCK_MS = 1000
# Attempts to read that fail while writing works, after which what cannot be read is skipped.
MAX_FAILED_READS = 3
START = b"0-0"
Obey = Callable[[bytes], Awaitable[None]]
Lost = Callable[[], Awaitable[None]]
Rows = list[tuple[bytes, dict[bytes, bytes]]]


class Bus:
    """`publish`, and be told what the others publish. `name` is this node's, never used twice."""

    def __init__(self, redis: Redis, name: str) -> None:
        self.name = name
        # Orders that were given to `publish`; entries, by the last of these orders in them and when they were written (0: never).
        self.given = 0
        self.writes: deque[tuple[int, int]] = deque(maxlen=MOST_WRITES)
        self.published = self.heard = self.gaps = 0
        # When something was last missed, in milliseconds; what happened before a node was known does not count.
        self.gap_at = 0
        self._redis = redis
        self._key = redis.key("bus")
        self._open: list[Raw] = []
        self._open_bytes = 0
        self._new: list[str] = []
        self._welcomed_by: set[str] = set()
        self._work = trio.Event()
        self._number = 0
        self._writing = self._leaving = False
        self._last: bytes | None = None
        self._written: bytes | None = None
        self._failed_reads = 0
        self._numbers: dict[str, int] = {}
        self._seen: dict[str, float] = {}
        self._own_seen_at = self._well_since = trio.current_time()
        self._window = StreamWindow(MOST_ENTRIES, MAX_STREAM_BYTES, MAX_AGE_S)

    # --- out ------------------------------------------------------------------------------------------------------------

    @property
    def alone(self) -> bool:
        """Whether certainly nobody else listens."""
        return self.well and not self._seen

    @property
    def well(self) -> bool:
        """Whether this node's own entries, one each second at least, come back to it."""
        return trio.current_time() - self._own_seen_at < SILENCE

    @property
    def is_settled(self) -> bool:
        """Whether a node that is silent is gone: after an outage of Redis the others have as long again to be back."""
        return self.well and (trio.current_time() - self._well_since >= SETTLE or not self.silent())

    def peers(self, within: float = LEASE) -> list[str]:
        """The other nodes that have been heard of in the last seconds."""
        now = trio.current_time()
        return [name for name, at in self._seen.items() if now - at < within]

    def silent(self) -> set[str]:
        """The other nodes that are known, and have not been heard of for too long."""
        return set(self._seen) - set(self.peers(SILENCE))

    def expect(self, names: Iterable[str]) -> None:
        """These nodes exist, whether they have been heard of or not. Their silence counts from now."""
        for name in names:
            if name != self.name:
                self._seen.setdefault(name, trio.current_time())

    def forget(self, names: Iterable[str]) -> None:
        """These nodes are dead."""
        for name in names:
            self._seen.pop(name, None)
            self._numbers.pop(name, None)
            self._welcomed_by.discard(name)

    async def reconnect(self) -> None:
        """The connections to Redis may lead to the wrong server."""
        await self._redis.reconnect()

    def publish(self, order: bytes) -> None:
        """Put an order on its way to the others; nothing waits. When too many wait they are dropped, and the others notice."""
        if self.alone:
            return
        if len(self._open) >= MOST_WAITING or self._open_bytes >= MAX_WAITING_BYTES:
            LOG.warning("the bus is behind: orders were dropped", extra={"orders": len(self._open)})
            self._open.clear()
            self._open_bytes = 0
            self._number += 1
            self.writes.append((self.given, 0))
        self.given += 1
        self._open.append(Raw(order))
        self._open_bytes += len(order)
        self._work.set()

    async def write(self) -> None:
        """Write until we leave: what is waiting, or once a second that we are here."""
        while True:
            with trio.move_on_after(BEAT):
                await self._work.wait()
            self._work = trio.Event()
            if self._leaving:
                return
            await self._write_all()

    async def _write_all(self) -> None:
        """At least one entry. The same entry is written until it has arrived; who hears it twice knows it by its number."""
        while True:
            batch = self._take_batch()
            last = self.given - len(self._open)
            self._number += 1
            welcome, self._new = self._new, []
            await self._write(ENCODE(Entry(self.name, self._number, welcome, batch)))
            self.published += len(batch)
            if batch:
                self.writes.append((last, now_ms()))
            if not self._open:
                return

    def _take_batch(self) -> list[Raw]:
        """The orders of the next entry: as many as fit, and at least one where one is waiting."""
        count = size = 0
        for order in self._open[:MOST_IN_ENTRY]:
            size += len(order)
            if count and size > MAX_ENTRY_BYTES:
                break
            count += 1
        batch, self._open = self._open[:count], self._open[count:]
        self._open_bytes -= sum(map(len, batch))
        return batch

    async def _write(self, entry: bytes) -> None:
        self._writing = True
        while self._writing:
            trim = ("MINID", "~", self._window.cut) if self._window.cut else ()
            try:
                self._written = await self._redis.call("XADD", self._key, *trim, "*", "b", entry)
                self._writing = False
            except Refused:
                await trio.sleep(0.2)

    async def leave(self) -> None:
        """Wait until nothing is on its way to the others, and say goodbye. Nothing must be published after it."""
        await until(lambda: not self._open and not self._writing)
        self._leaving = True
        self._number += 1
        await self._write(ENCODE(Entry(self.name, self._number, [], [], leaves=True)))

    async def introduce(self, patience: float) -> None:
        """Returns when every node that is there knows of us, at the latest after `patience` seconds.

        First we say that we are here, then we look who else is. Of two that come at once the later one sees the other.
        """
        with trio.move_on_after(patience), suppress(Refused):
            await until(lambda: self._last is not None)
            self._work.set()
            await until(lambda: self._number > 0 and not self._writing)
            here = set(await recent(self._redis)) - {self.name}
            await until(lambda: here <= self._welcomed_by)

    def written_at(self, order: int) -> int | None:
        """When the order with this number (see `given`) was written, in milliseconds; 0 when it was dropped.

        None: not yet, or too long ago to know.
        """
        later = [write for write in self.writes if write[0] >= order]
        return min(later)[1] if later and (len(self.writes) < MOST_WRITES or self.writes[0][0] < order) else None

    @property
    def waiting(self) -> int:
        """Orders that are not written yet."""
        return len(self._open)

    # --- in -------------------------------------------------------------------------------------------------------------

    async def read(self, obey: Obey, lost: Lost) -> None:
        """Read for ever. `obey` is called for each order of the others, `lost` when some may have been missed."""
        while True:
            try:
                if self._last is None:
                    self._last = await self._newest()
                answer = await self._redis.call("XREAD", "COUNT", PAGE, "BLOCK", BLOCK_MS, "STREAMS", self._key, self._last)
                self._failed_reads = 0
                if answer:
                    await self._take(rows_of(answer), obey, lost)
                elif await self._has_gone_back():
                    await self._start_again(START, lost)
            except Refused:
                await self._skip_unreadable(lost)
                await trio.sleep(0.2)

    async def _take(self, rows: Rows, obey: Obey, lost: Lost) -> None:
        for id_, fields in rows:
            self._last = id_
            self._window.note(id_, size_of(fields))
            entry = entry_of(fields)
            if entry is not None:
                await self._hear(entry, obey, lost)
            else:
                self._redis.note_unreadable("bus", entry=id_)

    async def _hear(self, entry: Entry, obey: Obey, lost: Lost) -> None:
        """An entry, unless it was heard before."""
        known = self._numbers.get(entry.node)
        self._note_heard(entry.node)
        if known is not None and entry.number <= known:
            return
        self._numbers[entry.node] = entry.number
        if entry.node != self.name:
            await self._obey_all(entry, obey)
            await self._check_number(entry, known, lost)
            self._meet(entry, is_new=known is None)
        if entry.leaves:
            self.forget([entry.node])

    def _note_heard(self, node: str) -> None:
        if node == self.name:
            if not self.well:
                self._well_since = trio.current_time()
            self._own_seen_at = trio.current_time()
        else:
            self._seen[node] = trio.current_time()

    async def _check_number(self, entry: Entry, known: int | None, lost: Lost) -> None:
        """Whether something is missing since the last entry of this node; of a new one, since its first."""
        if known is None and entry.number > 1:
            self.gaps += 1
            await lost()
        elif known is not None and entry.number > known + 1:
            await self.miss(lost)

    def _meet(self, entry: Entry, *, is_new: bool) -> None:
        """Welcome who is new, and note who has welcomed us."""
        if is_new and not entry.leaves:
            self._new.append(entry.node)
            self._work.set()
        if self.name in entry.welcome:
            self._welcomed_by.add(entry.node)

    async def _obey_all(self, entry: Entry, obey: Obey) -> None:
        for order in entry.orders:
            self.heard += 1
            try:
                await obey(bytes(order))
            except DecodeError as error:
                self._redis.note_unreadable("bus", node=entry.node, cause=str(error))
            except Exception:
                LOG.exception("an order could not be carried out", extra={"node": entry.node})

    async def miss(self, lost: Lost) -> None:
        """Something may have been missed."""
        self.gaps += 1
        self.gap_at = now_ms()
        await lost()

    async def _newest(self) -> bytes:
        rows = await self._redis.call("XREVRANGE", self._key, "+", "-", "COUNT", 1)
        return pairs(rows)[0][0] if rows else START

    async def _has_gone_back(self) -> bool:
        """Whether the stream ends before where we have read: it is another one."""
        assert self._last is not None
        return order_of(await self._newest()) < order_of(self._last)

    async def _start_again(self, position: bytes, lost: Lost) -> None:
        self._last = position
        self._window.clear()
        await self.miss(lost)

    async def _skip_unreadable(self, lost: Lost) -> None:
        """After an attempt to read that failed. Where writing goes on, the next entries are too large to be read in time."""
        self._failed_reads += 1
        last, written = self._last, self._written
        if self._failed_reads >= MAX_FAILED_READS and last and written and order_of(written) > order_of(last):
            self._failed_reads = 0
            self._redis.note_unreadable("bus", entry=last)
            await self._start_again(written, lost)

    def statistics(self) -> dict[str, int]:
        counts = {"published": self.published, "heard": self.heard, "gaps": self.gaps}
        return {**counts, "peers": len(self.peers()), "waiting": len(self._open)}


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await trio.sleep(0.005)
