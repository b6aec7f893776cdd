"""The subsystem that creates a table declares it, with what bounds or removes its rows."""

import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from chatd.app import kernel_storage
from chatd.app.documents import stored_by
from chatd.app.storage import Bound, Deleted, Kept, Limited, OneFor, OneRow, Table, Within
from chatd.app.subsystem import Subsystem, packages_of
from chatd.core.config import Config
from chatd.core.settings import effective_values
from chatd.db.postgres import Postgres
from chatd.db.queries import Queries
from chatd.subsystems import KERNEL, SUBSYSTEMS, schemas_of, setting_names

CASCADES = """
select 1 from pg_constraint where contype = 'f' and confdeltype = 'c' and conrelid = $1::regclass and confrelid = $2::regclass
"""
ONE_ROW = """
select 1 from pg_constraint p
join pg_attribute a on a.attrelid = p.conrelid and a.attnum = p.conkey[1]
join pg_constraint c on c.conrelid = p.conrelid and c.contype = 'c' and c.conkey = p.conkey
where p.contype = 'p' and cardinality(p.conkey) = 1 and a.atttypid = 'boolean'::regtype and p.conrelid = $1::regclass
"""
TABLES = "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
CREATED = re.compile(r"^create (?:unlogged )?table (?:if not exists )?(\w+)", re.MULTILINE)
# `db/migrations.py` creates them before any schema.
OF_MIGRATIONS = {"schema_migrations", "schema_functions"}


@cache
def sources(package: str) -> list[str]:
    """The texts of the modules of a package."""
    spec = find_spec(package)
    folders = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    return [path.read_text() for folder in folders for path in folder.rglob("*.py")]


@cache
def is_run(file: Queries, statement: str, packages: tuple[str, ...]) -> bool:
    """Whether some module of these packages runs the statement."""
    runs = re.compile(rf"\bSQL\.{statement}\b|\b{file._path.stem}\b.*\.{statement}\b")
    return any(runs.search(text) for package in packages for text in sources(package))


async def holds(bound: Bound, table: str, store: Postgres, settings: set[str], packages: tuple[str, ...]) -> bool:
    match bound:
        case OneRow():
            return await store.value(ONE_ROW, table) is not None
        case Within(parent):
            return await store.value(CASCADES, table, parent) is not None
        case Deleted(file, statement):
            return f"delete from {table}" in file.statements[statement] and is_run(file, statement, packages)
        case Limited(setting):
            return setting in settings
        case OneFor(text) | Kept(text):
            return bool(text)


def misplaced(subsystems: tuple[Subsystem, ...]) -> Iterator[str]:
    """Tables that another subsystem creates than the one that declares it."""
    declared: dict[str, tuple[Table, ...]] = {one.name: one.tables for one in subsystems}
    for schema in schemas_of(subsystems):
        created = {name for file in schema.folder.glob("*.sql") for name in CREATED.findall(file.read_text())}
        tables = kernel_storage.TABLES if schema.subsystem in KERNEL else declared[schema.subsystem]
        where = (
            "TABLES of chatd/app/kernel_storage.py"
            if schema.subsystem in KERNEL
            else f"`tables` of the Subsystem {schema.subsystem}"
        )
        for name in sorted(created - {table.name for table in tables}):
            yield f"{schema.folder} creates {name}: add Table({name!r}, ...) to {where}, see chatd/app/storage.py"


async def faults(store: Postgres, config: Config, subsystems: tuple[Subsystem, ...] = SUBSYSTEMS) -> list[str]:
    """What is wrong with the declarations, or missing."""
    tables, packages = stored_by(subsystems).tables, packages_of(subsystems)
    settings = {name for name, _ in effective_values(setting_names(subsystems), config)}
    existing = {row["relname"] for row in await store.all(TABLES)}
    found = list(misplaced(subsystems))
    found += [f"{table.name} is declared, and does not exist" for table in tables if table.name not in existing]
    for table in (table for table in tables if table.name in existing):
        found += [f"{table.name}: nothing bounds its rows"] * (not table.bounds)
        for bound in table.bounds:
            if not await holds(bound, table.name, store, settings, packages):
                found.append(f"{table.name}: {bound} does not hold")
    return found


async def test_tables_are_declared_with_bounds_of_their_rows(store: Postgres, config: Config) -> None:
    assert await faults(store, config) == []
    existing = {row["relname"] for row in await store.all(TABLES)}
    assert existing == {table.name for table in stored_by(SUBSYSTEMS).tables}
    created = {
        name
        for schema in schemas_of()
        for file in schema.folder.glob("*.sql")
        for name in CREATED.findall(file.read_text())
    }
    assert existing - created == OF_MIGRATIONS


async def test_false_declaration_is_found(store: Postgres, config: Config) -> None:
    file = next(
        bound.file
        for table in stored_by(SUBSYSTEMS).tables
        for bound in table.bounds
        if isinstance(bound, Deleted)
        and "delete from connection_tickets" in bound.file.statements.get("sweep_tickets", "")
    )
    await store.run("create table wrong (n int primary key)")
    bounds: tuple[Bound, ...] = (
        OneRow(),
        Within("users"),
        Deleted(file, "sweep_tickets"),
        Limited("no.such"),
        Kept(""),
    )
    for bound in bounds:
        subsystem = Subsystem(name="wrong", tables=(Table("wrong", (bound,)),))
        assert await faults(store, config, (*SUBSYSTEMS, subsystem)) == [f"wrong: {bound} does not hold"]
    for tables, fault in (
        ((Table("wrong", ()),), "wrong: nothing bounds its rows"),
        ((Table("nowhere", (OneFor("x"),)),), "nowhere is declared, and does not exist"),
    ):
        assert await faults(store, config, (*SUBSYSTEMS, Subsystem(name="wrong", tables=tables))) == [fault]


def test_undeclared_table_is_found(tmp_path: Path) -> None:
    tmp_path.joinpath("0001_baseline.sql").write_text("create table undeclared (n int);\n")
    (fault,) = misplaced((*SUBSYSTEMS, Subsystem(name="wrong", schema=tmp_path)))
    assert "add Table('undeclared', ...) to `tables` of the Subsystem wrong, see chatd/app/storage.py" in fault
