"""The list of the conversations of a user: filtered, ordered, in pages that leave none out.

Conversations move while a client pages: one becomes active, is pinned, read or archived. Each change of the order or of
a filter changes `changed` of a row, the transaction that last wrote it. So the cursor contains the horizon of the
snapshot of the first page, as that of `session.sync` does (see docs/architecture.md): what has not changed since then
keeps its place and is found by its position; what has changed is listed at the end, by id.
"""

import re
from collections.abc import Sequence
from typing import Literal
from zlib import crc32

import msgspec
from msgspec import Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import command
from chatd.conversations.entities import Conversation, Label
from chatd.conversations.read_model import conversations_of
from chatd.core.errors import Refused
from chatd.core.ids import UUID
from chatd.db import queries
from chatd.db.postgres import Row
from chatd.wire.base import Command, Cursor, Limit, Result

SQL = queries.load("conversations/listing")
# Candidates of a page with the filter `unread`, which is checked for each of them by itself.
MIN_CANDIDATES, CANDIDATES_PER_ITEM = 200, 4


class ListConversations(Command, tag="conversation.list"):
    """List the conversations of the requester, the most recently active first; with `order` "pinned" the pinned ones
    before all others. Each given filter must hold: `kind`, `archived`, `hidden`, `unread` (whether there are unread
    messages), `label` (one of the requester's own).

    `cursor`: from the page before, with the same filters and order. A conversation that changes while the client pages
    may appear again on one of the last pages; none is left out. With `unread` a page may be shorter than `limit`,
    while `cursor` is not null.
    """

    cursor: Cursor | None = None
    limit: Limit = 50
    order: Literal["active", "pinned"] = "active"
    kind: Literal["direct", "group", "match"] | None = None
    archived: bool | None = None
    hidden: bool | None = None
    unread: bool | None = None
    label: Label | None = None


class Conversations(Result, tag="conversations"):
    """A page of conversations. `cursor` is null on the last page."""

    items: list[Conversation]
    cursor: str | None


@command(ListConversations, result=Conversations, cost=2, http="GET /v1/conversations")
async def list_conversations(ctx: Ctx, cmd: ListConversations) -> Effects:
    return [Reply(await read_list(ctx, cmd))]


async def read_list(ctx: Ctx, cmd: ListConversations) -> Conversations:
    """The page for the user of this context. Raises Refused: `bad_request` because of the cursor."""
    position = read_cursor(cmd)
    size = cmd.limit + 1 if cmd.unread is None else max(MIN_CANDIDATES, CANDIDATES_PER_ITEM * cmd.limit)
    filters = (cmd.kind, cmd.archived, cmd.hidden, cmd.label, cmd.order == "pinned")
    rows = await ctx.node.db.all(
        SQL.page, ctx.tenant, ctx.user, *filters, *msgspec.structs.astuple(position), cmd.unread, size
    )
    page = page_of(rows, cmd.limit, size)
    items = await conversations_of(ctx, ctx.user, page.ids)
    cursor = None if page.last is None else cursor_after(cmd, position, page.last)
    return Conversations(items=items, cursor=cursor)


class Position(Struct, frozen=True):
    """The position of a list, in the order of the parameters of the statement.

    `pinned`, `active_at` and `id` are those of the conversation before the page. `horizon` is of the first page. With
    `in_moved` only those that have changed since then remain, after the id `moved`.
    """

    pinned: bool | None = None
    active_at: int | None = None
    id: str | None = None
    horizon: str | None = None
    in_moved: bool = False
    moved: str | None = None


class Page(Struct, frozen=True):
    """The ids of a page, and the row before the next page, if there is one."""

    ids: list[str]
    last: Row | None


def page_of(rows: Sequence[Row], limit: int, size: int) -> Page:
    """The page among the candidates, of which there are at most `size` of each part. The conversations that moved come
    after all others.
    """
    ordered, moved = ([row for row in rows if row["has_moved"] is part] for part in (False, True))
    is_cut = size in (len(ordered), len(moved))
    ids, last = dict[str, None](), None
    for row in ordered if len(ordered) == size else [*ordered, *moved]:
        if row["matches"] and len(ids) == limit:
            return Page(list(ids), last)
        if row["matches"]:
            ids[row["id"]] = None
        last = row
    return Page(list(ids), last if is_cut else None)


def cursor_after(cmd: ListConversations, position: Position, last: Row) -> str:
    """The cursor after this row."""
    horizon = position.horizon or last["horizon"]
    place = last["id"] if last["has_moved"] else f"{last['is_pinned']:d}.{last['active_at']}.{last['id']}"
    return f"{horizon}.{checksum(cmd)}.{place}"


def checksum(cmd: ListConversations) -> str:
    """A checksum of the filters and the order, which a cursor belongs to."""
    filters = (cmd.order, cmd.kind, cmd.archived, cmd.hidden, cmd.unread, cmd.label)
    return f"{crc32(msgspec.json.encode(filters)):08x}"


CURSOR = re.compile(
    rf"(0|[1-9][0-9]{{0,18}})\.([0-9a-f]{{8}})\.(?:([01])\.([0-9]{{1,18}})\.)?({UUID})",
)


def read_cursor(cmd: ListConversations) -> Position:
    """Decode the cursor. Raises Refused: `bad_request`."""
    if cmd.cursor is None:
        return Position()
    match = CURSOR.fullmatch(cmd.cursor)
    if match is None:
        raise Refused("bad_request", "$.cursor: expected a cursor from conversation.list")
    if match[2] != checksum(cmd):
        raise Refused("bad_request", "$.cursor: expected the filters and the order of the page before")
    if match[3] is None:
        return Position(horizon=match[1], in_moved=True, moved=match[5])
    return Position(match[3] == "1", int(match[4]), match[5], match[1])
