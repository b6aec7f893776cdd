"""Node to node: one Redis stream that every node writes to and reads, batch by batch.

What is published while one write is on its way leaves together as the next entry. Each node reads all entries, its own too, on
a connection of its own, and remembers its last position, so that a hiccup of Redis loses nothing.

Entries can still be lost: the stream is trimmed, flushed, or Redis starts again empty. So every node numbers its entries, and
writes one every second even when it has nothing to say; a number that is missing, a stream that has gone back, or silence says
that something may have been lost, and `lost` is called: the truth is in Postgres.

A node with nobody to talk to publishes nothing. Whoever comes new says so, and waits until each of the others has written
something after hearing it (`introduce`): from then on it is told everything.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
import trio
from msgspec import Raw

from chatd import log
from chatd.clock import now_ms
from chatd.errors import Refused
from chatd.store.bus_entries import DECODE, ENCODE, MOST_ENTRIES, Entry, entries_of, order_of, pairs, recent
from chatd.store.redis import Redis

LOG = log.get(__name__)

BEAT = 1.0
LEASE = 10
# Seconds without any entry after which nobody can be sure to have heard everything, and between looks into Postgres then.
SILENCE = 4.0
POLL = 5.0
MOST_WAITING = 50_000
MOST_IN_ENTRY = 2_000
MOST_WRITES = 5_000
AT_ONCE = 200
BLOCK_MS = 1000
START = b"0-0"
Obey = Callable[[bytes], Awaitable[None]]
Lost = Callable[[], Awaitable[None]]


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
        self._new: list[str] = []
        self._welcomed_by: set[str] = set()
        self._work = trio.Event()
        self._number = 0
        self._writing = self._leaving = False
        self._last: bytes | None = None
        self._numbers: dict[str, int] = {}
        self._seen: dict[str, float] = {}
        self._heard_at = trio.current_time()

    # --- out ------------------------------------------------------------------------------------------------------------

    @property
    def alone(self) -> bool:
        """Whether certainly nobody else listens."""
        return self.well and not self.peers()

    @property
    def well(self) -> bool:
        """Whether entries come in: one's own do every second."""
        return trio.current_time() - self._heard_at < SILENCE

    def peers(self, within: float = LEASE) -> list[str]:
        """The other nodes that have been heard of in the last seconds."""
        now = trio.current_time()
        return [name for name, at in self._seen.items() if name != self.name and now - at < within]

    def publish(self, order: bytes) -> None:
        """Put an order on its way to the others; nothing waits. When too many wait they are dropped, and the others notice."""
        if self.alone:
            return
        if len(self._open) >= MOST_WAITING:
            LOG.warning("the bus is behind: orders were dropped", extra={"orders": len(self._open)})
            self._open.clear()
            self._number += 1
            self.writes.append((self.given, 0))
        self.given += 1
        self._open.append(Raw(order))
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
            batch, self._open = self._open[:MOST_IN_ENTRY], self._open[MOST_IN_ENTRY:]
            last = self.given - len(self._open)
            self._number += 1
            welcome, self._new = self._new, []
            await self._write(ENCODE(Entry(self.name, self._number, welcome, batch)))
            self.published += len(batch)
            if batch:
                self.writes.append((last, now_ms()))
            if not self._open:
                return

    async def _write(self, entry: bytes) -> None:
        self._writing = True
        while self._writing:
            try:
                await self._redis.call("XADD", self._key, "MAXLEN", "~", MOST_ENTRIES, "*", "b", entry)
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
                rows = await self._redis.call("XREAD", "COUNT", AT_ONCE, "BLOCK", BLOCK_MS, "STREAMS", self._key, self._last)
                if rows:
                    await self._take(entries_of(rows), obey, lost)
                elif await self._has_gone_back():
                    self._last = START
                    await self._miss(lost)
            except Refused:
                await trio.sleep(0.2)

    async def _take(self, entries: list[tuple[bytes, bytes]], obey: Obey, lost: Lost) -> None:
        for id_, data in entries:
            self._last, self._heard_at = id_, trio.current_time()
            try:
                entry = DECODE(data)
            except msgspec.DecodeError:
                LOG.warning("an entry of the bus could not be read", extra={"entry": id_})
            else:
                await self._hear(entry, obey, lost)

    async def _hear(self, entry: Entry, obey: Obey, lost: Lost) -> None:
        """An entry, unless it was heard before."""
        known = self._numbers.get(entry.node)
        self._seen[entry.node] = self._heard_at
        if known is not None and entry.number <= known:
            return
        self._numbers[entry.node] = entry.number
        if entry.leaves:
            self._seen.pop(entry.node)
        if entry.node != self.name:
            await self._obey_all(entry, obey)
            await self._check_number(entry, known, lost)
            self._meet(entry, is_new=known is None)

    async def _check_number(self, entry: Entry, known: int | None, lost: Lost) -> None:
        """Whether something is missing since the last entry of this node; of a new one, since its first."""
        if known is None and entry.number > 1:
            self.gaps += 1
            await lost()
        elif known is not None and entry.number > known + 1:
            await self._miss(lost)

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
            except Exception:
                LOG.exception("an order could not be carried out", extra={"node": entry.node})

    async def _miss(self, lost: Lost) -> None:
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

    async def watch(self, lost: Lost) -> None:
        """While nothing is heard, ask Postgres every few seconds, and once more when it is over. Forget who has gone."""
        while True:
            await trio.sleep(1.0)
            self._forget()
            was_away = not self.well
            while not self.well:
                await self._miss(lost)
                with trio.move_on_after(POLL):
                    while not self.well:
                        await trio.sleep(0.1)
            if was_away:
                # The others may have thought that we were gone, until they heard of us again just now.
                await self._miss(lost)
                await trio.sleep(2 * BEAT)
                await self._miss(lost)

    def _forget(self) -> None:
        old = trio.current_time() - 60 * LEASE
        for name in [name for name, at in self._seen.items() if at < old]:
            self._seen.pop(name)
        for name in self._numbers.keys() - self._seen.keys():
            self._numbers.pop(name)

    def statistics(self) -> dict[str, int]:
        counts = {"published": self.published, "heard": self.heard, "gaps": self.gaps}
        return {**counts, "peers": len(self.peers()), "waiting": len(self._open)}


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await trio.sleep(0.005)
