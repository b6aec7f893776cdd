"""How `migrate` creates the schemas, and brings them up to date."""

import re
import shutil
from pathlib import Path

import pytest
import trio

from chatd import __version__
from chatd.core.config import PostgresSection
from chatd.db.migrations import Schema, SchemaError, Script, migrate, pending
from chatd.db.postgres import Postgres, open_postgres
from chatd.subsystems import schemas_of
from tests.support import PATIENCE

DEFINED = re.compile(r"^create (?:or replace )?(?:function|view|trigger) (\w+)", re.MULTILINE)
FIRST, SECOND = "select 1", "select 2"


def schema(folder: Path, functions: str, **files: str) -> tuple[Schema, ...]:
    """The schema of a subsystem with these files, after those of chatd."""
    folder.mkdir(exist_ok=True)
    for name, text in {"functions": functions, **files}.items():
        (folder / f"{name}.sql").write_text(text)
    return (*schemas_of(), Schema("notes", folder))


def returns(statement: str) -> str:
    return f"create or replace function noted() returns integer language sql as $$ {statement} $$;"


def names(scripts: list[Script]) -> list[str]:
    return [str(script) for script in scripts]


async def migrated(dsn: str, schemas: tuple[Schema, ...], release: str = __version__) -> list[str]:
    async with open_postgres(dsn, PostgresSection(timeout=PATIENCE)) as db:
        return names(await migrate(db, schemas, release))


async def test_each_script_is_applied_once_even_by_several_nodes(empty_dsn: str) -> None:
    applied: list[str] = []

    async def start() -> None:
        applied.extend(await migrated(empty_dsn, schemas_of()))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(start)
    every = [one for schema in schemas_of() for one in schema.migrations()]
    functions = [one for schema in schemas_of() for one in schema.functions()]
    assert applied == names(every + functions)
    assert {"app/0001_baseline", "conversations/0002_messages", "search/functions"} <= set(applied)
    async with open_postgres(empty_dsn, PostgresSection(timeout=PATIENCE)) as db:
        assert await pending(db, schemas_of()) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            "update schema_migrations set checksum = 'x' where subsystem = 'accounts'",
            "accounts/0001_baseline.sql was changed",
        ),
        ("insert into schema_migrations values ('push', '0001_baseline', 'x')", "push/0001_baseline, .*Upgrade chatd"),
        (
            "insert into schema_migrations values ('accounts', '9999_future', 'x')",
            "accounts/9999_future, .*Upgrade chatd",
        ),
        ("alter table schema_migrations drop column subsystem", "pre-release of chatd"),
    ],
)
async def test_database_with_another_migration_history_is_refused(store: Postgres, change: str, problem: str) -> None:
    await store.run(change)
    for use in (migrate, pending):
        with pytest.raises(SchemaError, match=problem):
            await use(store, schemas_of())


async def test_failed_migration_is_rolled_back_and_applied_after_the_fix(dsn: str, tmp_path: Path) -> None:
    broken = "create table notes (id int); create table notes (id int)"
    with pytest.raises(Exception, match="already exists"):
        await migrated(dsn, schema(tmp_path, returns(FIRST), **{"0001_baseline": broken}))
    mended = schema(tmp_path, returns(FIRST), **{"0001_baseline": "create table notes (id int)"})
    assert (await migrated(dsn, mended))[0] == "notes/0001_baseline"


async def test_functions_are_applied_again_when_they_have_changed(dsn: str, store: Postgres, tmp_path: Path) -> None:
    assert "notes/functions" in await migrated(dsn, schema(tmp_path, returns(FIRST)))
    assert await migrated(dsn, schema(tmp_path, returns(FIRST))) == []
    assert await migrated(dsn, schema(tmp_path, returns(SECOND))) == ["notes/functions"]
    assert await store.value("select noted()") == 2


async def test_an_older_node_keeps_the_functions_of_a_newer_one(dsn: str, store: Postgres, tmp_path: Path) -> None:
    await migrated(dsn, schema(tmp_path, returns(SECOND)), "1.10.0")
    assert await migrated(dsn, schema(tmp_path, returns(FIRST)), "1.9.3") == []
    assert await store.value("select noted()") == 2
    assert await migrated(dsn, schema(tmp_path, returns(FIRST)), "1.10.1") == ["notes/functions"]


async def test_all_functions_are_applied_after_a_migration(dsn: str, store: Postgres, tmp_path: Path) -> None:
    """It may have dropped those of other subsystems."""
    schemas = schema(tmp_path, returns(FIRST), **{"0001_views": "drop function is_evidence"})
    functions = names([one for schema in schemas for one in schema.functions()])
    assert await migrated(dsn, schemas) == ["notes/0001_views", *functions]
    assert await store.value("select is_evidence('x', gen_random_uuid(), 0)") is False
    shutil.rmtree(tmp_path)


def test_every_function_is_defined_once_and_can_be_replaced() -> None:
    found: list[str] = []
    for schema in schemas_of():
        for script in schema.migrations():
            assert DEFINED.findall(script.sql) == [], f"{script} defines functions: move them to functions.sql"
        for script in schema.functions():
            assert script.sql.count("\ncreate ") == script.sql.count("\ncreate or replace ")
            found += DEFINED.findall(script.sql)
    assert len(found) == len(set(found)) > 10


def test_migration_numbers_are_unique() -> None:
    for schema in schemas_of():
        numbers = [migration.name[:4] for migration in schema.migrations()]
        assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
