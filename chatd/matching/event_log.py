"""The journal of the match pool, as a Redis stream: every step in its order, for whoever takes the pool over, and for reading.

An entry has `f`, the number of its owner's lease, `n`, its own number, `at` in milliseconds, and `s`, steps as a JSON array. The
stream is bounded, in entries and in bytes; so now and then, and whenever something was lost because Redis was away, an entry
begins with a reset and holds the whole pool. Matching never waits for it.
"""

from collections.abc import AsyncIterator, Callable, Generator, Iterable

import msgspec
import trio

from chatd.cluster.stream_window import StreamWindow, order_of
from chatd.core.errors import Refused
from chatd.core.turns import in_turns
from chatd.db.redis import Redis
from chatd.matching.event_log_pages import Line, Page, in_order, is_enough, page_of, since_reset
from chatd.matching.event_log_redaction import redact
from chatd.matching.pool_events import PoolEvent, Reset

MOST_WAITING = 20_000
MOST_ENTRIES = 50_000
MAX_STREAM_BYTES = 64 * 1024 * 1024
SNAPSHOT_EVERY = 5_000
PAGE = 200
# Events that are encoded in one slice.
ENCODED_AT_ONCE = 500
# Seconds after which a mirror that does not hold all is worth a word; a new owner writes the whole pool within a moment.
LATE = 5.0
# Seconds between two looks whether all is written.
FLUSH_POLL_S = 0.02


Snapshot = Callable[[], tuple[int, list[PoolEvent]] | None]


class PoolEventLog:
    """`note` steps; `run` writes them. `snapshot` gives the whole pool as steps, or None when it is not ours."""

    def __init__(self, redis: Redis, key: str, clock: Callable[[], int], snapshot: Snapshot) -> None:
        # Since when the stream lacks something; None when it holds all that it was given.
        self._stale_since: float | None = None
        self._losses = 0
        self._redis = redis
        self._key = redis.key(key)
        self._clock = clock
        self._snapshot = snapshot
        self._waiting: list[Line] = []
        # Users whose words are to be taken out of the stream.
        self._erased: set[tuple[str, str]] = set()
        self._writing = False
        self._work = trio.Event()
        # Events since the last snapshot, and in it; the number of the last entry, and of the last snapshot.
        self._since_snapshot = self._last_snapshot = 0
        self._number = self._whole_at = self._bytes_since_whole = 0
        self._window = StreamWindow(MOST_ENTRIES, MAX_STREAM_BYTES)
        self._whole_id: bytes | None = None

    @property
    def losses(self) -> int:
        """How often something was lost, or the stream may have held another pool than ours."""
        return self._losses

    @property
    def is_whole(self) -> bool:
        """Whether the stream lacks nothing."""
        return self._stale_since is None

    @property
    def is_late(self) -> bool:
        """Whether it has lacked something for so long that Redis is slow or away."""
        return self._stale_since is not None and trio.current_time() - self._stale_since > LATE

    def note(self, step: PoolEvent, fence: int) -> None:
        """Put a step on its way. When too many wait they are dropped, and the whole pool is written later."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.clear()
            self._lost()
        self._waiting.append(Line(self._clock(), fence, step))
        self._work.set()

    def renew(self) -> None:
        """The stream may hold another pool than ours: write the whole."""
        self._lost()
        self._work.set()

    def forget(self, users: Iterable[tuple[str, str]]) -> None:
        """These are erased: what they said of themselves goes from the stream."""
        self._erased |= set(users)
        if self._erased:
            self._work.set()

    def discard(self) -> None:
        """The pool is not ours any more: what was not written yet counts no more."""
        self._waiting.clear()
        self._erased.clear()

    def _lost(self) -> None:
        self._losses += 1
        if self._stale_since is None:
            self._stale_since = trio.current_time()

    async def run(self) -> None:
        """Write for ever, and mend what was lost."""
        while True:
            await self._work.wait()
            self._work = trio.Event()
            try:
                await self._write_all()
            except Exception as error:
                # Whoever makes up for the loss looks up the erased users as well.
                self._lost()
                self.discard()
                self._work.set()
                if not isinstance(error, Refused):
                    raise
                await trio.sleep(1)

    async def _write_all(self) -> None:
        lines, self._waiting = self._waiting, []
        self._writing = True
        try:
            if self._stale_since is None:
                await self._write_lines(lines)
            else:
                # What comes after a hole cannot be replayed: nothing is written before the whole is.
                await self._write_snapshot()
            if self._erased:
                erased = set(self._erased)
                await redact(self._redis, self._key, erased)
                self._erased -= erased
        finally:
            self._writing = False

    async def _write_lines(self, lines: list[Line]) -> None:
        self._since_snapshot += len(lines)
        for at in range(0, len(lines), PAGE):
            page = lines[at : at + PAGE]
            await self._write(page[-1].fence, [line.step for line in page])
        if self._needs_snapshot():
            await self._write_snapshot(whole=True)

    def _needs_snapshot(self) -> bool:
        """A large pool is written as a whole less often: what it costs for each step stays the same.

        But always before the last reset could be trimmed away, with which the next owner begins.
        """
        entries = self._number - self._whole_at
        is_half_full = entries >= MOST_ENTRIES // 2 or self._bytes_since_whole >= MAX_STREAM_BYTES // 2
        return self._since_snapshot >= max(SNAPSHOT_EVERY, 2 * self._last_snapshot) or is_half_full

    async def _write_snapshot(self, *, whole: bool = False) -> None:
        """The pool as it is, also an empty one; before it, where the stream is `whole`, what still waits to be written."""
        found, losses = self._snapshot(), self._losses
        if found is not None:
            waiting, self._waiting = self._waiting, []
            if whole and waiting:
                await self._write(waiting[-1].fence, [line.step for line in waiting])
            self._last_snapshot = len(found[1])
            self._whole_id = await self._write(found[0], [Reset(), *found[1]])
        self._since_snapshot, self._whole_at, self._bytes_since_whole = 0, self._number, 0
        if losses == self._losses:
            self._stale_since = None

    async def _write(self, fence: int, steps: list[PoolEvent]) -> bytes:
        """Returns the id of the entry. What is trimmed is never the last whole pool, nor anything after it."""
        data = await in_turns(encoded(steps))
        self._number += 1
        entry = ("f", fence, "n", self._number, "at", self._clock(), "s", data)
        trim: tuple[object, ...] = ("MAXLEN", "~", MOST_ENTRIES)
        if self._window.cut and self._whole_id:
            trim = ("MINID", "~", min(self._window.cut, self._whole_id, key=order_of))
        id_: bytes = await self._redis.call("XADD", self._key, *trim, "*", *entry)
        self._window.note(id_, len(data))
        self._bytes_since_whole += len(data)
        return id_

    # --- reading it back ------------------------------------------------------------------------------------------------

    async def flushed(self) -> None:
        """Wait until all that was noted before is written, or lost."""
        while self._waiting or self._writing:
            await trio.sleep(FLUSH_POLL_S)

    async def latest(self) -> list[Line]:
        """All steps since the last reset, in order, without those of owners who had been replaced. Raises Refused.

        Nothing when there is no reset: the beginning of the stream has been lost.
        """
        pages: list[Page] = []
        until = "+"
        while True:
            rows = await self._redis.call("XREVRANGE", self._key, until, "-", "COUNT", PAGE)
            for id_, fields in rows:
                until = f"({id_.decode()}"
                page = self._read(fields)
                if page is not None:
                    pages.append(page)
                if page is not None and is_enough(pages):
                    return since_reset(in_order(reversed(pages)))
            if len(rows) < PAGE:
                return since_reset(in_order(reversed(pages)))

    async def everything(self) -> list[Line]:
        """All that the stream holds. Raises Refused."""
        return [line async for page in self.pages() for line in page]

    async def pages(self) -> AsyncIterator[list[Line]]:
        """All that the stream holds, an entry at a time. Raises Refused."""
        since = "-"
        while True:
            rows = await self._redis.call("XRANGE", self._key, since, "+", "COUNT", PAGE)
            for id_, fields in rows:
                page = self._read(fields)
                if page is not None:
                    yield page.lines
                since = f"({id_.decode()}"
                await trio.lowlevel.checkpoint()
            if len(rows) < PAGE:
                return

    def _read(self, fields: dict[bytes, bytes]) -> Page | None:
        page = page_of(fields)
        if page is None:
            self._redis.note_unreadable("match log")
        return page


def encoded(steps: list[PoolEvent]) -> Generator[None, None, bytes]:
    """Steps as a JSON array, encoded in slices: a snapshot has one for each ticket."""
    parts = list[bytes]()
    for start in range(0, len(steps), ENCODED_AT_ONCE):
        parts.append(msgspec.json.encode(steps[start : start + ENCODED_AT_ONCE])[1:-1])
        yield
    return b"[" + b",".join(parts) + b"]"
