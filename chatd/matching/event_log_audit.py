"""Keeps the event log consistent with the database: one `paired` for each match, and one `ended` after it.

Only the owner of the pool writes the log, and events may be missing: an owner dies between a commit and its entry,
Redis is unavailable, or a control message about an end is lost. A new owner, and one that has lost events, reads the
stream once and adds what the database has beyond it. Every few seconds the owner also looks up which open matches of
the log have ended, and which users were erased, because control messages about that may be lost too.
"""

from collections.abc import Callable
from contextlib import suppress
from sys import maxsize

import trio

from chatd.core.errors import Refused
from chatd.core.ids import first_id
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.matching.event_log import LoggedEvent, PoolEventLog
from chatd.matching.pairing import Pairing
from chatd.matching.pool_events import Ended, MatchCommitted, Paired, PoolEvent
from chatd.matching.tunables import MatchTunables

SQL = queries.load("matching/event_log_audit")
POLL_S = 0.5
# Matches per look-up.
PAGE_SIZE = 500
# After this time a pair that is not in the database counts as not committed.
UNCOMMITTED_MS = 60_000


class LoggedMatches:
    """The content of the stream: matches with a `paired`, matches with an `ended`, and the time of the first entry."""

    def __init__(self) -> None:
        self.paired: set[str] = set()
        self.ended: set[str] = set()
        self.since: int | None = None

    def add(self, logged: LoggedEvent) -> None:
        self.since = logged.at if self.since is None else self.since
        # `Pending` is a subclass, and repeats a pair that was logged before.
        if type(logged.event) is Paired:
            self.paired.add(logged.event.match)
        elif isinstance(logged.event, Ended):
            self.ended.add(logged.event.match)


class EventLogAudit:
    """Compares the event log with the database. `run` audits the log while this node owns the pool."""

    def __init__(
        self, db: Postgres, log: PoolEventLog, pairing: Pairing, clock: Callable[[], int], tunables: MatchTunables
    ) -> None:
        self._db = db
        self._log = log
        self._pairing = pairing
        self._clock = clock
        self._tunables = tunables
        # Erasures up to this time, in milliseconds, are looked up.
        self._erased_until = 0

    async def run(self) -> None:
        next_check = 0.0
        while True:
            await trio.sleep(POLL_S)
            if not self._log.is_ours or not self._log.is_complete:
                continue
            # The database's own condition logs an outage; the audit is repeated.
            with suppress(Refused):
                if not self._log.is_audited:
                    await self._catch_up()
                elif trio.current_time() >= next_check:
                    next_check = trio.current_time() + self._tunables.audit_s
                    await self._check_open_matches()
                    await self._check_erased(self._erased_until, self._clock() - self._tunables.erased_for_ms)

    async def _catch_up(self) -> None:
        """Read the stream and add what it lacks. Raises Refused, and is then repeated."""
        log, began = self._log, self._log.lost_since or self._clock()
        losses = log.losses
        # From here on these are the matches that were paired while the stream is read.
        log.open_matches.clear()
        await log.flushed()
        logged = await self._read()
        since = began if logged.since is None else min(logged.since, began)
        for match in logged.paired - logged.ended:
            log.open_matches.setdefault(match, self._clock())
        await self._add_missing_matches(since, logged)
        await self._check_erased(since - 1, maxsize)
        log.mark_audited(losses)
        await self._check_open_matches()

    async def _add_missing_matches(self, since: int, logged: LoggedMatches) -> None:
        open_matches = self._log.open_matches
        after = first_id(since)
        while rows := await self._db.all(SQL.matches_after, after, PAGE_SIZE):
            for row in rows:
                if row["id"] not in open_matches and row["id"] not in logged.paired:
                    # Its tickets are unknown.
                    self._append(Paired(row["id"], [], row["created_at"], [], {}), MatchCommitted(row["id"]))
            after = rows[-1]["id"]
        for match, pair in self._pairing.pool.pairs.items():
            if match not in logged.paired and match not in open_matches:
                self._append(pair)

    def _append(self, *events: PoolEvent) -> None:
        for event in events:
            self._log.append(event)

    async def _read(self) -> LoggedMatches:
        matches = LoggedMatches()
        async for entry in self._log.reader.entries():
            for logged in entry.events:
                matches.add(logged)
        return matches

    async def _check_erased(self, after: int, until: int) -> None:
        """Forget the users who were erased in this span, in milliseconds. Raises Refused."""
        rows = await self._db.all(SQL.erased_users, after, until)
        if rows and self._log.is_ours:
            self._pairing.forget([(row["tenant"], row["user"]) for row in rows])
        self._erased_until = min(until, self._clock() - self._tunables.erased_for_ms)

    async def _check_open_matches(self) -> None:
        """Log the ends of open matches that the database knows, and drop pairs that were never committed.

        Raises Refused.
        """
        match_ids = list(self._log.open_matches)
        for at in range(0, len(match_ids), PAGE_SIZE):
            page = match_ids[at : at + PAGE_SIZE]
            reasons = {row["id"]: row["reason"] for row in await self._db.all(SQL.end_reasons, page)}
            for match in page:
                if match not in reasons:
                    self._drop_uncommitted(match)
                elif reasons[match] is not None:
                    self._log.append_end(match, reasons[match])

    def _drop_uncommitted(self, match: str) -> None:
        """Stop tracking a pair that is neither in the database nor undecided."""
        paired_at = self._log.open_matches.get(match, 0)
        if match not in self._pairing.pool.pairs and self._clock() - paired_at > UNCOMMITTED_MS:
            self._log.open_matches.pop(match, None)
