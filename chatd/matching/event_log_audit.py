"""Whether the journal of the pool says of matches what the database says: for each match one `paired`, and one `ended` after it.

Only the owner of the pool writes. It writes steps as they are decided and ends as it is told of them, and both may be missing: an
owner dies between the commit and the entry, Redis is away, the word of an end is lost. So whoever becomes owner, and whoever has
lost entries, reads the stream once and adds what the database knows beyond it; and every few seconds the owner asks the database
which of the matches that are open in the stream have ended, and which users were erased, as orders to forget them may be lost.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from sys import maxsize

import trio

from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.ids import first_id
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.matching.event_log import PoolEventLog
from chatd.matching.pool_events import Ended, MatchCommitted, Paired, PoolEvent

LOG = log.get(__name__)
SQL = queries.load("matching/match_log")
# Seconds between two questions which open matches have ended, and after one that failed; matches in one of them.
CHECK_EVERY, TICK, PAGE = 5.0, 0.5, 500
# Milliseconds after which a pair that the database does not know is no match any more.
FORGET_AFTER = 60_000
# Milliseconds after an erasure when the owner looks it up: by then no session of the user can write a ticket.
ERASED_FOR_MS = 60_000


class Found:
    """What the stream holds: matches with their `paired`, those with their `ended`, and the time of the first entry."""

    def __init__(self) -> None:
        self.paired: set[str] = set()
        self.ended: set[str] = set()
        self.since: int | None = None


class EventLogAudit:
    """`note` and `close` while the pool is ours; `run` beside it.

    `write` puts a step into the stream, `pending` are the pairs that are not settled yet, `forget` takes erased users out of the
    pool, and what they said of themselves out of the stream.
    """

    def __init__(
        self,
        db: Postgres,
        mirror: PoolEventLog,
        clock: Callable[[], int],
        pending: Callable[[], Mapping[str, Paired]],
        write: Callable[[PoolEvent], None],
        forget: Callable[[Collection[tuple[str, str]]], None],
    ) -> None:
        # Matches with a `paired` in the stream and no `ended`, and since when.
        self._open: dict[str, int] = {}
        # While the stream is read: whose `paired` was written meanwhile.
        self._meanwhile: set[str] | None = None
        # How many losses of the mirror have been made up for, and since when it has lacked something.
        self._losses = 0
        self._lost_at: int | None = None
        self._db = db
        self._mirror = mirror
        self._clock = clock
        self._pending = pending
        self._write = write
        self._forget_users = forget
        # Erasures up to this time, in milliseconds, are looked up.
        self._erased_until = 0

    def note(self, step: PoolEvent) -> None:
        """A step that is about to be written."""
        if isinstance(step, Paired):
            self._open[step.match] = self._clock()
            if self._meanwhile is not None:
                self._meanwhile.add(step.match)

    def close(self, match: str, reason: str) -> None:
        """A match has ended: written once, and not before its `paired`, which may have to be added first."""
        if self._is_behind or self._open.pop(match, None) is None:
            return
        self._write(Ended(match, reason))

    @property
    def _is_behind(self) -> bool:
        """Whether the stream may lack what it was given."""
        return self._losses != self._mirror.losses

    async def run(self, held: Callable[[], bool]) -> None:
        """For ever: while the pool is ours, make the stream say what the database says."""
        next_check = 0.0
        while True:
            await trio.sleep(TICK)
            if self._lost_at is None and self._is_behind:
                self._lost_at = self._clock()
            if not held() or not self._mirror.is_whole:
                continue
            # A database that is away is logged by its own condition; the comparison is made again.
            with suppress(Refused):
                if self._is_behind:
                    await self._catch_up()
                elif trio.current_time() >= next_check:
                    next_check = trio.current_time() + CHECK_EVERY
                    await self._check_open()
                    await self._check_erased(self._erased_until, self._clock() - ERASED_FOR_MS)

    async def _catch_up(self) -> None:
        """Read the stream, and add what it lacks. Raises Refused: then it is done again."""
        losses, began = self._mirror.losses, self._lost_at or self._clock()
        self._meanwhile = set()
        try:
            await self._mirror.flushed()
            found = await self._read()
            since = began if found.since is None else min(found.since, began)
            self._open = {match: self._clock() for match in (found.paired | self._meanwhile) - found.ended}
            after = first_id(since)
            while rows := await self._db.all(SQL.since, after, PAGE):
                for row in rows:
                    if row["id"] not in self._meanwhile and row["id"] not in found.paired:
                        # Of its tickets nothing is known any more.
                        self._add(Paired(row["id"], [], row["created_at"], [], {}), MatchCommitted(row["id"]))
                after = rows[-1]["id"]
            for match, pair in self._pending().items():
                if match not in found.paired and match not in self._meanwhile:
                    self._add(pair)
        finally:
            self._meanwhile = None
        await self._check_erased(since - 1, maxsize)
        self._losses, self._lost_at = losses, None
        await self._check_open()

    async def _read(self) -> Found:
        found = Found()
        async for lines in self._mirror.pages():
            for line in lines:
                found.since = line.at if found.since is None else found.since
                # Not `Pending`, which repeats one that was written before.
                if type(line.step) is Paired:
                    found.paired.add(line.step.match)
                elif isinstance(line.step, Ended):
                    found.ended.add(line.step.match)
        return found

    def _add(self, *steps: PoolEvent) -> None:
        """What the stream lacks."""
        for step in steps:
            self.note(step)
            self._write(step)

    async def _check_erased(self, after: int, until: int) -> None:
        """Forget the users who were erased in that time: the orders to forget them may have been lost. Raises Refused."""
        rows = await self._db.all(SQL.erased, after, until)
        if rows:
            self._forget_users([(row["tenant"], row["user"]) for row in rows])
        self._erased_until = min(until, self._clock() - ERASED_FOR_MS)

    async def _check_open(self) -> None:
        """Which of the open ones have ended, and which were never made. Raises Refused."""
        asked = list(self._open)
        for at in range(0, len(asked), PAGE):
            part = asked[at : at + PAGE]
            rows = {row["id"]: row["reason"] for row in await self._db.all(SQL.states, part)}
            for match in part:
                if rows.get(match) is not None:
                    self.close(match, rows[match])
                elif match not in rows:
                    self._forget(match)

    def _forget(self, match: str) -> None:
        """No such match: the pair is not decided yet, or has fallen through."""
        if match not in self._pending() and self._clock() - self._open.get(match, 0) > FORGET_AFTER:
            self._open.pop(match, None)
