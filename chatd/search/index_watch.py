"""Reads the reports of the active indexer, which may run anywhere, for probes, metrics and the command line."""

import trio
from msgspec import Struct

from chatd.core.errors import Refused
from chatd.core.health import Condition
from chatd.db import queries
from chatd.db.postgres import Database

SQL = queries.load("search/search_notices")
POLL_S = 5.0
# Seconds without a report after which no indexer runs.
SILENCE_S = 15.0


class IndexStatus(Struct, frozen=True):
    """The last report of the active indexer, `silent_s` ago: how long the oldest change had waited then, how many
    changes, and why conversations cannot be indexed.
    """

    silent_s: float = 0.0
    waiting_s: float = 0.0
    changes: int = 0
    problem: str = ""

    @property
    def is_running(self) -> bool:
        return self.silent_s < SILENCE_S

    @property
    def behind_s(self) -> float:
        """How far the index is behind. While no indexer runs, all that was sent since its last report is missing."""
        return self.silent_s + self.waiting_s if self.waiting_s or not self.is_running else 0.0


async def read_status(db: Database) -> IndexStatus:
    """Raises Refused."""
    row = await db.one(SQL.status)
    if row is None:
        return IndexStatus(SILENCE_S)
    return IndexStatus(
        max(0, row["silent_ms"]) / 1000, row["waiting_ms"] / 1000, row["waiting_changes"], row["problem"]
    )


class IndexWatch:
    """The status of the index as this node knows it."""

    def __init__(self, db: Database, *, poll_s: float = POLL_S) -> None:
        self.condition = Condition("search index")
        self.status = IndexStatus()
        self._db = db
        self._poll_s = poll_s

    async def run(self) -> None:
        """Run forever."""
        began = trio.current_time()
        while True:
            await trio.sleep(self._poll_s)
            try:
                self._apply(await read_status(self._db), trio.current_time() - began)
            except Refused:
                continue

    def _apply(self, status: IndexStatus, watched_s: float) -> None:
        """`watched_s`: an indexer that starts together with this node has not reported yet."""
        self.status = status
        if not status.is_running and watched_s >= SILENCE_S:
            silent = f"for {status.silent_s:.0f} s"
            self.condition.fail(f"no index process has reported {silent}; search does not find messages sent since")
        elif status.problem:
            self.condition.fail(status.problem)
        else:
            self.condition.recover()
