"""The registered types as JSON Schema, and what the other descriptions are made of."""

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
from chatd.wire.reference.conditions import add_condition, bounded, narrowed
from chatd.wire.reference.description import Declared, Description, Events

# The fields in the path of a route, and the methods that have the others in the query.
FIELD = re.compile(r"{(\w+)}")
WITH_QUERY = ("GET", "DELETE")
Schemas = dict[str, dict[str, Any]]


def all_events(events: Events) -> list[type[Event]]:
    """By tag."""
    return [events[tag] for tag in sorted(events)]


def doc_of(kind: Any) -> str:
    return inspect.cleandoc(kind.__doc__ or "")


def summary_of(kind: Any) -> str:
    """The first paragraph, on one line."""
    return doc_of(kind).partition("\n\n")[0].replace("\n", " ")


def components(described: Description, template: str, *more: type[Result]) -> Schemas:
    """The schema of every wire type by the name of its struct; `more` are answers to what is no command."""
    rows = described.rows
    told: list[type[Struct]] = [*(row.result for row in rows), *more, Error, *all_events(described.events)]
    kinds = dict.fromkeys([*(row.command for row in rows), *told, *(shape for *_, shape in described.shapes)])
    _, schemas = msgspec.json.schema_components(kinds, ref_template=template)
    for owner, name, shape in described.shapes:
        schema = schemas.get(owner.__name__, {"properties": {}})
        schema["properties"][name] = {"$ref": template.format(name=shape.__name__)}
    for kind in told:
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
    schemas[Error.__name__]["properties"]["code"]["enum"] = list(REFUSALS)
    return schemas


def portable(value: Any) -> Any:
    """A schema whose patterns any language understands: elsewhere `$` is the end, and needs no help."""
    if isinstance(value, dict):
        return {name: portable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [portable(part) for part in value]
    return value.replace(PYTHON_END, "$") if isinstance(value, str) else value


def always_sent(kind: type[Struct]) -> list[str]:
    """The fields of what the server sends: all but those that may be absent. Defaults are for commands."""
    return ["t", *(field.encode_name for field in structs.fields(kind) if field.default is not UNSET)]


def json_schema(described: Description) -> dict[str, Any]:
    """JSON Schema (2020-12): one definition per type, and unions of what either side may send as a body."""
    rows = described.rows
    definitions = components(described, "#/$defs/{name}")
    commands = [row.command for row in rows if row.socket]
    results: dict[type[Struct], None] = dict.fromkeys([*(row.result for row in rows if not is_for_admins(row)), Error])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "chatd",
        "description": "Bodies of frames. A frame is the array [id, body].",
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
    """Whether it is no command of users."""
    return bool(row.guard.name == "ADMIN")


def in_order(described: Description) -> Description:
    """With the commands by tag."""
    return replace(described, rows=tuple(sorted(described.rows, key=lambda row: row.tag)))
