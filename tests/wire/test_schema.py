"""The descriptions of the wire are complete, stable, and refer to nothing that is not there."""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from chatd.app.registry import Guard
from chatd.core.errors import CLOSES, REFUSALS
from chatd.core.text_forms import name_form, prose_form
from chatd.wire.base import Command, Event, Ok, Result
from chatd.wire.codec import codecs, tag_of
from chatd.wire.reference.conditions import ANY_JSON
from chatd.wire.reference.description import Description
from chatd.wire.reference.examples import example, example_body
from chatd.wire.reference.files import generated
from chatd.wire.reference.json_schema import json_schema
from chatd.wire.reference.markdown import reference
from chatd.wire.reference.openapi import openapi
from chatd.wire.reference.typescript import typescript
from tests.golden.vectors import COMMANDS, EVENTS, REGISTRY, RESULTS

DESCRIPTION = REGISTRY.description
ROWS = DESCRIPTION.rows
SCHEMA = json_schema(DESCRIPTION)
OPENAPI = openapi(DESCRIPTION, "1.2.3")
TEXT = reference(DESCRIPTION)
TYPES = typescript(DESCRIPTION)
ALL = [*COMMANDS, *RESULTS, *EVENTS]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (item for key, item in value.items() if key == "$ref")
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def find(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part]
    return document


@pytest.mark.parametrize("document", [SCHEMA, OPENAPI], ids=["json schema", "openapi"])
def test_schema_references_resolve(document: Any) -> None:
    found = set(references(document))
    assert found
    for place in found:
        assert find(document, place).get("type") == "object" or place == ANY_JSON["$ref"]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_type_is_described_as_it_is_sent(kind: type[Struct]) -> None:
    schema = SCHEMA["$defs"][kind.__name__]
    body = msgspec.to_builtins(example(kind))
    assert list(schema["properties"]) == list(body)
    assert schema["properties"]["t"] == {"enum": [tag_of(kind)]}
    assert schema["description"]
    if issubclass(kind, Command):
        assert set(schema["required"]) <= set(example_body(kind))
        assert schema["additionalProperties"] is False
    else:
        assert set(schema["required"]) == set(msgspec.to_builtins(with_nothing_optional(kind)))


def with_nothing_optional(kind: type[Struct]) -> Struct:
    """An example without what may be absent."""
    absent = {field.name: msgspec.UNSET for field in msgspec.structs.fields(kind) if field.default is msgspec.UNSET}
    return msgspec.structs.replace(example(kind), **absent)


def test_the_order_of_the_features_does_not_matter() -> None:
    mixed = tuple(random.Random(1).sample(ROWS, len(ROWS)))
    events = dict(random.Random(1).sample(list(REGISTRY.events.items()), len(REGISTRY.events)))
    assert generated(replace(DESCRIPTION, rows=mixed, events=events), "1") == generated(DESCRIPTION, "1")


def test_every_route_is_in_openapi() -> None:
    declared = {row.tag: row for row in ROWS if row.http}
    described = {
        operation["operationId"]: (method, path)
        for path, at in OPENAPI["paths"].items()
        for method, operation in at.items()
    }
    # What is no command has been written by hand.
    by_hand = {operation["operationId"] for at in DESCRIPTION.routes.values() for operation in at.values()}
    for tag in by_hand:
        method, path = described.pop(tag)
        assert OPENAPI["paths"][path][method] == DESCRIPTION.routes[path][method]
    assert {
        "upload.create",
        "upload.get",
        "me.export",
        "admin.report.file",
        "server.readyz",
        "server.metrics",
    } <= by_hand
    assert {tag: f"{method.upper()} {path}" for tag, (method, path) in described.items()} == {
        t: r.http for t, r in declared.items()
    }
    for tag, (method, path) in described.items():
        operation = OPENAPI["paths"][path][method]
        in_path = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"]
        assert in_path == re.findall(r"{(\w+)}", path)
        assert ("security" in operation) is (declared[tag].guard.name != "NOTHING")
        assert {"200", "400", "429", "500", "503"} <= set(operation["responses"])
        assert ("401" in operation["responses"]) or declared[tag].guard.name == "NOTHING"


def test_every_field_has_its_place_in_a_request() -> None:
    for row in ROWS:
        if row.http:
            method, path = row.http.split(" ")
            operation = OPENAPI["paths"][path][method.lower()]
            body = operation.get("requestBody", {"content": {"application/json": {"schema": {"properties": {}}}}})
            names = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] != "header"}
            names |= set(body["content"]["application/json"]["schema"]["properties"])
            assert names == set(row.command.__struct_fields__)


VISIBLE = [
    "a",
    " a",
    "\u200ba",
    "\x07a\x07",
    "0",
    "\u4e2d",
    "e\u0301",
    "\U0001f44d",
    "\U0001f3f4\U000e0067\U000e0062\U000e007f",
    "\u0600a",
    "\u202ea",
]
INVISIBLE = [
    " ", "\t\n", "\x07", "\x7f", "\x85", "\u00a0", "\u00ad", "\u034f", "\u061c", "\u115f\u1160", "\u180e", "\u200b\u200d",
    "\u2028", "\u202e", "\u2066\u2069", "\u2800", "\u3000", "\u3164", "\ufe0f", "\ufeff", "\uffa0", "\uffff", "\u0301", "\u20e3",
    "\u0600", " \u200c \u200d ",
]  # fmt: skip
FORMED_FIELDS = [
    ("POST", "/v1/auth/anonymous", "name"),
    ("POST", "/v1/conversations", "title"),
    ("PATCH", "/v1/conversations/{conversation}", "title"),
    ("PATCH", "/v1/conversations/{conversation}", "description"),
    ("POST", "/v1/match", "tags"),
]


def texts_of(schema: Any) -> list[dict[str, Any]]:
    """The schemas of texts in a schema."""
    if schema.get("type") == "string":
        return [schema]
    return [
        found
        for part in [*schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])]
        for found in texts_of(part)
    ]


@pytest.mark.parametrize(("method", "path", "field"), FORMED_FIELDS)
def test_the_schema_requires_a_visible_character(method: str, path: str, field: str) -> None:
    body = OPENAPI["paths"][path][method.lower()]["requestBody"]["content"]["application/json"]["schema"]
    (text,) = texts_of(body["properties"][field])
    for form in (name_form, prose_form):
        assert [one for one in VISIBLE if not form(one)] == [one for one in INVISIBLE if form(one)] == []
    assert [one for one in VISIBLE if not re.search(text["pattern"], one)] == []
    assert [one for one in [*INVISIBLE, "a\x00"] if re.search(text["pattern"], one)] == []
    assert re.search(text["pattern"], "")
    assert text["pattern"].isascii()


def test_the_documents_are_json() -> None:
    for document in (SCHEMA, OPENAPI):
        assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.tag)
def test_reference_describes_commands_completely(row: Any) -> None:
    section = TEXT.partition(f"### `{row.tag}`\n")[2].partition("\n### ")[0]
    for name in row.command.__struct_fields__:
        assert f"| `{name}` |" in section
    for code in row.refuses:
        assert f"`{code}`" in section
    assert row.http in section
    assert f"(#{row.result.__name__.lower()})" in section


def test_reference_has_both_tables_and_valid_links() -> None:
    for code in REFUSALS:
        assert f"| `{code}` |" in TEXT
    for close in CLOSES.values():
        assert f"| {close.code} | {close.name} |" in TEXT
    headings = {
        re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-")
        for line in TEXT.splitlines()
        if line.startswith("##")
    }
    anchors = headings | set(re.findall(r'<a id="(\w+)">', TEXT))
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) - anchors == set()


def test_frames_in_the_reference_are_valid() -> None:
    """What can be pasted into a client must be what a client can send."""
    codec = codecs(REGISTRY.on_socket)["chatd.v1.json"]
    sent = [line[6:] for line in TEXT.splitlines() if line.startswith("    > [7,")]
    assert len(sent) == len(REGISTRY.on_socket)
    for line in sent:
        _, body = codec.open_envelope(line.encode())
        codec.decode_command(body, 16)


def test_typescript_has_every_type_once() -> None:
    names = re.findall(r"^export (?:interface|type) (\w+)", TYPES, re.MULTILINE)
    assert len(names) == len(set(names))
    assert {kind.__name__ for kind in ALL} <= set(names)
    used = set(re.findall(r"\b[A-Z]\w+", re.sub(r"/\*\*.*?\*/|//.*|\"[^\"]*\"", "", TYPES)))
    assert used - set(names) == {"Array", "Record"}
    assert TYPES.count("{") == TYPES.count("}")


class Lonely(Command, tag="lonely"):
    """A command of a new feature: no other code knows of it."""

    what: dict[str, Any]
    often: float = 1.5


class Listed(Event, tag="listed"):
    """An event likewise."""

    lists: list[list[int]]
    maybe: str | msgspec.UnsetType = msgspec.UNSET


def test_new_feature_needs_no_change_of_the_reference_code() -> None:
    class Row:
        tag, command, refuses, http, socket, cost = "lonely", Lonely, (), "", True, 1.0
        unanswered, of_session, scope = False, False, ""
        result: type[Result] = Ok
        guard = Guard.USER

        def handler(self) -> None:
            """Never refused."""

    files = generated(Description(rows=(Row(),), events={"listed": Listed}), "1")
    assert "### `lonely`" in files["protocol.md"]
    assert '{"t":"listed","lists":[[1]]}' in files["protocol.md"]
    assert "  maybe?: string;" in files["chatd.d.ts"]
