"""docs/protocol.md: everything a client has to know."""

import json
from collections.abc import Iterable
from typing import Any

from chatd.errors import CLOSES, REFUSALS
from chatd.wire.codec import tag_of
from chatd.wire.fields import in_words
from chatd.wire.prose import HEAD, SYNC
from chatd.wire.schema import Declared, Events, Schemas, all_events, components, doc_of, in_order


def reference(rows: Iterable[Declared], events: Events) -> str:
    """The whole document, in Markdown."""
    rows = in_order(rows)
    schemas = components(rows, events, "{name}")
    parts = [HEAD, "## Commands\n"]
    parts += [command_text(row, schemas) for row in rows]
    parts.append("## Results\n")
    results = sorted({row.result for row in rows}, key=lambda kind: kind.__name__)
    parts += [type_text(f"`{tag_of(kind)}`", kind.__name__, schemas) for kind in results]
    parts.append("## Events\n\nAlways under id 0. Events that are not listed here may come; ignore them.\n")
    parts += [type_text(f"`{tag_of(kind)}`", kind.__name__, schemas) for kind in all_events(events)]
    tagged = {kind.__name__ for kind in [*all_events(events), *results]} | {row.command.__name__ for row in rows}
    parts.append("## Parts\n\nWhat results and events are made of.\n")
    parts += [type_text(name, name, schemas) for name in sorted(schemas) if name not in tagged]
    return "\n".join([*parts, SYNC, refusals(), closes()])


def command_text(row: Declared, schemas: Schemas) -> str:
    doors = [f"`{row.http}`"] if row.http else []
    doors += ["socket"] if row.socket else []
    refuses = ", ".join(f"`{code}`" for code in row.refuses) or "nothing of its own"
    about = [
        f"### `{row.tag}`\n",
        f"{doc_of(row.command)}\n",
        f"* by {' and '.join(doors)}; needs {row.needs.value}; costs {row.cost:g}",
        f"* answer: [`{tag_of(row.result)}`](#{row.result.__name__.lower()})",
        f"* refuses: {refuses}\n",
    ]
    return "\n".join([*about, fields_text(schemas[row.command.__name__])])


def type_text(title: str, name: str, schemas: Schemas) -> str:
    schema = schemas[name]
    return f'### <a id="{name.lower()}"></a>{title}\n\n{schema.get("description", "")}\n\n{fields_text(schema)}'


def fields_text(schema: dict[str, Any]) -> str:
    """A table of the fields, without the type itself."""
    fields = {name: kind for name, kind in schema.get("properties", {}).items() if name != "t"}
    if not fields:
        return "No fields.\n"
    lines = ["| field | type | | |", "|---|---|---|---|"]
    for name, kind in fields.items():
        needed = "required" if name in schema.get("required", []) else f"default `{default_of(kind)}`"
        lines.append(f"| `{name}` | {in_words(kind)} | {needed} | {kind.get('description', '')} |")
    return "\n".join(lines) + "\n"


def default_of(schema: dict[str, Any]) -> str:
    """As it is written in JSON."""
    return json.dumps(schema["default"]) if "default" in schema else "absent"


def refusals() -> str:
    rows = [f"| `{row.code}` | {row.status} | {'yes' if row.retryable else 'no'} | {row.meaning} |" for row in REFUSALS.values()]
    common = "`bad_request`, `rate_limited`, `unavailable`, `timeout`, `maintenance` or `internal`"
    head = f"## Refusals\n\nAny command may also be answered {common}.\n"
    return "\n".join([head, "| code | HTTP | retry? | meaning |", "|---|---|---|---|", *rows, ""])


def closes() -> str:
    rows = [f"| {row.code} | {row.name} | {'yes' if row.may_return else 'no'} | {row.meaning} |" for row in CLOSES.values()]
    head = "## Close codes\n\n4000 to 4399 may come back, 4400 and up may not.\n"
    return "\n".join([head, "| code | name | come back? | meaning |", "|---|---|---|---|", *rows, ""])
