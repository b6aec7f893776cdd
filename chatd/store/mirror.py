"""The journal of the match pool, as a Redis stream: every step in its order, for whoever takes the pool over, and for reading.

An entry has `f`, the number of its owner's lease, `at` in milliseconds, and `s`, steps as a JSON array. The stream is bounded; so
now and then, and whenever something was lost because Redis was away, an entry begins with a reset and holds the whole pool.
Matching never waits for it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import trio
from msgspec import Struct

from chatd import log
from chatd.domain.match_steps import Reset, Step
from chatd.errors import Refused
from chatd.store.redis import Redis

LOG = log.get(__name__)

MOST_WAITING = 20_000
MOST_ENTRIES = 50_000
SNAPSHOT_EVERY = 5_000
PAGE = 200
# Seconds after which a mirror that does not hold all is worth a word; a new owner writes the whole pool within a moment.
LATE = 5.0


class Line(Struct):
    """One step, when it was taken, and under which lease."""

    at: int
    fence: int
    step: Step


Snapshot = Callable[[], tuple[int, list[Step]] | None]
DECODE = msgspec.json.Decoder(list[Step]).decode


class Mirror:
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
        self._work = trio.Event()
        self._since_snapshot = self._last_snapshot = self._entries = 0

    @property
    def is_late(self) -> bool:
        """Whether it has lacked something for so long that Redis is slow or away."""
        return self._stale_since is not None and trio.current_time() - self._stale_since > LATE

    def note(self, step: Step, fence: int) -> None:
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
            except Refused:
                self._lost()
                self._waiting.clear()
                LOG.warning("the mirror of the match pool is stale: Redis is away")
                await trio.sleep(1)
                self._work.set()

    async def _write_all(self) -> None:
        lines, self._waiting = self._waiting, []
        self._since_snapshot += len(lines)
        for at in range(0, len(lines), PAGE):
            page = lines[at : at + PAGE]
            await self._write(page[-1].fence, [line.step for line in page])
        if self._stale_since is not None or self._needs_snapshot():
            await self._write_snapshot()

    def _needs_snapshot(self) -> bool:
        """A large pool is written as a whole less often: what it costs for each step stays the same.

        But always before the last reset could be trimmed away, with which the next owner begins.
        """
        return self._since_snapshot >= max(SNAPSHOT_EVERY, 2 * self._last_snapshot) or self._entries >= MOST_ENTRIES // 2

    async def _write_snapshot(self) -> None:
        """The pool as it is, with what still waits to be written; even when nobody is in it."""
        found, losses = self._snapshot(), self._losses
        if found is not None:
            self._waiting.clear()
            self._last_snapshot = len(found[1])
            await self._write(found[0], [Reset(), *found[1]])
        self._since_snapshot = self._entries = 0
        if losses == self._losses:
            self._stale_since = None

    async def _write(self, fence: int, steps: list[Step]) -> None:
        self._entries += 1
        data = msgspec.json.encode(steps)
        await self._redis.call("XADD", self._key, "MAXLEN", "~", MOST_ENTRIES, "*", "f", fence, "at", self._clock(), "s", data)

    # --- reading it back ------------------------------------------------------------------------------------------------

    async def latest(self) -> list[Line]:
        """All steps since the last reset, in order, without those of owners who had been replaced. Raises Refused.

        Nothing when there is no reset: the beginning of the stream has been lost.
        """
        pages: list[list[Line]] = []
        until, fence = "+", 0
        while True:
            rows = await self._redis.call("XREVRANGE", self._key, until, "-", "COUNT", PAGE)
            for id_, fields in rows:
                until = f"({id_.decode()}"
                pages.append(list(lines_of(fields)))
                fence = max(fence, *(line.fence for line in pages[-1]))
                if isinstance(pages[-1][0].step, Reset) and pages[-1][0].fence == fence:
                    return since_reset(in_order(pages))
            if len(rows) < PAGE:
                return since_reset(in_order(pages))

    async def everything(self) -> list[Line]:
        """All that the stream holds. Raises Refused."""
        found: list[Line] = []
        since = "-"
        while True:
            rows = await self._redis.call("XRANGE", self._key, since, "+", "COUNT", PAGE)
            for id_, fields in rows:
                found += lines_of(fields)
                since = f"({id_.decode()}"
            if len(rows) < PAGE:
                return found


def lines_of(fields: dict[bytes, Any]) -> Iterator[Line]:
    for step in DECODE(fields[b"s"]):
        yield Line(int(fields[b"at"]), int(fields[b"f"]), step)


def in_order(pages: list[list[Line]]) -> list[Line]:
    """From the oldest page to the newest; what an owner wrote after it had been replaced does not count."""
    found: list[Line] = []
    fence = 0
    for page in reversed(pages):
        for line in page:
            if line.fence >= fence:
                fence = line.fence
                found.append(line)
    return found


def since_reset(lines: list[Line]) -> list[Line]:
    """From the last reset on."""
    resets = [number for number, line in enumerate(lines) if isinstance(line.step, Reset)]
    return lines[resets[-1] :] if resets else []
