"""The wire types as TypeScript declarations."""

from typing import Any

from chatd.core.errors import CLOSES, REFUSALS
from chatd.wire.base import Error
from chatd.wire.reference.description import Description
from chatd.wire.reference.json_schema import all_events, components, in_order
from chatd.wire.reference.schema_text import in_typescript
from chatd.wire.reference.webhooks import typescript_webhooks

HEAD = """\
// The wire types of chatd. Generated: do not edit, run `chatd schema --write docs`.
// A frame is [id, body]: the client chooses the id of a command, its answer has the same id, an event has 0.
// An UnansweredCommand may have the id 0: it gets no answer, and its refusal is the event "error".

"""


def typescript(described: Description) -> str:
    """The declarations of all types."""
    rows = in_order(described).rows
    schemas = components(described, "{name}")
    interfaces = "".join(interface(name, schema) for name, schema in sorted(schemas.items()))
    unions = {
        "Command": [row.command.__name__ for row in rows if row.socket],
        "UnansweredCommand": [row.command.__name__ for row in rows if row.unanswered],
        "Answer": [row.result.__name__ for row in rows if row.socket] + [Error.__name__],
        "ServerEvent": [kind.__name__ for kind in all_events(described.events)],
        "RefusalCode": [f'"{code}"' for code in REFUSALS],
        "CloseCode": [str(row.code) for row in CLOSES.values()],
    }
    results = "".join(f'  "{row.tag}": {row.result.__name__};\n' for row in rows if row.socket)
    tail = "".join(
        f"export type {name} = {' | '.join(dict.fromkeys(parts)) or 'never'};\n" for name, parts in unions.items()
    )
    return (
        HEAD
        + interfaces
        + "/** The result of each command that is not refused. */\n"
        + f"export interface ResultOf {{\n{results}}}\n\n"
        + tail
        + "export type ClientFrame = [number, Command];\nexport type ServerFrame = [number, Answer] | [0, "
        "ServerEvent];\n" + typescript_webhooks(described)
    )


ROUTES_HEAD = """\
// The commands over REST. Generated: do not edit, run `make schema`.
export const ROUTES: Record<string, string> = {
"""


def client_routes(described: Description) -> str:
    """Method and path of the commands of users, for clients that have no socket."""
    rows = [row for row in in_order(described).rows if row.socket and row.http]
    return ROUTES_HEAD + "".join(f'  "{row.tag}": "{row.http}",\n' for row in rows) + "};\n"


def interface(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    note = schema.get("description", "").partition("\n")[0]
    lines = [f"/** {note} */\n"] if note else []
    lines.append(f"export interface {name} {{\n")
    for field, kind in schema.get("properties", {}).items():
        mark = "" if field in required else "?"
        lines.append(f"  {field}{mark}: {in_typescript(kind)};\n")
    return "".join([*lines, "}\n\n"])
