"""A subsystem is added by its package and its name in the list: nothing else in chatd refers to it."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from chatd import __version__
from chatd.accounts.settings import TenantSettings
from chatd.app.documents import sections
from chatd.app.registry import load
from chatd.app.subsystem import Subsystem
from chatd.cli.check import collect, faults
from chatd.core.config import Config
from chatd.core.settings import ConfigError, Loaded, effective
from chatd.core.settings import load as load_settings
from chatd.core.template import template
from chatd.db.migrations import migrate
from chatd.db.postgres import Postgres
from chatd.subsystems import SUBSYSTEMS, load_registry, schemas_of, setting_names
from chatd.wire.reference.files import generated
from chatd.wire.reference.json_schema import json_schema
from chatd.wire.reference.python_types import python_types
from tests.abuse import test_ids
from tests.db import test_row_bounds as row_bounds
from tests.declarations import declared
from tests.golden.vectors import vectors
from tests.privacy.test_document import undeclared
from tests.privacy.test_erased_traces import columns_with, forms_of
from tests.privacy.test_erasure import ERASURE, done
from tests.privacy.test_export import exported
from tests.support import NOBODY, Daemon, altered, only_jobs, poll_until, running

PACKAGE = Path(__file__).with_name("notes")
ROOT = Path(__file__).parents[2]
FOLDERS, TEXTS = ("chatd", "sql", "docs", "tests"), (".py", ".sql", ".md", ".json", ".ts")


@pytest.fixture(scope="module")
def subsystems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Subsystem, ...]]:
    """With that of notes, imported from a folder that has nothing to do with chatd."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(PACKAGE, folder / PACKAGE.name)
    sys.path.insert(0, str(folder))
    yield (*SUBSYSTEMS, import_module("notes.subsystem").NOTES)
    sys.path.remove(str(folder))


async def counts(daemon: Daemon) -> dict[str, Any]:
    answer = await daemon.rest("GET", "/v1/notes/count")
    assert answer.status == 200
    return answer.body  # type: ignore[no-any-return]


async def test_subsystem_works_on_all_nodes(config: Config, subsystems: tuple[Subsystem, ...]) -> None:
    async with (
        running(config, subsystems) as one,
        running(config, subsystems) as two,
        one.person("alice") as alice,
        two.person("bob", "msgpack") as bob,
    ):
        note = await alice.call("note.add", user=bob.user, text="over the socket")
        event = await bob.event("note.added")
        assert (event["id"], event["sender"], event["text"]) == (note["id"], alice.user, "over the socket")
        body = {"user": bob.user, "text": "over REST"}
        assert (await one.rest("POST", "/v1/notes", body, alice.account.access_token)).body["t"] == "note"
        assert (await bob.event("note.added"))["text"] == "over REST"
        assert (await bob.refused("note.add", user=alice.user, text="")).code == "bad_request"
        assert (await bob.refused("note.add", user=NOBODY, text="x")).code == "not_found"
        for daemon in (one, two):
            await poll_until(partial(counts, daemon), lambda found: found == {"notes": 2, "archived": 2, "counted": 2})
            metrics = await daemon.rest("GET", "/metrics", Host="localhost")
            assert (
                "# HELP chatd_notes_total Notes of all nodes.\n# TYPE chatd_notes_total counter\nchatd_notes_total 2.0"
                in (metrics.body.decode())
            )


async def test_subsystem_setting_is_applied(config: Config, subsystems: tuple[Subsystem, ...]) -> None:
    few = load_settings(None, {"CHATD_NOTES__MAX_NOTES": "1"}, setting_names(subsystems)).config
    limited = config.using(*(section for kind, section in few.sections.items() if kind.__module__.startswith("notes.")))
    async with running(limited, subsystems) as daemon, daemon.person() as alice:
        await alice.call("note.add", user=alice.user, text="one")
        assert (await alice.refused("note.add", user=alice.user, text="two")).code == "too_large"


def test_chatd_toml_and_variables_contain_subsystem_settings(tmp_path: Path, subsystems: tuple[Subsystem, ...]) -> None:
    names, path = setting_names(subsystems), tmp_path / "chatd.toml"
    text = template(names, {})
    assert "\n[notes]\n# Maximum notes of one sender.\nmax_notes = 100\n" in text
    path.write_text(text.replace("max_notes = 100", "max_notes = 7"))
    shown = {key: value for key, value, _ in effective(load_settings(path, {}, names))}
    assert shown["notes.max_notes"] == "7"
    with pytest.raises(ConfigError, match=r"notes\.max_notes = 0"):
        load_settings(None, {"CHATD_NOTES__MAX_NOTES": "0"}, names)
    with pytest.raises(ConfigError, match="did you mean CHATD_NOTES__MAX_NOTES"):
        load_settings(None, {"CHATD_NOTES_MAX_NOTES": "1"}, names)
    with pytest.raises(ConfigError, match=r"notes\.max_notes = 7 .*unknown setting"):
        load_settings(path, {}, setting_names())


async def test_check_examines_the_subsystem(config: Config, subsystems: tuple[Subsystem, ...]) -> None:
    names = setting_names(subsystems)
    found = {finding.code: finding for finding in await collect(Loaded(config, names, {}, None), subsystems)}
    assert (found["notes"].state, found["notes.interpreter"].state) == ("ok", "ok")
    many = load_settings(None, {"CHATD_NOTES__MAX_NOTES": "5000"}, names).config
    assert faults(many, subsystems)[-1] == "notes: at most 5000 notes of one sender"


async def test_export_and_erasure_include_the_subsystem(
    config: Config, subsystems: tuple[Subsystem, ...], store: Postgres
) -> None:
    async with running(config, altered(ERASURE, among=subsystems)) as daemon, daemon.people(2) as (alice, bob):
        await alice.call("note.add", user=bob.user, text="from alice")
        await bob.call("note.add", user=alice.user, text="from bob")
        lines = [line for line in await exported(daemon, alice) if line["type"] == "note"]
        assert [(line["recipient"], line["text"]) for line in lines] == [(bob.user, "from alice")]
        await alice.call("me.erase", confirm=True)
        assert [row["text"] for row in await store.all("select text from notes")] == ["from bob"]
        await done(store, alice.user)
        left = await columns_with(store, forms_of(alice.user))
        stays = {
            (table.name, column) for table in subsystems[-1].tables if table.users for column in table.users.id_stays
        }
        assert {place for place in left if place[0] == "notes"} == stays == {("notes", "recipient")}


async def test_subsystem_table_is_declared(config: Config, subsystems: tuple[Subsystem, ...], store: Postgres) -> None:
    await migrate(store, schemas_of(subsystems))
    assert await row_bounds.faults(store, config, subsystems) == []
    assert await undeclared(store, subsystems) == []
    (fault,) = row_bounds.misplaced((*SUBSYSTEMS, replace(subsystems[-1], tables=())))
    assert "notes/schema creates notes: add Table('notes', ...) to `tables` of the Subsystem notes" in fault


def test_tables_in_documents_contain_the_subsystem(subsystems: tuple[Subsystem, ...]) -> None:
    tables = sections(subsystems)
    for section, row in {
        "tables": "| `notes` | `sender`, `recipient`; `text` | as long as the accounts | `note` | deleted; ",
        "export": "| `note` | notes that the user left |\n",
        "what stays": "| the id, in notes by others | `notes` | as long as their accounts |\n",
    }.items():
        assert row in tables["privacy.md"][section]
    assert "| `notes` | notes that users leave for each other |\n" in tables["architecture.md"]["subsystems"]
    assert "| `chatd_notes_total` | counter |  |  | Notes of all nodes. |\n" in tables["metrics.md"]["metrics"]


async def test_ids_of_the_subsystem_are_tested(
    config: Config, subsystems: tuple[Subsystem, ...], store: Postgres
) -> None:
    anybodys = declared("ANYBODYS", [import_module("notes.declares")])
    tenants = config.using_named(TenantSettings, {"other": TenantSettings(secret="x" * 32)})
    (row,) = (row for row in load_registry(subsystems).commands.values() if row.tag == "note.add")
    # Jobs change the database at any time.
    async with running(tenants, only_jobs(among=subsystems)) as daemon, AsyncExitStack() as stack:
        assert await test_ids.Trial(test_ids.World(daemon, stack), daemon, row, store, anybodys).run() == []


def test_reference_documents_contain_the_subsystem(subsystems: tuple[Subsystem, ...]) -> None:
    description = load_registry(subsystems).description
    files = generated(description, __version__)
    for text in ("### `note.add`", "`note.added`", "`GET /v1/notes/count`", "How many notes there are."):
        assert text in files["protocol.md"]
    for text in ('"operationId": "note.add"', '"operationId": "note.count"', '"/v1/notes/count"'):
        assert text in files["openapi.json"]
    for name in ("AddNote", "Note", "NoteAdded"):
        assert f"interface {name} {{" in files["chatd.d.ts"]
        assert name in json_schema(description)["$defs"]
    types = python_types(description)
    assert 'command: Literal["note.add"], *, user: str, text: str) -> Note' in types
    assert 'class NoteAdded(Event, tag="note.added"' in types


def test_golden_vectors_contain_the_subsystem(subsystems: tuple[Subsystem, ...]) -> None:
    mine = vectors(load_registry(subsystems))
    assert ["note.add" in mine["commands"], "note" in mine["results"], "note.added" in mine["events"]] == [True] * 3
    known = vectors()
    assert all(mine[group][tag] == vector for group in known for tag, vector in known[group].items())


def test_other_files_do_not_mention_the_subsystem() -> None:
    """Code, documents, generated files and other tests: only the package and the list of subsystems mention it."""
    words = ("note.add", "note_counts", "NoteAdded", "NoteCounted", "chatd_notes_total", "/v1/notes/count")
    files = {path for folder in FOLDERS for path in (ROOT / folder).rglob("*.*") if path.suffix in TEXTS}
    others = files - {Path(__file__), *PACKAGE.rglob("*.*")}
    assert [path for path in others if any(word in path.read_text() for word in words)] == []


def test_duplicate_declarations_are_rejected(subsystems: tuple[Subsystem, ...]) -> None:
    for twice in (subsystems[-1], SUBSYSTEMS[0]):
        with pytest.raises(ValueError, match="twice"):
            load([*subsystems, twice], {})
    with pytest.raises(ValueError, match="described twice"):
        load(subsystems, subsystems[-1].openapi)
