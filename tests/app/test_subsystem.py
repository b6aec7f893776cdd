"""A subsystem is added by its package and its name in the list: nothing else in chatd knows it."""

import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import trio

from chatd import __version__
from chatd.app.registry import load
from chatd.app.subsystem import Subsystem
from chatd.core.config import Config
from chatd.subsystems import SUBSYSTEMS, load_registry
from chatd.wire.reference.files import generated
from chatd.wire.reference.json_schema import json_schema
from chatd.wire.reference.python_types import python_types
from tests.support import PATIENCE, Daemon, running

PACKAGE = Path(__file__).with_name("notes")


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


async def test_it_works_on_all_nodes(config: Config, subsystems: tuple[Subsystem, ...]) -> None:
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
        for daemon in (one, two):
            with trio.fail_after(PATIENCE):
                while await counts(daemon) != {"notes": 2, "archived": 2, "counted": 2}:
                    await trio.sleep(0.02)
            metrics = await daemon.rest("GET", "/metrics", Host="localhost")
            assert "# HELP chatd_notes_total Notes of all nodes.\n# TYPE chatd_notes_total counter\nchatd_notes_total 2.0" in (
                metrics.body.decode()
            )


def test_the_reference_documents_contain_it(subsystems: tuple[Subsystem, ...]) -> None:
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


def test_it_is_unknown_where_it_is_not_in_the_list(subsystems: tuple[Subsystem, ...]) -> None:
    files = generated(load_registry().description, __version__)
    assert not [name for name, text in files.items() for word in ("note.add", "/v1/notes", "NoteAdded") if word in text]


def test_nothing_is_declared_twice(subsystems: tuple[Subsystem, ...]) -> None:
    for twice in (subsystems[-1], SUBSYSTEMS[0]):
        with pytest.raises(ValueError, match="twice"):
            load([*subsystems, twice], {})
    with pytest.raises(ValueError, match="described twice"):
        load(subsystems, subsystems[-1].openapi)
