"""Requests: what somebody may not do without the consent of a user. Listing, accepting, declining, withdrawing them.

The rules, and how a request begins, are in `conversations/consent_rules.py`.
"""

from typing import Literal

from msgspec import Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effect, Effects, Reply, ToUser
from chatd.app.registry import command
from chatd.conversations.commands.blocking import BlockUser, block_user
from chatd.conversations.consent_rules import (
    Accepted,
    AnnounceAccepted,
    RequestCounts,
    accept_direct,
    no_request,
)
from chatd.conversations.effects import AnnounceMembers, WithConversation
from chatd.conversations.entities import Conversation, Message
from chatd.conversations.log.transaction import ConversationTx, change_conversation
from chatd.conversations.membership import MembersAdded, add_members, check_conversation_limit
from chatd.conversations.permissions import Right
from chatd.conversations.read_model import message_of
from chatd.conversations.settings import ConsentSettings, ConversationLimits
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.db.postgres import Row
from chatd.wire.base import Command, Id, Limit, Millis, Name, Ok, Result
from chatd.wire.connection_events import SessionBehind

SQL = queries.load("consent/requests")
# Messages of one request, whatever `consent.messages` allows.
MAX_SHOWN = 10


class ListContactRequests(Command, tag="request.list"):
    """List the requests to the requester: to accept a direct conversation, or to join a group. `declined`: those that
    the requester has declined, which can still be accepted.
    """

    cursor: Id | None = None
    limit: Limit = 50
    declined: bool = False


class ContactRequest(Struct, kw_only=True, frozen=True):
    """A request of `user`, named by its conversation. `messages`: what they have written in a direct conversation, the
    first ten; files can be read once it is accepted.
    """

    conversation: Id
    kind: Literal["direct", "group"]
    user: Id
    name: Name | None
    created_at: Millis
    title: str | None
    picture: Id | None
    member_count: int
    messages: list[Message]


class ContactRequests(Result, tag="requests"):
    """Requests, those of the latest conversations first. `cursor` is null on the last page."""

    items: list[ContactRequest]
    cursor: Id | None


@command(ListContactRequests, result=ContactRequests, cost=2, http="GET /v1/requests")
async def list_requests(ctx: Ctx, cmd: ListContactRequests) -> Effects:
    statement = SQL.declined if cmd.declined else SQL.page
    rows = await ctx.node.db.all(statement, ctx.tenant, ctx.user, cmd.cursor, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    messages = await messages_of(ctx, [row["conversation"] for row in page if row["kind"] == "direct"])
    items = [ContactRequest(**row, messages=messages.get(row["conversation"], [])) for row in page]
    return [Reply(ContactRequests(items=items, cursor=items[-1].conversation if more else None))]


async def messages_of(ctx: Ctx, conversations: list[str]) -> dict[str, list[Message]]:
    """The messages of conversations that are not accepted yet."""
    most = min(MAX_SHOWN, ctx.node.config.get(ConsentSettings).messages)
    found: dict[str, list[Message]] = {}
    for row in await ctx.node.db.all(SQL.messages, ctx.tenant, conversations, most) if conversations else []:
        found.setdefault(row["conversation_id"], []).append(message_of(row, ctx.files_url))
    return found


class AcceptRequest(Command, tag="request.accept"):
    """Accept a request, also one that was declined: the requester becomes a member. The user who has written to the
    requester becomes a contact. To accept a request that is accepted already changes nothing.
    """

    conversation: Id


class RequestAccepted(Result, tag="request.accepted"):
    """The conversation of which the requester is a member now."""

    conversation: Conversation


@command(
    AcceptRequest,
    result=RequestAccepted,
    cost=2,
    refuses=("not_found", "blocked", "too_large"),
    http="POST /v1/requests/{conversation}/accept",
    uncancellable=True,
)
async def accept_request(ctx: Ctx, cmd: AcceptRequest) -> Effects:
    """`not_found`: there is no such request, or it was withdrawn. `blocked`: the requester has blocked the user.
    `too_large`: the group is full, or the requester is in too many conversations.
    """
    await check_conversation_limit(ctx, cmd.conversation, [ctx.user])
    limits = ctx.node.config.get(ConversationLimits)
    done = await change_conversation(ctx, cmd.conversation, accept, limits, allow_non_member=True, allow_blocked=True)
    announced: list[Effect] = []
    if isinstance(done, Accepted):
        announced = [AnnounceAccepted(cmd.conversation, done)]
    elif done is not None:
        ctx.node.get(RequestCounts).by_outcome["accepted"] += 1
        announced = [AnnounceMembers(cmd.conversation, done)]
    return [
        *announced,
        WithConversation(cmd.conversation, lambda view: [Reply(RequestAccepted(conversation=view))]),
        *own_devices(ctx),
    ]


async def accept(tx: ConversationTx, limits: ConversationLimits) -> Accepted | MembersAdded | None:
    """Become a member. Returns None if the requester is one already. Raises Refused: `not_found`, `blocked`,
    `too_large`.
    """
    if tx.locked.kind == "direct":
        return await accept_direct(tx, False)
    if tx.locked.role is not None:
        return None
    request = await tx.one(SQL.request, tx.user)
    if request is None or request["is_withdrawn"]:
        raise no_request()
    return await add_members(tx, [tx.user], limits, "member.joined")


def own_devices(ctx: Ctx) -> Effects:
    """Have the other devices of the requester sync."""
    return [ToUser(ctx.user, SessionBehind(), ctx.origin)]


class DeclineRequest(Command, tag="request.decline"):
    """Decline a request. Its sender is not notified and sees no difference. To decline it again changes nothing."""

    conversation: Id


@command(
    DeclineRequest,
    result=Ok,
    refuses=("not_found",),
    http="POST /v1/requests/{conversation}/decline",
    uncancellable=True,
)
async def decline_request(ctx: Ctx, cmd: DeclineRequest) -> Effects:
    """`not_found`: there is no such request, it was withdrawn, or it is accepted already."""
    if await change_conversation(ctx, cmd.conversation, decline, allow_non_member=True, allow_blocked=True):
        ctx.node.get(RequestCounts).by_outcome["declined"] += 1
    return [Reply(Ok()), *own_devices(ctx)]


async def decline(tx: ConversationTx) -> bool:
    """Decline a request. Returns whether it was not declined before. Raises Refused: `not_found`."""
    request = await tx.one(SQL.request, tx.user)
    if request is None or request["is_withdrawn"]:
        raise no_request()
    return await tx.one(SQL.decline, tx.user, tx.now) is not None


class BlockSender(Command, tag="request.block"):
    """Decline a request and block its sender, as user.block does: that declines all their requests."""

    conversation: Id


@command(
    BlockSender,
    result=Ok,
    refuses=("not_found", "too_large"),
    http="POST /v1/requests/{conversation}/block",
    uncancellable=True,
)
async def block_sender(ctx: Ctx, cmd: BlockSender) -> Effects:
    """`not_found`: there is no such request. `too_large`: the list of blocks is full."""
    row = await ctx.node.db.one(SQL.request, ctx.tenant, cmd.conversation, ctx.user)
    if row is None or row["is_withdrawn"]:
        raise no_request()
    blocked = await block_user(ctx, BlockUser(user=row["sender"]))
    ctx.node.get(RequestCounts).by_outcome["blocked"] += 1
    return blocked


class WithdrawRequest(Command, tag="request.withdraw"):
    """Withdraw a request to `user` to accept a direct conversation of the requester, or to join a group. That it was
    declined, or withdrawn before, does not show. conversation.open and member.add ask again.
    """

    conversation: Id
    user: Id


@command(
    WithdrawRequest,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="DELETE /v1/conversations/{conversation}/invited/{user}",
    uncancellable=True,
)
async def withdraw_request(ctx: Ctx, cmd: WithdrawRequest) -> Effects:
    """`not_found`: there is no such conversation, or this user is not asked. `forbidden`: the requester may not add
    members to the group.
    """
    was_pending = await change_conversation(ctx, cmd.conversation, withdraw, cmd.user)
    notified = [ToUser(cmd.user, SessionBehind())] if was_pending else []
    return [Reply(Ok()), *notified]


async def withdraw(tx: ConversationTx, user: str) -> bool:
    """Withdraw a request. Returns whether the user could still see it. Raises Refused: `not_found`, `forbidden`."""
    if tx.locked.kind == "group":
        tx.check(Right.ADD)
    row = await tx.one(SQL.withdraw, user, tx.now)
    if row is None:
        raise Refused("not_found", "$.user: this user is not asked")
    return bool(row["is_pending"])


class ListInvited(Command, tag="request.invited"):
    """List the users who were asked to join a group and have not accepted. Whether they have declined does not show."""

    conversation: Id
    cursor: Id | None = None
    limit: Limit = 100


class Invited(Struct, kw_only=True, frozen=True):
    """A user who was asked to join, by the member `by`."""

    user: Id
    name: Name | None
    by: Id
    created_at: Millis


class InvitedUsers(Result, tag="request.invited"):
    """Users who were asked to join, ordered by id. `cursor` is null on the last page."""

    items: list[Invited]
    cursor: Id | None


@command(
    ListInvited,
    result=InvitedUsers,
    refuses=("not_found", "forbidden"),
    http="GET /v1/conversations/{conversation}/invited",
)
async def list_invited(ctx: Ctx, cmd: ListInvited) -> Effects:
    """`forbidden`: the requester may not add members to the group."""
    window = (cmd.cursor, cmd.limit + 1)
    rows = await change_conversation(ctx, cmd.conversation, read_invited, *window, right=Right.ADD)
    page, more = page_of(rows, cmd.limit)
    items = [Invited(**row) for row in page]
    return [Reply(InvitedUsers(items=items, cursor=items[-1].user if more else None))]


async def read_invited(tx: ConversationTx, after: str | None, limit: int) -> list[Row]:
    return await tx.all(SQL.invited, after, limit)
