"""The schema of the database: the tables and functions of each subsystem.

A schema is a folder. Its migrations, `NNNN_name.sql`, are applied once, in order, and never change. `functions.sql` has
its views, functions and triggers as `create or replace`; it is applied after all migrations, again whenever it has
changed.

An advisory lock allows several nodes to start at once. A migration that was changed after it had been applied is an
error, and so is a database that is newer than this program.
"""

import hashlib
import re
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

from msgspec import Struct

from chatd import __version__
from chatd.core.errors import OperatorError
from chatd.db.postgres import Postgres
from chatd.db.releases import parse_version

LOCK = 0x63686174_64000001
NAME = re.compile(r"(\d{4}_[a-z0-9_]{1,100})\.sql")
FUNCTIONS = "functions"
# `release`: the version of chatd whose functions these are.
LEDGER = """
create table if not exists schema_migrations (
    subsystem text, name text, checksum text not null, applied_at timestamptz not null default now(),
    primary key (subsystem, name)
);
create table if not exists schema_functions (
    subsystem text primary key, checksum text not null, release text not null,
    applied_at timestamptz not null default now()
);
"""
PRE_RELEASE = """
select to_regclass('schema_migrations') is not null and not exists (
    select from pg_attribute where attrelid = to_regclass('schema_migrations') and attname = 'subsystem'
)
"""
RECORD_MIGRATION = "insert into schema_migrations (subsystem, name, checksum) values ($1, $2, $3)"
RECORD_FUNCTIONS = """
insert into schema_functions (subsystem, checksum, release) values ($1, $2, $3)
on conflict (subsystem) do update set checksum = excluded.checksum, release = excluded.release, applied_at = now()
"""


class SchemaError(OperatorError):
    """The database cannot be used as it is; the text names the reason and the fix."""


class Script(Struct, frozen=True):
    """One file of a schema."""

    subsystem: str
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.subsystem}/{self.name}"


class Schema(Struct, frozen=True):
    """The tables and functions of one subsystem: the files of a folder."""

    subsystem: str
    folder: Path

    def migrations(self) -> list[Script]:
        names = (NAME.fullmatch(path.name) for path in sorted(self.folder.iterdir()))
        return [self._read(match[1]) for match in names if match]

    def functions(self) -> list[Script]:
        """One script, or none."""
        return [self._read(FUNCTIONS)] if (self.folder / f"{FUNCTIONS}.sql").is_file() else []

    def _read(self, name: str) -> Script:
        return Script(self.subsystem, name, (self.folder / f"{name}.sql").read_text(encoding="utf8"))


async def pending(db: Postgres, schemas: Sequence[Schema]) -> list[Script]:
    """The scripts that `migrate` would apply. Raises SchemaError."""
    return await db.run_on_connection(lambda connection: find_pending(connection, schemas, __version__))


async def migrate(db: Postgres, schemas: Sequence[Schema], release: str = __version__) -> list[Script]:
    """Create the schemas, or bring them up to date. A schema may use those before it. Returns what was applied.

    Raises SchemaError.
    """
    return await db.run_on_connection(lambda connection: apply_pending(connection, schemas, release), timeout=inf)


async def apply_pending(connection: Any, schemas: Sequence[Schema], release: str) -> list[Script]:
    await connection.execute("set statement_timeout = 0; set lock_timeout = 0")
    await connection.execute("select pg_advisory_lock($1)", LOCK)
    try:
        scripts = await find_pending(connection, schemas, release)
        await connection.execute(LEDGER)
        for script in scripts:
            await apply(connection, script, release)
        return scripts
    finally:
        await connection.execute("select pg_advisory_unlock($1)", LOCK)
        await connection.execute("reset statement_timeout; reset lock_timeout")


async def find_pending(connection: Any, schemas: Sequence[Schema], release: str) -> list[Script]:
    migrations = [migration for schema in schemas for migration in schema.migrations()]
    functions = [script for schema in schemas for script in schema.functions()]
    if await connection.fetchval(PRE_RELEASE):
        raise SchemaError(
            "the database was created by a pre-release of chatd and cannot be upgraded. Use a new, empty database."
        )
    if await connection.fetchval("select to_regclass('schema_functions')") is None:
        return migrations + functions
    applied = {
        (row["subsystem"], row["name"]): row["checksum"]
        for row in await connection.fetch("select * from schema_migrations")
    }
    check_history(applied, migrations)
    missing = [migration for migration in migrations if (migration.subsystem, migration.name) not in applied]
    recorded = {row["subsystem"]: row for row in await connection.fetch("select * from schema_functions")}
    return missing + [one for one in functions if missing or is_outdated(one, recorded.get(one.subsystem), release)]


def check_history(applied: dict[tuple[str, str], str], migrations: Sequence[Script]) -> None:
    known = {(migration.subsystem, migration.name): migration for migration in migrations}
    for key, checksum in applied.items():
        name = "/".join(key)
        if key not in known:
            raise SchemaError(f"the database has the migration {name}, which this chatd does not have. Upgrade chatd.")
        if checksum != known[key].checksum:
            raise SchemaError(f"the migration {name}.sql was changed after it had been applied. Restore the file.")


def is_outdated(script: Script, recorded: Any, release: str) -> bool:
    """Whether to replace the functions.

    Those of a newer release stay: this may be an older node in a rolling upgrade.
    """
    if recorded is None:
        return True
    return recorded["checksum"] != script.checksum and parse_version(recorded["release"]) <= parse_version(release)


async def apply(connection: Any, script: Script, release: str) -> None:
    async with connection.transaction():
        await connection.execute(script.sql)
        if script.name == FUNCTIONS:
            await connection.execute(RECORD_FUNCTIONS, script.subsystem, script.checksum, release)
        else:
            await connection.execute(RECORD_MIGRATION, script.subsystem, script.name, script.checksum)
            # A migration may drop functions of any subsystem: apply them all again, also if this process fails before
            # it does.
            await connection.execute("delete from schema_functions")
