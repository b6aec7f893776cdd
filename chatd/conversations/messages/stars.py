"""Messages that somebody has starred for themselves; nobody else knows."""

import re

from msgspec import Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToUser
from chatd.app.registry import command
from chatd.conversations.entities import Message
from chatd.conversations.read_model import message_of, page_of
from chatd.conversations.settings import ConversationLimits
from chatd.core.errors import Refused
from chatd.core.ids import UUID
from chatd.db import queries
from chatd.db.postgres import Tx
from chatd.wire.base import Command, Cursor, Id, Limit, Ok, Result
from chatd.wire.connection_events import SessionBehind

SQL = queries.load("conversations/stars")
CURSOR = re.compile(rf"([0-9]{{1,18}})\.({UUID})\.([0-9]{{1,18}})")


class StarMessage(Command, tag="message.star"):
    """Star a message, for oneself."""

    conversation: Id
    message: Id


@command(
    StarMessage,
    result=Ok,
    refuses=("not_found", "too_large"),
    http="PUT /v1/conversations/{conversation}/messages/{message}/star",
)
async def star_message(ctx: Ctx, cmd: StarMessage) -> Effects:
    """Refused `too_large` for too many stars."""
    return await set_star(ctx, cmd.conversation, cmd.message, ctx.now)


class UnstarMessage(Command, tag="message.unstar"):
    """Take the star back."""

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
    """Own devices learn it by session.sync."""

    async def work(tx: Tx) -> None:
        await tx.run(SQL.hold, ctx.tenant, ctx.user)
        if await tx.value(SQL.set, ctx.tenant, conversation, ctx.user, message, at) is None:
            raise Refused("not_found", "no such message")
        most = ctx.node.config.get(ConversationLimits).stars_per_user
        if at is not None and await tx.value(SQL.count, ctx.tenant, ctx.user) > most:
            raise Refused("too_large", f"at most {most} starred messages")

    await ctx.node.db.in_transaction(work)
    return [Reply(Ok()), ToUser(ctx.user, SessionBehind(), but=ctx.session)]


class Starred(Struct, kw_only=True, frozen=True):
    """A starred message and where it is."""

    conversation: Id
    message: Message


class ListStarred(Command, tag="message.starred"):
    """One's starred messages in all conversations, the latest star first."""

    cursor: Cursor | None = None
    limit: Limit = 50


class StarredMessages(Result, tag="message.starred"):
    """A page. `cursor` is null on the last one."""

    items: list[Starred]
    cursor: str | None


@command(ListStarred, result=StarredMessages, cost=2, http="GET /v1/starred")
async def list_starred(ctx: Ctx, cmd: ListStarred) -> Effects:
    rows = await ctx.node.db.all(SQL.page, ctx.tenant, ctx.user, *read_cursor(cmd.cursor), cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    items = [Starred(conversation=row["of"], message=message_of(row, ctx.files_url)) for row in page]
    cursor = f"{page[-1]['star']}.{page[-1]['of']}.{page[-1]['seq']}" if more else None
    return [Reply(StarredMessages(items=items, cursor=cursor))]


def read_cursor(cursor: str | None) -> tuple[int | None, str | None, int | None]:
    """When it was starred, its conversation, its seq. Raises Refused: `bad_request`."""
    if cursor is None:
        return None, None, None
    match = CURSOR.fullmatch(cursor)
    if match is None:
        raise Refused("bad_request", "$.cursor: not a cursor of message.starred")
    return int(match[1]), match[2], int(match[3])
