"""What is stored of one user, as JSON lines: each an object with a `type`, the last one of the type `end`.

Only what is theirs; reports, bans, strikes and matches speak of others too, and are left out. Of others there are ids: who a
direct conversation is with, who was blocked, who wrote first what they have forwarded. It is read page by page, each beginning
behind the last row of the one before, so that neither the size of somebody's past nor a slow reader costs memory or a connection
of the database.
"""

import re
from collections.abc import AsyncIterator
from typing import Any

from msgspec import Struct, json

from chatd.core.errors import Refused
from chatd.core.ids import NIL
from chatd.db import queries
from chatd.db.postgres import Postgres

SQL = queries.load("privacy/export")
PAGE = 100
# JSON need not escape all control characters, nor what ends a line or turns the direction of a text.
UNSHOWN = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


class Part(Struct, frozen=True):
    """Rows of one type. `keys` are the columns that they are ordered by, `start` what lies before the first row."""

    type: str
    statement: str
    keys: tuple[str, ...]
    start: tuple[Any, ...] = (NIL,)


PARTS = (
    Part("block", SQL.blocks, ("user",)),
    Part("conversation", SQL.conversations, ("conversation",)),
    Part("departure", SQL.departures, ("conversation",)),
    Part("join_request", SQL.join_requests, ("conversation",)),
    Part("message", SQL.messages, ("client_id",), ("",)),
    Part("removed_message", SQL.withheld, ("conversation", "seq"), (NIL, 0)),
    Part("reaction", SQL.reactions, ("conversation", "seq", "emoji"), (NIL, 0, "")),
    Part("mark", SQL.marks, ("conversation", "seq"), (NIL, 0)),
    Part("upload", SQL.uploads, ("upload",)),
    Part("scheduled", SQL.scheduled, ("id",)),
    Part("invite", SQL.invites, ("invite",)),
)


async def profile(db: Postgres, tenant: str, user: str) -> bytes:
    """The first lines. Raises Refused: `not_found`."""
    row = await db.one(SQL.profile, tenant, user)
    if row is None:
        raise Refused("not_found", "no such user")
    settings = await db.one(SQL.settings, tenant, user)
    return line("profile", row) + (b"" if settings is None else line("settings", settings))


async def pages(db: Postgres, tenant: str, user: str) -> AsyncIterator[bytes]:
    """The lines after those of `profile`, some at a time. Raises Refused when the database is away: then there is no `end`."""
    count = 0
    for part in PARTS:
        position, more = part.start, True
        while more:
            rows = await db.all(part.statement, tenant, user, PAGE, *position)
            more = len(rows) == PAGE
            if rows:
                position = tuple(rows[-1][key] for key in part.keys)
                count += len(rows)
                yield b"".join(line(part.type, row) for row in rows)
    yield line("end", {"rows": count})


def line(type_: str, row: Any) -> bytes:
    """One line: without what is null, and with nothing that a terminal would obey."""
    text = json.encode({"type": type_, **{name: value for name, value in row.items() if value is not None}}).decode()
    return UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode() + b"\n"
