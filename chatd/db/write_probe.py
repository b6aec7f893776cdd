"""Probes whether Postgres accepts writes, by writing a row and reading it back.

A full disk or a read-only server fails writes only. While there is such a failure, this probe finds its end.
"""

import secrets
from contextlib import suppress

import trio

from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Postgres

SQL = queries.load("db/write_probe")
EVERY_S = 1.0
# Large enough to allocate disk space.
FILLER_BYTES = 65_536


async def watch(db: Postgres) -> None:
    """Probe while writes fail, until cancelled."""
    while True:
        await trio.sleep(EVERY_S)
        if db.faults.write_status:
            with suppress(Refused):
                await probe(db, "node")
                db.faults.wrote()


async def probe(db: Postgres, name: str) -> bool:
    """Write a row and read it back. Returns whether they are equal. Raises Refused."""
    filler = secrets.token_bytes(FILLER_BYTES)
    await db.run(SQL.write, name, filler)
    return bool(await db.value(SQL.read, name) == filler)
