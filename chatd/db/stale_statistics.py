"""Renews the statistics of tables that have grown, so that no plan stays that was made when they were empty or small.

A connection keeps the plan of a statement. Postgres knows the size of a table when it makes the plan; in an empty table all
indexes cost the same, so it may choose one that has to be walked from end to end once there are rows. ANALYZE makes every
connection of every node plan again what reads the table, functions included. Autovacuum does that too, but only once a minute.
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
# ANALYZE reads a sample, which takes longer than a statement may take where the disk is slow.
TIMEOUT_S = 60
PRELUDE = f"set statement_timeout = '{TIMEOUT_S}s'"


async def watch(db: Postgres) -> None:
    """For ever."""
    while True:
        await trio.sleep(EVERY_S)
        with suppress(Refused):
            await renew(db)


async def renew(db: Postgres) -> list[str]:
    """Analyse the tables that have grown, and return their names. Skips those that another node analyses. Raises Refused."""
    names = [row["name"] for row in await db.all(SQL.grown, FACTOR, SMALL_ROWS)]
    if names:
        with closing(db.connection("statistics", PRELUDE)) as connection:
            for name in names:
                # The name comes quoted from the catalogue.
                sql = f"analyze (skip_locked) {name}"
                await connection.within(lambda session, sql=sql: session.execute(sql), TIMEOUT_S)  # type: ignore[misc]
    return names
