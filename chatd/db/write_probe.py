"""Finds out whether Postgres takes writes, by writing a row and reading it back.

A full disk or a read-only server shows in a write only: statements that read succeed all the while. So the end of such a failure
is found by a write of this probe, which runs while there is one.
"""

import secrets
from contextlib import suppress

import trio

from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Postgres

SQL = queries.load("db/write_probe")
EVERY_S = 1.0
# Large enough that the table grows and the disk has to give space.
FILLER_BYTES = 65_536


async def watch(db: Postgres) -> None:
    """For ever: while writes fail, try one now and then."""
    while True:
        await trio.sleep(EVERY_S)
        if db.faults.write_status:
            with suppress(Refused):
                await probe(db, "node")
                db.faults.wrote()


async def probe(db: Postgres, name: str) -> bool:
    """Write a row and read it back; whether it is the same. Raises Refused."""
    filler = secrets.token_bytes(FILLER_BYTES)
    await db.run(SQL.write, name, filler)
    return bool(await db.value(SQL.read, name) == filler)
