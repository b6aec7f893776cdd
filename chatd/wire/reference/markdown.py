"""docs/protocol.md, the reference of the protocol."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import Struct

from chatd.core.errors import CLOSES, REFUSALS
from chatd.wire.base import Error
from chatd.wire.codec import tag_of
from chatd.wire.reference.description import Declared, Description, Routes
from chatd.wire.reference.examples import example, example_body, usual
from chatd.wire.reference.json_schema import (
    FIELD,
    WITH_QUERY,
    Schemas,
    all_events,
    components,
    doc_of,
    in_order,
    is_for_admins,
    is_for_servers,
    is_for_users,
    summary_of,
)
from chatd.wire.reference.reference_text import ADMIN, HEAD, SERVER_API, SYNC
from chatd.wire.reference.schema_text import in_words

COMMANDS = """\
## Commands

Optional fields can be omitted. Each command can also be refused with the codes that apply to [any command](#refusals).
"""
ROUTES_HEAD = """\
## Other routes

Routes that are available over HTTP only. `openapi.json` describes their requests and responses.
"""
EVENTS = """\
## Events

Events have the id 0. Ignore events that are not listed here.
"""
CLOSES_HEAD = """\
## Close codes

The server ends a connection with a close frame that has one of these codes. If the client no longer reads or answers,
the server aborts the connection, and the client sees 1006. After 4000 to 4399 clients may reconnect, after 4400 and
above they must not. 1002 and 1007 are errors of the WebSocket protocol (RFC 6455, section 7.4.1). 1003 is not used: a
data frame of the wrong type, binary with JSON or text with msgpack, is closed with 4400. A close by the client is
answered with the same code.
"""
# Closes whose reason trio-websocket finds, see `FastPathStream`.
PROTOCOL_CLOSES = [
    "| 1002 | | yes | An invalid frame: not masked, a reserved bit, an unexpected fragment, an invalid close. |",
    "| 1007 | | yes | A text message or the reason of a close is not UTF-8. |",
]
ANY = ("bad_request", "unauthenticated", "rate_limited", "unavailable", "timeout", "maintenance", "internal")


def reference(described: Description) -> str:
    """The whole document in Markdown: commands of users, then those of backends and of admins."""
    rows, events = in_order(described).rows, described.events
    schemas = components(described, "{name}")
    users = tuple(row for row in rows if is_for_users(row))
    results = results_of(users) | {Error}
    shared = set(components(replace(described, rows=users), "{name}"))
    parts = [
        HEAD,
        COMMANDS,
        *(command_text(row, schemas) for row in users),
        "## Results\n",
        *results_text(results, schemas),
        ROUTES_HEAD,
        routes_text(described.routes),
        EVENTS,
        *(message_text(kind, 0, schemas) for kind in all_events(events)),
        "## Parts\n\nTypes within results and events.\n",
        *parts_text(shared - names([*all_events(events), *results, *(row.command for row in users)]), schemas),
        SYNC,
        refusals(),
        closes(),
    ]
    for title, head, own_rows in (
        ("Server", SERVER_API, tuple(row for row in rows if is_for_servers(row))),
        ("Admin", ADMIN, tuple(row for row in rows if is_for_admins(row))),
    ):
        if own_rows:
            own = results_of(own_rows) - results
            of_rows = set(components(replace(described, rows=own_rows, events={}), "{name}"))
            made_of = of_rows - shared - names([*own, *(row.command for row in own_rows)])
            parts += [head, *(command_text(row, schemas) for row in own_rows), f"## {title} results\n"]
            parts += [*results_text(own, schemas), f"## {title} parts\n", *parts_text(made_of, schemas)]
            results, shared = results | own, shared | of_rows
    return "\n".join(parts)


def routes_text(routes: Routes) -> str:
    lines = ["| route | requires | description |", "|---|---|---|"]
    for path, operations in sorted(routes.items()):
        for method, about in operations.items():
            needs = (
                " or ".join(name or "nothing" for one in about["security"] for name in (one or {"": []})) or "nothing"
            )
            lines.append(f"| `{method.upper()} {path}` | {needs} | {about['summary']} {about.get('description', '')} |")
    return "\n".join(lines) + "\n"


def results_of(rows: Iterable[Declared]) -> set[type[Struct]]:
    return {row.result for row in rows}


def results_text(kinds: Iterable[type[Struct]], schemas: Schemas) -> list[str]:
    return [message_text(kind, 7, schemas) for kind in sorted(kinds, key=lambda kind: kind.__name__)]


def parts_text(found: Iterable[str], schemas: Schemas) -> list[str]:
    return [type_text(name, name, schemas) for name in sorted(found)]


def names(kinds: Iterable[type[Struct]]) -> set[str]:
    return {kind.__name__ for kind in kinds}


def command_text(row: Declared, schemas: Schemas) -> str:
    header = " with [`Chatd-Session`](#without-websocket)" if row.of_session else ""
    endpoints = [f"`{row.http}`{header}"] if row.http else []
    endpoints += ["WebSocket"] if row.socket else []
    costs = "" if is_for_admins(row) else f"; costs {row.cost:g}"
    refusals = ", ".join(f"`{code}`" for code in row.refuses) or "only those of any command"
    about = [
        f"### `{row.tag}`\n",
        f"{doc_of(row.command)}\n",
        f"* over {' and '.join(endpoints)}; requires {needed(row)}{costs}",
        f"* answer: [`{tag_of(row.result)}`](#{row.result.__name__.lower()}){may_be_unanswered(row)}",
        f"* refusals: {refusals}. {summary_of(row.handler)}".rstrip() + "\n",
    ]
    return "\n".join([*about, shown(row), fields_text(schemas[row.command.__name__])])


def may_be_unanswered(row: Declared) -> str:
    return "; [id 0](#frames) is allowed" if row.unanswered else ""


def shown(row: Declared) -> str:
    """An example of the command for each endpoint."""
    lines = [f"    > {as_json((7, example_body(row.command)))}\n"] if row.socket else []
    lines += [f"    {request(row)}\n"] if row.http else []
    return "".join(lines)


def request(row: Declared) -> str:
    """Method, path, and the body or the query."""
    method, path = row.http.split(" ")
    body = example_body(row.command)
    del body["t"]
    for name in FIELD.findall(path):
        path = path.replace(f"{{{name}}}", body.pop(name))
    if method in WITH_QUERY:
        return f"{method} {path}{'?' * bool(body)}{'&'.join(f'{name}={value}' for name, value in body.items())}"
    return f"{method} {path} {as_json(body)}"


def needed(row: Declared) -> str:
    if row.scope:
        return f"{row.guard.value} with the scope `{row.scope}`"
    if is_for_admins(row):
        return f"{row.guard.value} with the role `{row.role}`"
    return "no sign-in" if row.guard.name == "NOTHING" else str(row.guard.value)


def message_text(kind: type[Struct], frame_id: int, schemas: Schemas) -> str:
    """A result or an event, with an example."""
    return type_text(f"`{tag_of(kind)}`", kind.__name__, schemas, frame(frame_id, usual(example(kind)), "<"))


def type_text(title: str, name: str, schemas: Schemas, shown: str = "") -> str:
    schema = schemas[name]
    return f'### <a id="{name.lower()}"></a>{title}\n\n{schema["description"]}\n\n{shown}{fields_text(schema)}'


def frame(frame_id: int, body: Any, direction: str) -> str:
    return f"    {direction} {as_json((frame_id, body))}\n\n"


def as_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def fields_text(schema: dict[str, Any]) -> str:
    """A table of the fields, without the type itself."""
    fields = {name: kind for name, kind in schema.get("properties", {}).items() if name != "t"}
    if not fields:
        return "No fields.\n"
    lines = ["| field | type | presence | description |", "|---|---|---|---|"]
    for name, kind in fields.items():
        presence = "required" if name in schema.get("required", []) else default_of(kind)
        lines.append(f"| `{name}` | {in_words(kind)} | {presence} | {note_of(kind)} |")
    return "\n".join(lines) + "\n"


def note_of(schema: dict[str, Any]) -> str:
    """The description of a field; the type of an id needs none."""
    text = str(schema.get("description", ""))
    return "" if in_words(schema) == "UUID" else text


def default_of(schema: dict[str, Any]) -> str:
    """The default in JSON."""
    return f"default `{json.dumps(schema['default'])}`" if "default" in schema else "may be absent"


def refusals() -> str:
    rows = [
        f"| `{row.code}` | {row.status} | {'yes' if row.retryable else 'no'} | {row.meaning} |"
        for row in REFUSALS.values()
    ]
    head = f"## Refusals\n\nAny command can be refused with {', '.join(f'`{code}`' for code in ANY)}.\n"
    return "\n".join([head, "| code | HTTP | retry? | meaning |", "|---|---|---|---|", *rows, ""])


def closes() -> str:
    rows = [
        f"| {row.code} | {row.name} | {'yes' if row.may_return else 'no'} | {row.meaning} |" for row in CLOSES.values()
    ]
    rows[:0] = PROTOCOL_CLOSES
    return "\n".join([CLOSES_HEAD, "| code | name | reconnect? | meaning |", "|---|---|---|---|", *rows, ""])
