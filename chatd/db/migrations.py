"""The schema: sql/migrations/NNNN_name.sql, each applied once, in order, in a transaction of its own.

Under an advisory lock, so that several nodes may start at once. A file that was changed after it had been applied is
refused, and so is a database that is newer than this program.
"""

import hashlib
import re
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

from msgspec import Struct

from chatd.core.errors import OperatorError
from chatd.db import queries
from chatd.db.postgres import Postgres

OLDEST_SERVER = 140000
LOCK = 0x63686174_64000001
NAME = re.compile(r"(\d{4})_([a-z0-9_]{1,100})\.sql")
LEDGER = """
create table if not exists schema_migrations (
    version integer primary key, name text not null, checksum text not null, applied_at timestamptz not null default now()
)"""
RECORD = "insert into schema_migrations (version, name, checksum) values ($1, $2, $3)"
APPLIED = "select version, name, checksum from schema_migrations order by version"


class SchemaError(OperatorError):
    """The database cannot be used as it is; the text says why and what to do."""


class Migration(Struct, frozen=True):
    """One file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def available(folder: Path | None = None) -> list[Migration]:
    """The files, in order."""
    found = []
    for path in sorted((folder or queries.folder() / "migrations").iterdir()):
        match = NAME.fullmatch(path.name)
        if match:
            found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf8")))
    return found


async def pending(db: Postgres) -> list[Migration]:
    """What has not been applied yet. Raises SchemaError."""
    return await db.within(lambda connection: todo(connection, available()))


async def migrate(db: Postgres) -> list[Migration]:
    """Apply what is pending; returns it. Raises SchemaError."""
    return await db.within(apply_all, timeout=inf)


async def todo(connection: Any, migrations: Sequence[Migration]) -> list[Migration]:
    if await connection.fetchval("select to_regclass('schema_migrations')") is None:
        return list(migrations)
    applied = {row["version"]: row for row in await connection.fetch(APPLIED)}
    known = {migration.version: migration for migration in migrations}
    check_history(applied, known)
    return [migration for migration in migrations if migration.version not in applied]


def check_history(applied: dict[int, Any], known: dict[int, Migration]) -> None:
    for version, row in applied.items():
        if version not in known:
            raise SchemaError(
                f"the database has migration {version:04} ({row['name']}), which this chatd does not know. Upgrade chatd."
            )
        if row["checksum"] != known[version].checksum:
            raise SchemaError(
                f"migration {version:04}_{row['name']}.sql was changed after it had been applied. Restore the file."
            )


async def apply_all(connection: Any) -> list[Migration]:
    await connection.execute("set statement_timeout = 0; set lock_timeout = 0")
    await connection.execute("select pg_advisory_lock($1)", LOCK)
    try:
        await connection.execute(LEDGER)
        migrations = await todo(connection, available())
        for migration in migrations:
            await apply(connection, migration)
        return migrations
    finally:
        await connection.execute("select pg_advisory_unlock($1)", LOCK)
        await connection.execute("reset statement_timeout; reset lock_timeout")


async def apply(connection: Any, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await connection.execute(RECORD, migration.version, migration.name, migration.checksum)


async def server_problems(db: Postgres) -> list[str]:
    """Why this server must not be used: too old, wrong encoding. Empty when it may be."""
    version = int(await db.value("show server_version_num"))
    encoding = await db.value("show server_encoding")
    problems = []
    if version < OLDEST_SERVER:
        problems.append(f"Postgres {version // 10000} is too old: 14 or newer is needed")
    if encoding != "UTF8":
        problems.append(f"the database is encoded in {encoding}: create it with encoding UTF8")
    return problems


async def durability_problems(db: Postgres) -> list[str]:
    """Settings under which a crash loses what was acked. Empty when there are none."""
    problems = []
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if await db.value(f"show {name}") == "off":
            problems.append(f"{name} is off: a crash can lose acked messages. Set {name} = on in postgresql.conf")
    return problems
