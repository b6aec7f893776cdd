"""Admin commands that show conversations: their metadata, and, for a stated reason, their messages."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct, convert

from chatd.app import audit_log
from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import admin_command
from chatd.conversations.entities import Joining, Role
from chatd.conversations.messages.sending import Messages
from chatd.conversations.read_model import message_of
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.wire.admin import AdminCommand
from chatd.wire.base import Id, Limit, Millis, Result, Seq
from chatd.wire.reference.examples import Example

SQL = queries.load("inspection/conversations")
MAX_MEMBERS = 200
Kind = Literal["direct", "group", "match"]
Because = Annotated[str, Meta(min_length=10, max_length=500, description="Why, for the audit log")]


class ListConversationsOfAll(AdminCommand, tag="admin.conversations"):
    """List conversations without their messages, the latest first. `user`: only those of this member. `before`: the
    last id of the previous page.
    """

    user: Id | None = None
    before: Id | None = None
    limit: Limit = 50


class ConversationLine(Struct, kw_only=True, frozen=True):
    """A conversation in a list. `messages`: how many it has had."""

    conversation: Id
    kind: Kind
    title: str | None
    creator: Id | None
    members: int
    messages: Seq
    created_at: Millis
    active_at: Millis


class ConversationLines(Result, tag="admin.conversation.list"):
    """A page of conversations. `more`: there are older ones."""

    items: list[ConversationLine]
    more: bool


@admin_command(ListConversationsOfAll, result=ConversationLines, role="viewer")
async def list_conversations(ctx: Ctx, cmd: ListConversationsOfAll) -> Effects:
    page_args = (ctx.tenant, cmd.before, cmd.limit + 1)
    if cmd.user is None:
        rows = await ctx.node.db.all(SQL.page, *page_args)
    else:
        rows = await ctx.node.db.all(SQL.page_of_user, *page_args, cmd.user)
    page, more = page_of([dict(row) for row in rows], cmd.limit)
    return [Reply(ConversationLines(items=convert(page, list[ConversationLine]), more=more))]


class ShowConversation(AdminCommand, tag="admin.conversation"):
    """Show a conversation and its members, without its messages."""

    conversation: Id


class MemberLine(Struct, kw_only=True, frozen=True):
    """A member, by the user id also in a match."""

    user: Id
    name: str | None
    role: Role
    joined_at: Millis
    delivered_seq: Seq
    read_seq: Seq


class ConversationMetadata(Result, tag="admin.conversation.shown", kw_only=True):
    """A conversation. `members`: how many; `some_members`: the first 200. `disappear_s`: after how many seconds
    messages disappear; `keep_days`: after how many days they are deleted.
    """

    conversation: Id
    kind: Kind
    title: str | None
    creator: Id | None
    members: int
    messages: Seq
    created_at: Millis
    active_at: Millis
    description: str | None
    external_id: str | None
    joining: Joining
    disappear_s: int
    keep_days: int | None
    some_members: list[MemberLine]


@admin_command(ShowConversation, result=ConversationMetadata, role="viewer", refuses=("not_found",))
async def show_conversation(ctx: Ctx, cmd: ShowConversation) -> Effects:
    """`not_found`: there is no such conversation."""
    row = await ctx.node.db.one(SQL.get, ctx.tenant, cmd.conversation)
    if row is None:
        raise Refused("not_found", "no such conversation")
    found = await ctx.node.db.all(SQL.members, ctx.tenant, cmd.conversation, MAX_MEMBERS)
    members = convert([dict(one) for one in found], list[MemberLine])
    return [Reply(ConversationMetadata(**dict(row), some_members=members))]


class ReadMessages(AdminCommand, tag="admin.conversation.messages"):
    """Read messages of a conversation, the latest or those before the seq `before`, in their order. The audit log
    records the access with its `reason`.

    In a match, senders are shown by their alias. To judge a report, use `admin.report` instead.
    """

    conversation: Id
    reason: Because
    before: Seq | None = None
    limit: Limit = 50
    EXAMPLE: ClassVar = Example(reason="order of the court, 4 C 118/26")


@admin_command(ReadMessages, result=Messages, role="operator", refuses=("not_found",))
async def read_messages(ctx: Ctx, cmd: ReadMessages) -> Effects:
    """`not_found`: there is no such conversation."""
    db = ctx.node.db
    if await db.one(SQL.get, ctx.tenant, cmd.conversation) is None:
        raise Refused("not_found", "no such conversation")
    details = {"reason": cmd.reason} | ({} if cmd.before is None else {"before": cmd.before})
    await audit_log.write(db, ctx.actor, "conversation.read", cmd.conversation, details)
    rows = await db.all(SQL.messages, ctx.tenant, cmd.conversation, cmd.before, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    items = sorted((message_of(row, ctx.files_url) for row in page), key=lambda message: message.seq)
    return [Reply(Messages(items=items, more=more))]
