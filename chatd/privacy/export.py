"""The export of a user's data as JSON lines: each is an object with a `type`, the last one has the type `end`.

It contains only the user's own data, and the ids of other users. Reports, bans, strikes and matches also concern other
users and are left out. The data is read in pages, so neither its size nor a slow reader costs memory or a database
connection.
"""

import re
from collections.abc import AsyncIterator
from typing import Any

from msgspec import json

from chatd.app.personal_data import AllPersonalData
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Postgres

SQL = queries.load("privacy/erasure")
PAGE_SIZE = 100
# Characters that JSON does not escape, and that control a terminal, end a line or change the direction of a text.
ESCAPED = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


async def pages(
    db: Postgres, data: AllPersonalData, tenant: str, user: str, *, page_size: int = PAGE_SIZE
) -> AsyncIterator[bytes]:
    """Yield the lines, a page at a time.

    Raises Refused: `not_found`, or `unavailable`; then there is no `end`.
    """
    if await db.value(SQL.exists, tenant, user) is None:
        raise Refused("not_found", "no such user")
    count = 0
    for part in data.parts:
        position, more = part.start if part.keys else (), True
        while more:
            rows = await db.all(part.statement, tenant, user, page_size, *position)
            more = len(rows) == page_size
            if rows:
                position = tuple(rows[-1][key] for key in part.keys)
                count += len(rows) if part.keys else 0
                yield b"".join(line(part.type, row) for row in rows)
    yield line("end", {"rows": count})


def line(type_: str, row: Any) -> bytes:
    """One line, without fields that are null, and without characters that control a terminal."""
    text = json.encode({"type": type_, **{name: value for name, value in row.items() if value is not None}}).decode()
    return ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode() + b"\n"
