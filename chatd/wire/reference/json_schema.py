"""JSON Schema of all types of the protocol; the other documents are generated from it."""

import inspect
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UNSET, Struct, structs

from chatd.core.errors import REFUSALS
from chatd.core.ids import PYTHON_END
from chatd.wire.base import Error, Event, Result
from chatd.wire.connection_events import CommandRefused
from chatd.wire.reference.conditions import add_condition, bounded, narrowed
from chatd.wire.reference.description import Declared, Description, Events

# Fields in the path of a route, and methods with the other fields in the query.
FIELD = re.compile(r"{(\w+)}")
WITH_QUERY = ("GET", "DELETE")
Schemas = dict[str, dict[str, Any]]


def all_events(events: Events) -> list[type[Event]]:
    """All events, sorted by tag."""
    return [events[tag] for tag in sorted(events)]


def doc_of(kind: Any) -> str:
    return inspect.cleandoc(kind.__doc__ or "")


def summary_of(kind: Any) -> str:
    """The first paragraph, on one line."""
    return doc_of(kind).partition("\n\n")[0].replace("\n", " ")


def components(described: Description, template: str, *more: type[Result]) -> Schemas:
    """The schemas by name of the struct. `more`: answers of routes that are not commands."""
    rows = described.rows
    sent: list[type[Struct]] = [*(row.result for row in rows), *more, Error, *all_events(described.events)]
    kinds = dict.fromkeys([*(row.command for row in rows), *sent, *(shape for *_, shape in described.shapes)])
    _, schemas = msgspec.json.schema_components(kinds, ref_template=template)
    for owner, name, shape in described.shapes:
        schema = schemas.get(owner.__name__, {"properties": {}})
        schema["properties"][name] = {"$ref": template.format(name=shape.__name__)}
    for kind in sent:
        schemas[kind.__name__]["required"] = always_sent(kind)
    shapes = {shape.__name__ for *_, shape in described.shapes}
    for condition in described.conditions:
        add_condition(schemas, condition)
    for row in rows:
        schema = schemas[row.command.__name__]
        schema["properties"] = narrowed(row.command, schema["properties"])
    for name, schema in schemas.items():
        if schema.get("additionalProperties") is False and name not in shapes:
            schemas[name] = bounded(schema)
    for schema in schemas.values():
        schema["description"] = inspect.cleandoc(schema.get("description", ""))
        schema["properties"] = portable(schema["properties"])
    for name in (Error.__name__, CommandRefused.__name__):
        if name in schemas:
            schemas[name]["properties"]["code"]["enum"] = list(REFUSALS)
    return schemas


def portable(value: Any) -> Any:
    """Make patterns portable: in other languages `$` matches only at the end."""
    if isinstance(value, dict):
        return {name: portable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [portable(part) for part in value]
    return value.replace(PYTHON_END, "$") if isinstance(value, str) else value


def always_sent(kind: type[Struct]) -> list[str]:
    """The fields that the server always sends. Defaults apply to commands only."""
    return ["t", *(field.encode_name for field in structs.fields(kind) if field.default is not UNSET)]


def json_schema(described: Description) -> dict[str, Any]:
    """JSON Schema (2020-12): a definition for each type, and unions of the bodies that each side may send."""
    rows = described.rows
    definitions = components(described, "#/$defs/{name}")
    commands = [row.command for row in rows if row.socket]
    results: dict[type[Struct], None] = dict.fromkeys([*(row.result for row in rows if is_for_users(row)), Error])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "chatd",
        "description": "Bodies of frames. A frame is an array [id, body]; the id 0 in a command asks for no answer.",
        "$defs": {
            **definitions,
            "AnyCommand": union(commands),
            "AnyResult": union(results),
            "AnyEvent": union(all_events(described.events)),
        },
    }


def union(kinds: Iterable[type[Struct]]) -> dict[str, Any]:
    return {"anyOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in kinds]}


def is_for_admins(row: Declared) -> bool:
    """Whether the command is for admins."""
    return bool(row.guard.name == "ADMIN")


def is_for_servers(row: Declared) -> bool:
    """Whether the command is for the backend of an app."""
    return bool(row.guard.name == "SERVER")


def is_for_users(row: Declared) -> bool:
    """Whether the command is neither for admins nor for backends."""
    return not is_for_admins(row) and not is_for_servers(row)


def in_order(described: Description) -> Description:
    """Sort the commands by tag."""
    return replace(described, rows=tuple(sorted(described.rows, key=lambda row: row.tag)))
