"""Blocks: a blocked user cannot open a conversation with the blocker, write, type, see their presence, or be matched with them.

The blocked user is not notified. Messages from before stay, and in groups both stay. In their direct conversation receipts are
private (the SQL function `advance_receipts`).

A block applies to the id by which it was made. A block by an alias ends that match and prevents another one; it changes nothing
between the two where they know each other by user id, and a block by user id does not end a match that is running. Otherwise it
would show that the two ids are of one user.
"""

from typing import Any

from msgspec import Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Hush, Reply, ToUser, deliver
from chatd.app.registry import command
from chatd.conversations.aliases import is_valid, resolve
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
    """Block a user, by user id or by the alias from a match. Each of them is a block of its own. Twice is once.

    A block by alias ends that match, and the two are never matched again. Nothing else changes between users who know each other
    elsewhere; it takes a block by user id, which ends no match.
    """

    user: Id


@command(BlockUser, result=Ok, refuses=("not_found", "too_large"), http="PUT /v1/blocks/{user}", lasting=True)
async def block_user(ctx: Ctx, cmd: BlockUser) -> Effects:
    """Refused `too_large` for too many blocks."""
    alias = (await resolve(ctx, [cmd.user])).get(cmd.user)
    user = cmd.user if alias is None else alias.user
    if user == ctx.user:
        raise Refused("bad_request", "$.user: that is you")
    try:
        hush = await decide(ctx, user, cmd.user, SQL.add, user, cmd.user, ctx.now)
    except ForeignKeyViolation:
        raise unknown_user() from None
    # The block is committed: first everything that cannot fail.
    await deliver(ctx, hush or [])
    signals = ctx.node.signals
    if alias is None:
        await signals.send(VisibilityChanged(ctx.tenant, [ctx.user, user]))
    await signals.send(UserBlocked(ctx.tenant, ctx.user, user, cmd.user))
    return [Reply(Ok()), ToUser(ctx.user, SessionBehind(), but=ctx.session)]


def unknown_user() -> Refused:
    return Refused("not_found", "$.user: no such user")


async def decide(ctx: Ctx, user: str, shown_as: str, statement: str, *args: Any) -> Effects | None:
    """Block or unblock a user, and close or open the direct conversation, if it is by user id. None when it was so already."""

    async def work(tx: Tx) -> Effects | None:
        await lock_pair(tx, ctx.tenant, ctx.user, user)
        await tx.run(SQL.hold, ctx.tenant, ctx.user)
        if user != shown_as and not await is_valid(tx, ctx.tenant, shown_as):
            # The match was kept in this moment.
            raise unknown_user()
        if await tx.one(statement, ctx.tenant, ctx.user, *args) is None:
            return None
        most = ctx.node.config.get(ConversationLimits).blocks_per_user
        if statement is SQL.add and await tx.value(SQL.count, ctx.tenant, ctx.user) > most:
            raise Refused("too_large", f"you can block at most {most} users")
        await tx.run(SQL.note, ctx.tenant, ctx.user)
        row = await tx.one(SQL.settle, ctx.tenant, ctx.user, shown_as)
        return [] if row is None else [Hush(row["id"], on=row["blocked"])]

    return await ctx.node.db.in_transaction(work)


class UnblockUser(Command, tag="user.unblock"):
    """Remove a block, by the id by which it was made. Other blocks of the same user stay in effect."""

    user: Id


@command(UnblockUser, result=Ok, refuses=("not_found",), http="DELETE /v1/blocks/{user}", lasting=True)
async def unblock_user(ctx: Ctx, cmd: UnblockUser) -> Effects:
    """Refused `not_found` for who is not blocked."""
    hush = await decide(ctx, cmd.user, cmd.user, SQL.remove, cmd.user)
    if hush is None:
        raise Refused("not_found", "$.user: not blocked")
    await ctx.node.signals.send(VisibilityChanged(ctx.tenant, [ctx.user, cmd.user]))
    return [*hush, Reply(Ok()), ToUser(ctx.user, SessionBehind(), but=ctx.session)]


class Blocked(Struct, kw_only=True, frozen=True):
    """A blocked user. `user` is the id by which they were blocked; an alias has no name."""

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
