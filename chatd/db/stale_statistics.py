"""Analyses tables that have grown, so that no plan is kept that was made for an empty or small table.

A connection keeps the plan of a statement. In an empty table all indexes cost the same, so Postgres may choose one that
it has to read from end to end once there are rows. After ANALYZE, every connection of every node plans the statements
and functions that read the table again. Autovacuum does the same, but only once a minute.
"""

from contextlib import closing, suppress

import trio

from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Postgres

SQL = queries.load("db/stale_statistics")
EVERY_S = 1.0
# Growth after which statistics are stale. Tables with fewer rows than `SMALL_ROWS` count as that large.
FACTOR, SMALL_ROWS = 4, 25
# ANALYZE reads a sample, which on a slow disk takes longer than the statement timeout.
TIMEOUT_S = 60
PRELUDE = f"set statement_timeout = '{TIMEOUT_S}s'"


async def watch(db: Postgres) -> None:
    """Renew until cancelled."""
    while True:
        await trio.sleep(EVERY_S)
        with suppress(Refused):
            await renew(db)


async def renew(db: Postgres) -> list[str]:
    """Analyse the tables that have grown, and return their names.

    Skips those that another node analyses. Raises Refused.
    """
    names = [row["name"] for row in await db.all(SQL.outdated, FACTOR, SMALL_ROWS)]
    if names:
        with closing(db.connection("statistics", PRELUDE, TIMEOUT_S)) as connection:
            for name in names:
                # The catalogue returns the name quoted.
                await connection.run(f"analyze (skip_locked) {name}")
    return names
