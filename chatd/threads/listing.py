"""The list of the threads that a user follows. Its pages are complete while threads move, see `listing.py` of
conversations.
"""

import re
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import astuple

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import command
from chatd.core.errors import Refused
from chatd.core.ids import UUID
from chatd.db import queries
from chatd.db.postgres import Row
from chatd.threads.commands import Thread, thread_of
from chatd.wire.base import Command, Cursor, Limit, Result

SQL = queries.load("threads/threads")


class ListThreads(Command, tag="thread.list"):
    """List the threads that the requester follows, the one with the latest reply first. `unread`: only those with
    unread replies.

    `cursor`: from the page before, with the same `unread`. A thread that changes while the client pages may appear
    again on one of the last pages; none is left out. A page may be shorter than `limit`, while `cursor` is not null.
    """

    cursor: Cursor | None = None
    limit: Limit = 50
    unread: bool = False


class Threads(Result, tag="threads"):
    """A page of threads. `cursor` is null on the last page."""

    items: list[Thread]
    cursor: str | None


@command(ListThreads, result=Threads, cost=2, http="GET /v1/threads")
async def list_threads(ctx: Ctx, cmd: ListThreads) -> Effects:
    position, size = read_cursor(cmd), cmd.limit + 1
    rows = await ctx.node.db.all(SQL.page, ctx.tenant, ctx.user, cmd.unread, *astuple(position), size)
    page = page_of(rows, size)
    cursor = cursor_after(cmd, position, page[-1]) if len(page) < len(rows) else None
    # Threads whose root the requester can no longer see have no message; of those that moved, each is shown once.
    seen = {
        (row["conversation_id"], row["root_seq"]): thread_of(row["conversation_id"], row, ctx.files_url)
        for row in page
        if row["id"] is not None and (row["unread"] or not cmd.unread)
    }
    return [Reply(Threads(items=list(seen.values()), cursor=cursor))]


class Position(Struct, frozen=True):
    """The position of a list, in the order of the parameters of the statement. With `in_moved` only those that have
    changed since the `horizon` of the first page remain.
    """

    active_at: int | None = None
    conversation: str | None = None
    root_seq: int | None = None
    horizon: str | None = None
    in_moved: bool = False
    moved: str | None = None
    moved_root_seq: int | None = None


def page_of(rows: Sequence[Row], size: int) -> Sequence[Row]:
    """The rows of the page, one less than `size` at most. Those that moved come after all others."""
    ordered, moved = ([row for row in rows if row["has_moved"] is part] for part in (False, True))
    return [*ordered, *moved][: size - 1]


def cursor_after(cmd: ListThreads, position: Position, last: Row) -> str:
    """The cursor after this row."""
    place = "" if last["has_moved"] else f"{last['active_at']}."
    horizon = position.horizon or last["horizon"]
    return f"{horizon}.{cmd.unread:d}.{place}{last['conversation_id']}.{last['root_seq']}"


CURSOR = re.compile(rf"(0|[1-9][0-9]{{0,18}})\.([01])\.(?:([0-9]{{1,18}})\.)?({UUID})\.([0-9]{{1,18}})")


def read_cursor(cmd: ListThreads) -> Position:
    """Decode the cursor. Raises Refused: `bad_request`."""
    if cmd.cursor is None:
        return Position()
    match = CURSOR.fullmatch(cmd.cursor)
    if match is None or match[2] != f"{cmd.unread:d}":
        raise Refused("bad_request", "$.cursor: expected a cursor from thread.list with the same `unread`")
    if match[3] is None:
        return Position(horizon=match[1], in_moved=True, moved=match[4], moved_root_seq=int(match[5]))
    return Position(int(match[3]), match[4], int(match[5]), match[1])
