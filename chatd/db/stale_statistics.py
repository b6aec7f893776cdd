"""Analyses tables that have grown, so that no plan is kept that was made for an empty or small table.

A connection keeps the plan of a statement. In an empty table all indexes cost the same, so Postgres may choose one that
it has to read from end to end once there are rows. After ANALYZE, every connection of every node plans the statements
and functions that read the table again. Autovacuum does the same, but only once a minute.

ANALYZE does not count rows that are not committed yet. A table that it reads while its first rows are being inserted
has pages without rows to it, and plans are as bad as those for an empty table. Such a table is analysed again, after
waits that double: the same pages may also be left of rows that were deleted.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from itertools import count

import trio

from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Postgres, Row

SQL = queries.load("db/stale_statistics")
EVERY_S = 1.0
# Growth after which statistics are stale. Tables with fewer rows than `SMALL_ROWS` count as that large.
FACTOR, SMALL_ROWS = 4, 25
# A table with fewer rows than pages may have had rows that were not committed; not below this number of pages.
SMALL_PAGES = 8
# Doublings of the wait until such a table is analysed again.
MAX_DOUBLINGS = 7
# ANALYZE reads a sample, which on a slow disk takes longer than the statement timeout.
TIMEOUT_S = 60
PRELUDE = f"set statement_timeout = '{TIMEOUT_S}s'"


async def watch(db: Postgres) -> None:
    """Renew until cancelled."""
    statistics = Statistics(db)
    while True:
        await trio.sleep(EVERY_S)
        with suppress(Refused):
            await statistics.renew()


class Statistics:
    """The statistics of a database, as this node renews them."""

    def __init__(self, db: Postgres) -> None:
        self._db = db
        self._rounds = count()
        # How often a table with fewer rows than pages was analysed again.
        self._repeats: Counter[str] = Counter()

    async def renew(self) -> list[str]:
        """Analyse the tables that have grown, and return their names.

        Skips those that another node analyses. Raises Refused.
        """
        names = self._due(await self._db.all(SQL.outdated, FACTOR, SMALL_ROWS, SMALL_PAGES))
        if names:
            with closing(self._db.connection("statistics", PRELUDE, TIMEOUT_S)) as connection:
                for name in names:
                    # The catalogue returns the name quoted.
                    await connection.run(f"analyze (skip_locked) {name}")
        return names

    def _due(self, outdated: Sequence[Row]) -> list[str]:
        number = next(self._rounds)
        sparse = {row["name"]: self._repeats[row["name"]] for row in outdated if not row["has_grown"]}
        repeated = [name for name, repeats in sparse.items() if number % 2 ** min(repeats, MAX_DOUBLINGS) == 0]
        self._repeats = Counter(sparse)
        self._repeats.update(repeated)
        return [row["name"] for row in outdated if row["has_grown"]] + repeated
