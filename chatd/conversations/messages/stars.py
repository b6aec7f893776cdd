"""Starred messages. A star is private."""

import re

from msgspec import Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToUser
from chatd.app.registry import command
from chatd.conversations.entities import Message
from chatd.conversations.read_model import message_of
from chatd.conversations.settings import ConversationLimits
from chatd.core.errors import Refused
from chatd.core.ids import UUID
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.db.postgres import Tx
from chatd.wire.base import Command, Cursor, Id, Limit, Ok, Result
from chatd.wire.connection_events import SessionBehind

SQL = queries.load("conversations/stars")
CURSOR = re.compile(rf"([0-9]{{1,18}})\.({UUID})\.([0-9]{{1,18}})")


class StarMessage(Command, tag="message.star"):
    """Star a message, for the requester only."""

    conversation: Id
    message: Id


@command(
    StarMessage,
    result=Ok,
    refuses=("not_found", "too_large"),
    http="PUT /v1/conversations/{conversation}/messages/{message}/star",
)
async def star_message(ctx: Ctx, cmd: StarMessage) -> Effects:
    """`too_large`: the requester has too many stars (`limits.stars_per_user`)."""
    return await set_star(ctx, cmd.conversation, cmd.message, ctx.now)


class UnstarMessage(Command, tag="message.unstar"):
    """Remove the star of a message."""

    conversation: Id
    message: Id


@command(
    UnstarMessage,
    result=Ok,
    refuses=("not_found",),
    http="DELETE /v1/conversations/{conversation}/messages/{message}/star",
)
async def unstar_message(ctx: Ctx, cmd: UnstarMessage) -> Effects:
    return await set_star(ctx, cmd.conversation, cmd.message, None)


async def set_star(ctx: Ctx, conversation: str, message: str, at: int | None) -> Effects:
    """Set or remove a star. The other devices of the requester get it by session.sync."""
    await ctx.node.db.in_transaction(write_star, ctx, conversation, message, at)
    return [Reply(Ok()), ToUser(ctx.user, SessionBehind(), ctx.origin)]


async def write_star(tx: Tx, ctx: Ctx, conversation: str, message: str, at: int | None) -> None:
    """Store or remove a star. Raises Refused: `not_found`, `too_large`."""
    await tx.run(SQL.lock_user, ctx.tenant, ctx.user)
    if await tx.value(SQL.set_star, ctx.tenant, conversation, ctx.user, message, at) is None:
        raise Refused("not_found", "no such message")
    most = ctx.node.config.get(ConversationLimits).stars_per_user
    if at is not None and await tx.value(SQL.count_stars, ctx.tenant, ctx.user) > most:
        raise Refused("too_large", f"you can star at most {most} messages: remove a star first")


class Starred(Struct, kw_only=True, frozen=True):
    """A starred message and its conversation."""

    conversation: Id
    message: Message


class ListStarred(Command, tag="message.starred"):
    """List the requester's starred messages of all conversations, the latest star first."""

    cursor: Cursor | None = None
    limit: Limit = 50


class StarredMessages(Result, tag="message.starred"):
    """A page of starred messages. `cursor` is null on the last page."""

    items: list[Starred]
    cursor: str | None


@command(ListStarred, result=StarredMessages, cost=2, http="GET /v1/starred")
async def list_starred(ctx: Ctx, cmd: ListStarred) -> Effects:
    rows = await ctx.node.db.all(SQL.page, ctx.tenant, ctx.user, *read_cursor(cmd.cursor), cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    items = [Starred(conversation=row["conversation_id"], message=message_of(row, ctx.files_url)) for row in page]
    cursor = f"{page[-1]['star']}.{page[-1]['conversation_id']}.{page[-1]['seq']}" if more else None
    return [Reply(StarredMessages(items=items, cursor=cursor))]


def read_cursor(cursor: str | None) -> tuple[int | None, str | None, int | None]:
    """The time of the star, the conversation and the seq. Raises Refused: `bad_request`."""
    if cursor is None:
        return None, None, None
    match = CURSOR.fullmatch(cursor)
    if match is None:
        raise Refused("bad_request", "$.cursor: expected a cursor from message.starred")
    return int(match[1]), match[2], int(match[3])
