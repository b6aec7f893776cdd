"""Rules that nobody has to remember: they run."""

import ast
import gc
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chatd import __version__, features
from chatd.node.registry import load
from chatd.store import queries
from chatd.store.migrations import available
from chatd.store.postgres import Postgres
from chatd.template import template
from chatd.wire.generated import generated

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "chatd").rglob("*.py"))
COVERS = re.compile(r'^@covers\("([^"]+)"((?:, "[^"]+")*)\)', re.MULTILINE)
LONGEST = 500


def test_rooms_import_only_from_the_rooms_below() -> None:
    done = subprocess.run([Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def parsed(text: str) -> ast.Module:
    """A collection in the midst of it can run code that parses too, which Python 3.11 takes for an error of its own."""
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        gc.enable()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_one_room(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= LONGEST
    tree = parsed(text)
    if path.name == "__init__.py" and path.parent.name not in ("chatd", "client"):
        assert text == ""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 40, f"{node.name} is too long"
            assert not [n for n in ast.walk(node) if isinstance(n, ast.ImportFrom | ast.Import)], f"{node.name} imports"


def test_every_command_and_every_refusal_it_declares_has_a_test() -> None:
    covered: set[tuple[str, str]] = set()
    for path in (ROOT / "tests" / "features").glob("*.py"):
        for command, codes in COVERS.findall(path.read_text()):
            covered |= {(command, code) for code in re.findall(r'"([^"]+)"', codes)} or {(command, "ok")}
    declared = {(row.tag, code) for row in load(features).commands.values() for code in (*row.refuses, "ok")}
    assert declared - covered == set()
    assert covered - declared == set()


@pytest.mark.parametrize("name", ["protocol.md", "openapi.json", "chatd.d.ts"])
def test_the_generated_files_are_fresh(name: str) -> None:
    registry = load(features)
    text = generated(list(registry.commands.values()), registry.events, __version__)[name]
    assert (ROOT / "docs" / name).read_text() == text, "stale: run `make schema`"


def test_the_commented_configuration_is_fresh() -> None:
    assert (ROOT / "chatd.toml").read_text() == template({}), "stale: run `make schema`"


def sql_files() -> list[str]:
    return sorted(path.stem for path in queries.folder().glob("*.sql"))


@pytest.mark.parametrize("name", sql_files())
async def test_every_statement_can_be_prepared(name: str, db: Postgres) -> None:
    for statement in queries.load(name).statements.values():
        await db.within(lambda connection, sql=statement: connection.prepare(sql))


@pytest.mark.parametrize("name", sql_files())
def test_every_statement_is_used(name: str) -> None:
    users = "".join(path.read_text() for path in SOURCES if f'queries.load("{name}")' in path.read_text() or name == "journal")
    for statement in queries.load(name).statements:
        assert re.search(rf"SQL\.{statement}\b", users), f"{name}.{statement} is not used"


def test_each_migration_has_a_number_of_its_own() -> None:
    versions = [migration.version for migration in available()]
    assert versions == sorted(set(versions))


def test_every_event_and_command_is_in_the_reference() -> None:
    registry = load(features)
    text = (ROOT / "docs" / "protocol.md").read_text()
    for tag in [*registry.events, *(row.tag for row in registry.commands.values())]:
        assert f"`{tag}`" in text
