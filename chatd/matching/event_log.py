"""The event log of the match pool, a Redis stream: the next owner replays it, and operators export it.

An entry has the fields `f` (number of the owner's lease), `n` (number of the entry), `at` (milliseconds) and `s` (pool
events as a JSON array). Entries of one owner are numbered: Redis may execute a command after its sender has given it
up, so an entry that follows one with a higher number is outdated and skipped; so is what an owner writes after it was
replaced.

The stream is bounded in entries and in bytes. A snapshot is an entry that begins with `reset` and contains the whole
pool; it is written from time to time, and after events were lost because Redis was unavailable. Matching never waits
for the log.

An entry of a stream cannot be changed. To remove the data of erased users, the stream is copied entry by entry under
the same ids, and the copy replaces it. Only the owner does this. The id of an erased user remains.
"""

from collections.abc import AsyncIterator, Callable, Collection, Generator, Iterable, Sequence
from typing import Any

import msgspec
import trio
from msgspec import Struct, field
from msgspec.structs import replace

from chatd.cluster.stream_window import StreamWindow, order_of
from chatd.core.errors import Refused
from chatd.core.identity import UserKey
from chatd.core.turns import in_turns
from chatd.db.redis import Command, Redis
from chatd.matching.criteria import Accept, Ticket
from chatd.matching.owned_pool import OwnedPool
from chatd.matching.pool_events import Ended, Paired, PoolEvent, Queued, Reset

# Events that wait to be written. More are dropped, and a snapshot is written instead.
MAX_UNWRITTEN = 20_000
MAX_ENTRIES = 50_000
MAX_STREAM_BYTES = 64 * 1024 * 1024
EVENTS_PER_SNAPSHOT = 5_000
PAGE_SIZE = 200
# Events that are encoded in one slice.
ENCODED_PER_SLICE = 500
# After this time an incomplete log is reported; a new owner needs a moment for its first snapshot.
LAGGING_AFTER_S = 5.0
FLUSH_POLL_S = 0.02
RETRY_S = 1.0
DECODE = msgspec.json.Decoder(list[PoolEvent]).decode


class LoggedEvent(Struct):
    """One event, when it happened, and the number of the lease under which it was decided."""

    at: int
    fence: int
    event: PoolEvent = field(name="step")


class Entry(Struct):
    """One entry of the stream: the number of the lease, the number of the entry, and its events."""

    fence: int
    number: int
    events: list[LoggedEvent]

    @property
    def is_snapshot(self) -> bool:
        return isinstance(self.events[0].event, Reset)


def decode_entry(fields: dict[bytes, Any]) -> Entry | None:
    """An entry as Redis returns it; None if it is foreign, damaged, or of a newer version.

    Entries of an earlier version have no number.
    """
    try:
        fence, at = int(fields[b"f"]), int(fields[b"at"])
        events = [LoggedEvent(at, fence, event) for event in DECODE(fields[b"s"])]
        return Entry(fence, int(fields.get(b"n", 0)), events) if events else None
    except (KeyError, ValueError, RecursionError):
        return None


def encode_events(events: list[PoolEvent]) -> Generator[None, None, bytes]:
    """Encode events as a JSON array, in slices: a snapshot has one event for each ticket."""
    parts = list[bytes]()
    for start in range(0, len(events), ENCODED_PER_SLICE):
        parts.append(msgspec.json.encode(events[start : start + ENCODED_PER_SLICE])[1:-1])
        yield
    return b"[" + b",".join(parts) + b"]"


def can_replay(entries: Sequence[Entry]) -> bool:
    """Whether these entries, newest first, end with a snapshot, and no later entry of the same owner is missing."""
    first = entries[-1]
    since = {entry.number for entry in entries if entry.fence == first.fence and entry.number >= first.number}
    is_newest = all(entry.fence <= first.fence for entry in entries)
    return first.is_snapshot and is_newest and len(since) == max(since) - first.number + 1


def events_in_order(entries: Iterable[Entry]) -> list[LoggedEvent]:
    """The events of entries, oldest first, without those of outdated entries."""
    found: list[LoggedEvent] = []
    last = (0, 0)
    for entry in entries:
        if (entry.fence, entry.number) >= last:
            last = (entry.fence, entry.number)
            found += entry.events
    return found


def since_reset(events: list[LoggedEvent]) -> list[LoggedEvent]:
    """The events from the last reset on; none if there is no reset."""
    resets = [number for number, logged in enumerate(events) if isinstance(logged.event, Reset)]
    return events[resets[-1] :] if resets else []


class EventLogReader:
    """Reads the stream `key`."""

    def __init__(self, redis: Redis, key: str) -> None:
        self._redis = redis
        self._key = redis.key(key)

    async def latest(self) -> list[LoggedEvent]:
        """The events from the last reset on, without those of replaced owners. Raises Refused.

        Empty if the stream has no reset: its beginning was lost.
        """
        entries: list[Entry] = []
        until = "+"
        while True:
            rows = await self._redis.call("XREVRANGE", self._key, until, "-", "COUNT", PAGE_SIZE)
            for id_, fields in rows:
                until = f"({id_.decode()}"
                entry = self._decode(fields)
                if entry is not None:
                    entries.append(entry)
                if entry is not None and can_replay(entries):
                    return since_reset(events_in_order(reversed(entries)))
            if len(rows) < PAGE_SIZE:
                return since_reset(events_in_order(reversed(entries)))

    async def everything(self) -> list[LoggedEvent]:
        """All events of the stream. Raises Refused."""
        return [logged async for entry in self.entries() for logged in entry.events]

    async def entries(self) -> AsyncIterator[Entry]:
        """All entries of the stream. Raises Refused."""
        since = "-"
        while True:
            rows = await self._redis.call("XRANGE", self._key, since, "+", "COUNT", PAGE_SIZE)
            for id_, fields in rows:
                entry = self._decode(fields)
                if entry is not None:
                    yield entry
                since = f"({id_.decode()}"
                await trio.lowlevel.checkpoint()
            if len(rows) < PAGE_SIZE:
                return

    def _decode(self, fields: dict[bytes, bytes]) -> Entry | None:
        entry = decode_entry(fields)
        if entry is None:
            self._redis.note_unreadable("event_log")
        return entry


class PoolEventLog:
    """Writes the events of the owned pool. `append` events; `run` writes them.

    `losses` counts how often events were lost, or the stream may have contained another pool. `EventLogAudit` adds what
    was lost and sets `audited_losses`; until then no end of a match is logged, because its `paired` may be missing.
    """

    def __init__(
        self,
        redis: Redis,
        key: str,
        owned: OwnedPool,
        clock: Callable[[], int],
        *,
        max_entries: int = MAX_ENTRIES,
        max_stream_bytes: int = MAX_STREAM_BYTES,
        lagging_after_s: float = LAGGING_AFTER_S,
    ) -> None:
        self.reader = EventLogReader(redis, key)
        # Matches with a `paired` in the log and no `ended`, and since when in milliseconds.
        self.open_matches: dict[str, int] = {}
        self.losses = self.audited_losses = 0
        # When the log began to lack events, in milliseconds; None if it was audited after the last loss.
        self.lost_since: int | None = None
        # When the stream began to lack events, on Trio's clock; None after a snapshot was written.
        self._stale_since: float | None = None
        self._redis = redis
        self._key = redis.key(key)
        self._owned = owned
        self._clock = clock
        self._unwritten: list[LoggedEvent] = []
        # Users whose data is to be removed from the stream.
        self._erased: set[UserKey] = set()
        self._writing = False
        self._work = trio.Event()
        # Events since the last snapshot, and in it; numbers of the last entry and of the last snapshot.
        self._since_snapshot = self._last_snapshot = 0
        self._number = self._snapshot_number = self._bytes_since_snapshot = 0
        self._max_entries = max_entries
        self._max_stream_bytes = max_stream_bytes
        self._lagging_after_s = lagging_after_s
        self._window = StreamWindow(max_entries, max_stream_bytes)
        self._snapshot_id: bytes | None = None

    @property
    def is_ours(self) -> bool:
        """Whether this node owns the pool, and so writes the log."""
        return self._owned.held

    @property
    def is_audited(self) -> bool:
        """Whether the audit has added what every loss left out."""
        return self.losses == self.audited_losses

    @property
    def is_complete(self) -> bool:
        """Whether the stream begins with a snapshot and lacks nothing after it."""
        return self._stale_since is None

    @property
    def is_lagging(self) -> bool:
        """Whether the stream has been incomplete for long enough that Redis must be slow or unavailable."""
        return self._stale_since is not None and trio.current_time() - self._stale_since > self._lagging_after_s

    def append(self, event: PoolEvent) -> None:
        if isinstance(event, Paired):
            self.open_matches[event.match] = self._clock()
        if len(self._unwritten) >= MAX_UNWRITTEN:
            self._unwritten.clear()
            self._note_loss()
        self._unwritten.append(LoggedEvent(self._clock(), self._owned.lease.fence, event))
        self._work.set()

    def append_end(self, match: str, reason: str) -> None:
        """Log the end of a match once, and not before its `paired`, which the audit may have to add first."""
        if self.is_audited and self.open_matches.pop(match, None) is not None:
            self.append(Ended(match, reason))

    def rewrite(self) -> None:
        """Write a snapshot: the stream may contain another pool than this one."""
        self._note_loss()
        self._work.set()

    def erase(self, users: Iterable[UserKey]) -> None:
        """Remove the data of these users from the stream."""
        self._erased |= set(users)
        if self._erased:
            self._work.set()

    def mark_audited(self, losses: int) -> None:
        """Note that the audit has added what the first `losses` losses left out."""
        self.audited_losses = losses
        if self.is_audited:
            self.lost_since = None

    def discard(self) -> None:
        """Drop the events that are not written yet: this node no longer owns the pool."""
        self._unwritten.clear()
        self._erased.clear()

    def _note_loss(self) -> None:
        self.losses += 1
        if self.lost_since is None:
            self.lost_since = self._clock()
        if self._stale_since is None:
            self._stale_since = trio.current_time()

    async def flushed(self) -> None:
        """Wait until everything appended before is written or lost."""
        while self._unwritten or self._writing:
            await trio.sleep(FLUSH_POLL_S)

    async def run(self) -> None:
        """Write until cancelled. After a failure a snapshot is written."""
        while True:
            await self._work.wait()
            self._work = trio.Event()
            try:
                await self._write_all()
            except Exception as error:
                # The audit looks up erased users after a loss.
                self._note_loss()
                self.discard()
                self._work.set()
                if not isinstance(error, Refused):
                    raise
                await trio.sleep(RETRY_S)

    async def _write_all(self) -> None:
        events, self._unwritten = self._unwritten, []
        self._writing = True
        try:
            if self._stale_since is None:
                await self._write_events(events)
            else:
                # Events after a gap cannot be replayed without a snapshot.
                await self._write_snapshot()
            if self._erased:
                erased = set(self._erased)
                await redact(self._redis, self._key, erased)
                self._erased -= erased
        finally:
            self._writing = False

    async def _write_events(self, events: list[LoggedEvent]) -> None:
        self._since_snapshot += len(events)
        for at in range(0, len(events), PAGE_SIZE):
            page = events[at : at + PAGE_SIZE]
            await self._write(page[-1].fence, [logged.event for logged in page])
        if self._needs_snapshot():
            await self._write_snapshot(flush=True)

    def _needs_snapshot(self) -> bool:
        """Whether a snapshot is due. In a large pool snapshots are rarer, so that the cost per event stays the same.

        But the last reset is never trimmed: the next owner begins with it.
        """
        entries = self._number - self._snapshot_number
        is_half_full = entries >= self._max_entries // 2 or self._bytes_since_snapshot >= self._max_stream_bytes // 2
        return self._since_snapshot >= max(EVENTS_PER_SNAPSHOT, 2 * self._last_snapshot) or is_half_full

    async def _write_snapshot(self, *, flush: bool = False) -> None:
        """Write the whole pool, even an empty one.

        `flush`: write the unwritten events before it, else it replaces them.
        """
        found, losses = self._owned.snapshot(), self.losses
        if found is not None:
            unwritten, self._unwritten = self._unwritten, []
            if flush and unwritten:
                await self._write(unwritten[-1].fence, [logged.event for logged in unwritten])
            self._last_snapshot = len(found[1])
            self._snapshot_id = await self._write(found[0], [Reset(), *found[1]])
        self._since_snapshot, self._snapshot_number, self._bytes_since_snapshot = 0, self._number, 0
        if losses == self.losses:
            self._stale_since = None

    async def _write(self, fence: int, events: list[PoolEvent]) -> bytes:
        """Add an entry and return its id. Trims the stream, but never the last snapshot or an entry after it."""
        data = await in_turns(encode_events(events))
        self._number += 1
        entry = ("f", fence, "n", self._number, "at", self._clock(), "s", data)
        trim: tuple[object, ...] = ("MAXLEN", "~", self._max_entries)
        if self._window.cut and self._snapshot_id:
            trim = ("MINID", "~", min(self._window.cut, self._snapshot_id, key=order_of))
        id_: bytes = await self._redis.call("XADD", self._key, *trim, "*", *entry)
        self._window.note(id_, len(data))
        self._bytes_since_snapshot += len(data)
        return id_


class Redaction:
    """Removes tags and attributes of these users from the events of one stream, in their order.

    Before its first reset the stream may contain pairs whose tickets were trimmed: they may belong to these users.
    """

    def __init__(self, users: Collection[UserKey]) -> None:
        self._users = users
        self._tickets: set[str] = set()
        # Tickets of other users; None after a reset, from which on all tickets are known.
        self._others: set[str] | None = set()

    def redact(self, event: PoolEvent) -> PoolEvent:
        if isinstance(event, Reset):
            self._others = None
        if isinstance(event, Queued):
            return self._redact_ticket(event)
        if isinstance(event, Paired) and self._may_be_theirs(event):
            return replace(event, matched_on=[])
        return event

    def _redact_ticket(self, event: Queued) -> Queued:
        if event.ticket.user_key in self._users:
            self._tickets.add(event.ticket.id)
            return Queued(without_criteria(event.ticket))
        if self._others is not None:
            self._others.add(event.ticket.id)
        return event

    def _may_be_theirs(self, pair: Paired) -> bool:
        unknown = self._others is not None and not self._others.issuperset(pair.tickets)
        return unknown or not self._tickets.isdisjoint(pair.tickets)


def without_criteria(ticket: Ticket) -> Ticket:
    return replace(ticket, tags=(), attributes={}, accept=Accept())


async def redact(redis: Redis, key: str, users: Collection[UserKey]) -> None:
    """Replace the stream by a copy without the data of these users.

    Raises Refused, and then leaves the stream as it was.
    """
    copy, redaction = f"{key}:copy", Redaction(users)
    await redis.call("DEL", copy)
    since, last = "-", b""
    while True:
        rows = await redis.call("XRANGE", key, since, "+", "COUNT", PAGE_SIZE)
        for id_, fields in rows:
            entry = decode_entry(fields)
            if entry is not None:
                events = [redaction.redact(logged.event) for logged in entry.events]
                fields = {**fields, b"s": msgspec.json.encode(events)}
            await redis.call("XADD", copy, id_, *(part for pair in fields.items() for part in pair))
            since, last = f"({id_.decode()}", id_
        await trio.lowlevel.checkpoint()
        if len(rows) < PAGE_SIZE:
            break
    if last:
        await replace_stream(redis, key, copy, last)


async def replace_stream(redis: Redis, key: str, copy: str, last: bytes) -> None:
    """Replace the stream by the copy if `last` is still the id of the last entry. Raises Refused.

    A node that has lost its lease must not overwrite what the next owner has written.
    """

    def decide(entries: Sequence[tuple[bytes, Any]]) -> tuple[bool, list[Command]]:
        is_last = bool(entries) and entries[0][0] == last
        return is_last, [("RENAME", copy, key)] if is_last else [("DEL", copy)]

    if not await redis.update([key], [("XREVRANGE", key, "+", "-", "COUNT", 1)], decide):
        raise Refused("unavailable", "another node has written to the event log in the meantime")
