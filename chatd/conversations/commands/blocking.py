"""Blocking somebody: they can neither open a conversation nor write, type, see whether one is there, or be matched with one.

Nothing is told of it to anybody. What was said before stays, and in groups both stay. In their direct conversation receipts are
each one's own (the SQL function `advance_receipts`).
"""

from msgspec import Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Hush, Reply, ToUser, deliver
from chatd.app.registry import command
from chatd.conversations.block_rules import lock_pair
from chatd.conversations.read_model import page_of
from chatd.conversations.settings import ConversationLimits
from chatd.conversations.signals import UserBlocked, VisibilityChanged
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import ForeignKeyViolation, Tx
from chatd.wire.base import Command, Id, Limit, Millis, Name, Ok, Result
from chatd.wire.connection_events import SessionBehind

SQL = queries.load("conversations/blocking")


class BlockUser(Command, tag="user.block"):
    """Block somebody. Twice is once."""

    user: Id


@command(BlockUser, result=Ok, refuses=("not_found", "too_large"), http="PUT /v1/blocks/{user}", lasting=True)
async def block_user(ctx: Ctx, cmd: BlockUser) -> Effects:
    """Ends the match of the two, if they are in one. Refused `too_large` for too many blocks."""
    if cmd.user == ctx.user:
        raise Refused("bad_request", "$.user: that is you")
    try:
        hush = await decide(ctx, cmd.user, SQL.add, ctx.now)
    except ForeignKeyViolation:
        raise Refused("not_found", "$.user: no such user") from None
    # The block is committed: first everything that cannot fail.
    await deliver(ctx, hush or [])
    signals = ctx.node.signals
    await signals.send(VisibilityChanged(ctx.tenant, [ctx.user, cmd.user]))
    await signals.send(UserBlocked(ctx.tenant, ctx.user, cmd.user))
    return [Reply(Ok()), ToUser(ctx.user, SessionBehind(), but=ctx.session)]


async def decide(ctx: Ctx, user: str, statement: str, *more: int) -> Effects | None:
    """Block or unblock, and close or open the conversation of the two; None when it was so already."""

    async def work(tx: Tx) -> Effects | None:
        await lock_pair(tx, ctx.tenant, ctx.user, user)
        await tx.run(SQL.hold, ctx.tenant, ctx.user)
        if await tx.one(statement, ctx.tenant, ctx.user, user, *more) is None:
            return None
        most = ctx.node.config.get(ConversationLimits).blocks_per_user
        if statement is SQL.add and await tx.value(SQL.count, ctx.tenant, ctx.user) > most:
            raise Refused("too_large", f"you can block at most {most} users")
        await tx.run(SQL.note, ctx.tenant, ctx.user)
        row = await tx.one(SQL.settle, ctx.tenant, ctx.user, user)
        return [] if row is None else [Hush(row["id"], on=row["blocked"])]

    return await ctx.node.db.in_transaction(work)


class UnblockUser(Command, tag="user.unblock"):
    """Take it back."""

    user: Id


@command(UnblockUser, result=Ok, refuses=("not_found",), http="DELETE /v1/blocks/{user}", lasting=True)
async def unblock_user(ctx: Ctx, cmd: UnblockUser) -> Effects:
    """Refused `not_found` for who is not blocked."""
    hush = await decide(ctx, cmd.user, SQL.remove)
    if hush is None:
        raise Refused("not_found", "$.user: not blocked")
    await ctx.node.signals.send(VisibilityChanged(ctx.tenant, [ctx.user, cmd.user]))
    return [*hush, Reply(Ok()), ToUser(ctx.user, SessionBehind(), but=ctx.session)]


class Blocked(Struct, kw_only=True, frozen=True):
    """Somebody who is blocked."""

    user: Id
    name: Name | None
    created_at: Millis


class ListBlocks(Command, tag="block.list"):
    """Whom one has blocked."""

    cursor: Id | None = None
    limit: Limit = 100


class Blocks(Result, tag="blocks"):
    """By user id. `cursor` is null on the last page."""

    items: list[Blocked]
    cursor: Id | None


@command(ListBlocks, result=Blocks, http="GET /v1/blocks")
async def list_blocks(ctx: Ctx, cmd: ListBlocks) -> Effects:
    rows = await ctx.node.db.all(SQL.page, ctx.tenant, ctx.user, cmd.cursor, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    items = [Blocked(**row) for row in page]
    return [Reply(Blocks(items=items, cursor=items[-1].user if more else None))]
