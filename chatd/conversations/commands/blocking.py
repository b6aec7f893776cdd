"""Blocking of users.

A blocked user cannot open a conversation with the blocker, write to them in their direct conversation, see them typing
or online, or be matched with them. The blocked user is not notified. A block declines the requests of the user; a
direct conversation that is not accepted yet does not show it (`consent_rules.py`). Earlier messages stay, and both stay
in their common groups. In their direct conversation, receipts are private.

A block applies to the id by which it was made. A block by an alias ends that match and prevents another one; it changes
nothing between the two where they know each other by user id, and a block by user id does not end a running match.
Otherwise it would show that the two ids belong to one user.
"""

from typing import Any

from msgspec import Struct

from chatd.app.context import Ctx
from chatd.app.effects import Broadcast, Effects, Reply, SendSignal, ToUser
from chatd.app.registry import command
from chatd.cluster.control_messages import SuppressTyping
from chatd.conversations.aliases import is_valid, resolve
from chatd.conversations.block_rules import lock_pair
from chatd.conversations.settings import ConversationLimits
from chatd.conversations.signals import UserBlocked, VisibilityChanged
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.db.postgres import ForeignKeyViolation, Tx
from chatd.wire.base import Command, Id, Limit, Millis, Name, Ok, Result
from chatd.wire.connection_events import SessionBehind

SQL = queries.load("conversations/blocking")


class BlockUser(Command, tag="user.block"):
    """Block a user, by user id or by the alias from a match. Blocking the same id again changes nothing.

    Each id is blocked separately. A block by alias ends that match, and the two are never matched again; it changes
    nothing outside of the match. A block by user id applies everywhere else, and does not end a match.
    """

    user: Id


@command(BlockUser, result=Ok, refuses=("not_found", "too_large"), http="PUT /v1/blocks/{user}", uncancellable=True)
async def block_user(ctx: Ctx, cmd: BlockUser) -> Effects:
    """`not_found`: there is no such user. `too_large`: the list of blocks is full (`limits.blocks_per_user`)."""
    alias = (await resolve(ctx, [cmd.user])).get(cmd.user)
    user = cmd.user if alias is None else alias.user
    if user == ctx.user:
        raise Refused("bad_request", "$.user: you cannot block yourself")
    try:
        change = await ctx.node.db.in_transaction(set_block, ctx, user, cmd.user, SQL.add, user, cmd.user, ctx.now)
    except ForeignKeyViolation:
        raise unknown_user() from None
    visibility = [SendSignal(VisibilityChanged(ctx.tenant, [ctx.user, user]))] if alias is None else []
    blocked = SendSignal(UserBlocked(ctx.tenant, ctx.user, user, cmd.user))
    return [*suppress_typing(ctx, change), *visibility, blocked, *ok_and_sync(ctx)]


def unknown_user() -> Refused:
    return Refused("not_found", "$.user: no such user")


class BlockChange(Struct, frozen=True):
    """A block was added or removed.

    `conversation`: the direct conversation of the two, if any; `is_blocked`: its state now.
    """

    conversation: str | None
    is_blocked: bool


async def set_block(tx: Tx, ctx: Ctx, user: str, shown_as: str, statement: str, *args: Any) -> BlockChange | None:
    """Block or unblock a user, and close or reopen the direct conversation, if it is by user id.

    None if nothing was changed. Raises Refused: `not_found`, `too_large`.
    """
    await lock_pair(tx, ctx.tenant, ctx.user, user)
    # Before the requests, as those who accept one do.
    await tx.run(SQL.lock_direct_conversation, ctx.tenant, ctx.user, shown_as)
    await tx.run(SQL.lock_user, ctx.tenant, ctx.user)
    if user != shown_as and not await is_valid(tx, ctx.tenant, shown_as):
        # The match was kept in the meantime.
        raise unknown_user()
    if await tx.one(statement, ctx.tenant, ctx.user, *args) is None:
        return None
    most = ctx.node.config.get(ConversationLimits).blocks_per_user
    if statement is SQL.add and await tx.value(SQL.count, ctx.tenant, ctx.user) > most:
        raise Refused("too_large", f"you can block at most {most} users")
    if statement is SQL.add and user == shown_as:
        await tx.run(SQL.decline_requests, ctx.tenant, ctx.user, user, ctx.now)
    await tx.run(SQL.touch_user_settings, ctx.tenant, ctx.user)
    row = await tx.one(SQL.update_direct_conversation, ctx.tenant, ctx.user, shown_as)
    return BlockChange(None, is_blocked=False) if row is None else BlockChange(row["id"], row["blocked"])


def suppress_typing(ctx: Ctx, change: BlockChange | None) -> Effects:
    """Stop or resume typing events in the direct conversation of the two."""
    if change is None or change.conversation is None:
        return []
    return [Broadcast(SuppressTyping(ctx.tenant, change.conversation, change.is_blocked))]


def ok_and_sync(ctx: Ctx) -> Effects:
    """Answer, and have the other devices of the user sync."""
    return [Reply(Ok()), ToUser(ctx.user, SessionBehind(), ctx.origin)]


class UnblockUser(Command, tag="user.unblock"):
    """Remove a block, by the id by which it was made. Other blocks of the same user stay."""

    user: Id


@command(UnblockUser, result=Ok, refuses=("not_found",), http="DELETE /v1/blocks/{user}", uncancellable=True)
async def unblock_user(ctx: Ctx, cmd: UnblockUser) -> Effects:
    """`not_found`: the user is not blocked by this id."""
    change = await ctx.node.db.in_transaction(set_block, ctx, cmd.user, cmd.user, SQL.remove, cmd.user)
    if change is None:
        raise Refused("not_found", "$.user: this user is not blocked")
    visibility = SendSignal(VisibilityChanged(ctx.tenant, [ctx.user, cmd.user]))
    return [*suppress_typing(ctx, change), visibility, *ok_and_sync(ctx)]


class Blocked(Struct, kw_only=True, frozen=True):
    """A blocked user. `user` is the id by which they were blocked; an alias has no name."""

    user: Id
    name: Name | None
    created_at: Millis


class ListBlocks(Command, tag="block.list"):
    """List the users that the requester has blocked."""

    cursor: Id | None = None
    limit: Limit = 100


class Blocks(Result, tag="blocks"):
    """Blocked users, ordered by id. `cursor` is null on the last page."""

    items: list[Blocked]
    cursor: Id | None


@command(ListBlocks, result=Blocks, http="GET /v1/blocks")
async def list_blocks(ctx: Ctx, cmd: ListBlocks) -> Effects:
    rows = await ctx.node.db.all(SQL.page, ctx.tenant, ctx.user, cmd.cursor, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    items = [Blocked(**row) for row in page]
    return [Reply(Blocks(items=items, cursor=items[-1].user if more else None))]
