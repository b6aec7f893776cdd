"""The types of the protocol as Python, for the client: a struct for every answer and event, and a signature for every
command.

The client imports nothing of the server, so it can talk to servers of other versions: it ignores unknown fields, and
leaves limits and lists of allowed values to the server.
"""

import keyword
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from msgspec import Struct

from chatd.wire.base import Error, Result, classes_below
from chatd.wire.reference.description import Declared, Description
from chatd.wire.reference.examples import example_of
from chatd.wire.reference.json_schema import Schemas, all_events, components, in_order, is_for_users
from chatd.wire.reference.schema_text import ANY, name_of

HEAD = '''\
"""Answers, events, and the signatures of all commands. Generated: do not edit, run `make schema`."""

# ruff: noqa: E501
# fmt: off
from __future__ import annotations

from typing import Any, Literal, overload

from msgspec import field

from chatd.client.wire_base import Answer, Event, Part

'''
CALLS = '''\
class Calls:
    """All commands, with their fields and the types of their answers."""

'''
REQUEST = '''\
    async def call(self, command: str, **fields: Any) -> Any:
        """Send a command. Fields that are None are omitted.

        Raises Refused, or Disconnected if the connection ends before the answer arrives.
        """
        return await self.request(command, given(fields))

    async def request(self, command: str, fields: dict[str, Any]) -> Any:
        """Send a command and wait for its answer."""
        raise NotImplementedError

'''
NOTIFY = '''\
    async def notify(self, command: str, **fields: Any) -> None:
        """Send a command that is not answered. Fields that are None are omitted.

        A refusal of the server is an event CommandRefused. Raises Refused for a command that is too large, or
        Disconnected.
        """
        await self.send_unanswered(command, given(fields))

    async def send_unanswered(self, command: str, fields: dict[str, Any]) -> None:
        """Send a command under id 0."""
        raise NotImplementedError


def given(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that are not None, by their names on the wire."""
    return {name.rstrip("_"): value for name, value in fields.items() if value is not None}

'''
SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def python_types(described: Description) -> str:
    """The source of the module with all types."""
    rows = tuple(row for row in in_order(described).rows if row.socket and is_for_users(row))
    schemas = with_unions_merged(components(replace(described, rows=rows), "{name}", *described.results))
    results: list[type[Result]] = [*(row.result for row in rows), *described.results, Error]
    answers = dict.fromkeys(kind.__name__ for kind in results)
    event_names = dict.fromkeys(kind.__name__ for kind in all_events(described.events))
    bases = dict.fromkeys(reachable([*answers, *event_names], schemas), "Part")
    bases |= dict.fromkeys(answers, "Answer") | dict.fromkeys(event_names, "Event")
    structs = "".join(struct(name, base, schemas[name]) for name, base in sorted(bases.items()))
    calls = "".join(signature("call", row, schemas, row.result.__name__) for row in rows)
    notifies = "".join(signature("notify", row, schemas, "None") for row in rows if row.unanswered)
    tables = table("ANSWERS", "Answer", answers) + "\n" + table("EVENTS", "Event", event_names)
    return HEAD + structs + "\n" + CALLS + calls + REQUEST + notifies + NOTIFY + "\n" + tables


def with_unions_merged(schemas: Schemas) -> Schemas:
    """Merge each union of structs into one struct, so that clients can read kinds of a newer version."""
    merged = dict(schemas)

    def replaced(value: Any) -> Any:
        if isinstance(value, list):
            return [replaced(part) for part in value]
        if not isinstance(value, dict):
            return value
        names = [name_of(part["$ref"]) for part in value.get("anyOf", ()) if "$ref" in part]
        if len(names) < 2:
            return {key: replaced(part) for key, part in value.items()}
        name = common_ending(names)
        merged[name] = merged_struct([schemas[one] for one in names])
        others = [part for part in value["anyOf"] if "$ref" not in part]
        return {"anyOf": [{"$ref": name}, *others]}

    found = {name: replaced(schema) for name, schema in schemas.items()}
    return found | {name: schema for name, schema in merged.items() if name not in schemas}


def common_ending(names: list[str]) -> str:
    """The common ending of names: `Attachment` for `ImageAttachment` and `LinkAttachment`."""
    first = names[0]
    return next(first[at:] for at in range(len(first) + 1) if all(name.endswith(first[at:]) for name in names))


def merged_struct(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """A struct with the fields of all parts; a field is required if all parts require it."""
    fields: dict[str, list[Any]] = {}
    for part in parts:
        for name, kind in part["properties"].items():
            fields.setdefault(name, []).append(kind)
    kinds = " | ".join(dict.fromkeys(str(value) for part in parts for value in part["properties"]["type"]["enum"]))
    return {
        "description": f"`type`: {kinds}. Fields that a type does not have are None.",
        "properties": {name: {"anyOf": found} if len(found) > 1 else found[0] for name, found in fields.items()},
        "required": [name for name in fields if all(name in part["required"] for part in parts)],
    }


def reachable(names: Iterable[str], schemas: Schemas) -> list[str]:
    """These types, and all types that they contain."""
    found: dict[str, None] = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = None
            todo += references(schemas[name]["properties"])
    return list(found)


def references(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        here = [name_of(schema["$ref"])] if isinstance(schema.get("$ref"), str) else []
        return here + [name for part in schema.values() for name in references(part)]
    return [name for part in schema for name in references(part)] if isinstance(schema, list) else []


def struct(name: str, base: str, schema: dict[str, Any]) -> str:
    fields = dict(schema["properties"])
    tag = fields.pop("t", {"enum": [None]})["enum"][0]
    head = (
        f'class {name}({base}, tag="{tag}", kw_only=True, frozen=True):'
        if tag
        else f"class {name}({base}, kw_only=True, frozen=True):"
    )
    lines = [f'\n{head}\n    """{quoted(schema["description"])}"""\n']
    required = set(schema.get("required", ())) - absent_if_missed(name)
    lines += [f"    {attribute(field, kind, is_required=field in required)}\n" for field, kind in fields.items()]
    return "\n".join([lines[0], "".join(lines[1:])]) if fields else lines[0] + "\n"


def attribute(field: str, kind: dict[str, Any], *, is_required: bool) -> str:
    annotation, default = in_python(kind), ""
    if not is_required:
        annotation, default = or_none(annotation), "None"
    if keyword.iskeyword(field):
        default = f'field(name="{field}"' + (f", default={default})" if default else ")")
    return f"{python_name(field)}: {annotation} = {default}" if default else f"{field}: {annotation}"


def absent_if_missed(name: str) -> set[str]:
    """The fields of the type of this name that it declares so."""
    return {
        field for kind in classes_below(Struct) if kind.__name__ == name for field in example_of(kind).absent_if_missed
    }


def python_name(field: str) -> str:
    """Append an underscore to reserved words (PEP 8)."""
    return f"{field}_" if keyword.iskeyword(field) else field


def signature(method: str, row: Declared, schemas: Schemas, answer: str) -> str:
    schema = schemas[row.command.__name__]
    fields = {name: kind for name, kind in schema["properties"].items() if name != "t"}
    needed = schema.get("required", [])
    given = [
        f"{python_name(name)}: {in_python(kind, exact=True)}"
        if name in needed
        else f"{python_name(name)}: {or_none(in_python(kind, exact=True))} = None"
        for name, kind in fields.items()
    ]
    parameters = ", ".join(["self", f'command: Literal["{row.tag}"]', *(["*", *given] if given else [])])
    return f"    @overload\n    async def {method}({parameters}) -> {answer}: ...\n\n"


def table(name: str, base: str, kinds: Iterable[str]) -> str:
    rows = "".join(f"    {kind},\n" for kind in kinds)
    return f"{name}: tuple[type[{base}], ...] = (\n{rows})\n"


def or_none(annotation: str) -> str:
    return annotation if annotation == "Any" or annotation.endswith("None") else f"{annotation} | None"


def in_python(schema: dict[str, Any], *, exact: bool = False) -> str:
    """A type as a Python annotation. `exact`: with the allowed values, for commands."""
    if "anyOf" in schema:
        parts = dict.fromkeys(in_python(part, exact=exact) for part in schema["anyOf"])
        return "Any" if "Any" in parts else " | ".join(sorted(parts, key="None".__eq__))
    if "$ref" in schema:
        return "dict[str, Any]" if exact else name_of(schema["$ref"])
    if "enum" in schema and exact:
        return f"Literal[{', '.join(repr(value) for value in schema['enum'])}]"
    if "enum" in schema:
        return " | ".join(dict.fromkeys(type(value).__name__ for value in schema["enum"]))
    kind = schema.get("type", ANY)
    if kind == "array":
        return f"list[{in_python(schema.get('items', {}), exact=exact)}]"
    if kind == "object":
        values = schema.get("additionalProperties", {})
        return f"dict[str, {in_python(values, exact=exact) if isinstance(values, dict) else 'Any'}]"
    return SIMPLE.get(kind, "Any")


def quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', "'''").replace("\n", "\n    ").replace("\n    \n", "\n\n")
