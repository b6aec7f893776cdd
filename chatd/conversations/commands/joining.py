"""Joining groups, and requests to join. Users who were removed cannot rejoin with a link: a member has to add them."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToUser
from chatd.app.registry import command
from chatd.conversations.commands.invites import Secret, find_invited_group
from chatd.conversations.effects import AnnounceMembers, WithConversation
from chatd.conversations.entities import Conversation
from chatd.conversations.log.transaction import ConversationTx, change_conversation
from chatd.conversations.membership import MembersAdded, add_members
from chatd.conversations.permissions import Right
from chatd.conversations.settings import ConversationLimits
from chatd.core.errors import Refused
from chatd.core.secrets import digest
from chatd.db import queries
from chatd.wire.base import Command, Event, Id, Millis, Ok, Result
from chatd.wire.reference.examples import Example
from chatd.wire.texts import PROSE

SQL = queries.load("conversations/joining")
MAX_REQUESTS, MAX_OWN_REQUESTS = 1000, 100
RequestText = Annotated[str, Meta(max_length=500, extra=PROSE)]


class JoinConversation(Command, tag="conversation.join"):
    """Join a group: by the `secret` of an invite link, or by its id where joining is open.

    If a member has to approve, this sends a request to join, with `text`.
    """

    conversation: Id | None = None
    secret: Secret | None = None
    text: RequestText | None = None
    EXAMPLE: ClassVar = Example(shown=("conversation",))


class Joined(Result, tag="conversation.joined"):
    """The joined group. It is null if a request was sent instead (`requested`): a member has to approve it."""

    conversation: Conversation | None
    requested: bool


@command(
    JoinConversation,
    result=Joined,
    cost=5,
    refuses=("not_found", "forbidden", "too_large"),
    http="POST /v1/join",
    uncancellable=True,
)
async def join_conversation(ctx: Ctx, cmd: JoinConversation) -> Effects:
    """`not_found`: there is no such group or link, or it does not let users join. `forbidden`: the requester was
    removed from the group. `too_large`: the group is full, the requester is in too many conversations, or there are
    too many requests.
    """
    if (cmd.conversation is None) == (cmd.secret is None):
        raise Refused("bad_request", "$: expected either conversation or secret")
    id_ = cmd.conversation or str((await find_invited_group(ctx, cmd.secret or ""))["id"])
    limits = ctx.node.config.get(ConversationLimits)
    welcome = WithConversation(id_, lambda view: [Reply(Joined(conversation=view, requested=False))])
    match await change_conversation(ctx, id_, join, cmd, limits, allow_non_member=True):
        case MembersAdded() as added:
            return [AnnounceMembers(id_, added), welcome]
        case AlreadyMember():
            return [welcome]
        case Requested(is_first):
            approvers = await ctx.node.db.all(SQL.some_approvers, ctx.tenant, id_) if is_first else []
            event = JoinRequested(conversation=id_, user=ctx.user)
            return [
                Reply(Joined(conversation=None, requested=True)),
                *(ToUser(row["user"], event) for row in approvers),
            ]


class Requested(Struct, frozen=True):
    """A request to join is stored. `is_first`: this user had no request before."""

    is_first: bool


class AlreadyMember(Struct, frozen=True):
    """The user is a member already; nothing was changed."""


async def join(
    tx: ConversationTx, cmd: JoinConversation, limits: ConversationLimits
) -> MembersAdded | Requested | AlreadyMember:
    """Join a group, or store a request to join. Raises Refused: `not_found`, `forbidden`, `too_large`."""
    if tx.locked.role is not None:
        return AlreadyMember()
    await check_may_join(tx, cmd)
    if tx.locked.joining == "request":
        requested = Requested(is_first=await ask(tx, cmd.text))
        if requested.is_first:
            await use_secret(tx, cmd.secret)
        return requested
    await use_secret(tx, cmd.secret)
    return await add_members(tx, [tx.user], limits, "member.joined") or AlreadyMember()


async def use_secret(tx: ConversationTx, secret: str | None) -> None:
    """Count one use of an invite link. Raises Refused: `not_found` if no use is left."""
    if secret is not None and await tx.one(SQL.use_invite, digest(secret), tx.now) is None:
        raise Refused("not_found", "$.secret: no such invite link")


async def check_may_join(tx: ConversationTx, cmd: JoinConversation) -> None:
    """Check that the requester may join. Raises Refused: `not_found`, `forbidden`."""
    if (
        tx.locked.kind != "group"
        or not tx.locked.members
        or tx.locked.joining == "closed"
        or (cmd.secret is None and tx.locked.joining != "open")
    ):
        raise Refused("not_found", "no such conversation")
    if await tx.one(SQL.was_removed, tx.user) is not None:
        raise Refused("forbidden", "you were removed from this group: only a member can add you again")


async def ask(tx: ConversationTx, text: str | None) -> bool:
    """Store a request to join. Returns whether it is the first of this user. Raises Refused: `too_large`."""
    found = await tx.one(SQL.count_requests)
    if found is not None and found["found"] >= MAX_REQUESTS:
        raise Refused("too_large", "this group has too many pending requests to join")
    own = await tx.one(SQL.count_other_requests, tx.user)
    if own is not None and own["found"] >= MAX_OWN_REQUESTS:
        raise Refused("too_large", f"you already have {MAX_OWN_REQUESTS} pending requests to join groups")
    row = await tx.one(SQL.put_request, tx.user, text, tx.now)
    return row is not None and bool(row["is_new"])


class JoinRequested(Event, tag="join.requested"):
    """A user asks to join. Sent to the members who may approve it."""

    conversation: Id
    user: Id


class JoinDeclined(Event, tag="join.declined"):
    """The request of this user to join was declined."""

    conversation: Id
    user: Id


class Request(Struct, kw_only=True, frozen=True):
    """A request to join."""

    user: Id
    name: str | None
    text: str | None
    created_at: Millis


class ListRequests(Command, tag="join.list"):
    """List the requests to join a group."""

    conversation: Id


class Requests(Result, tag="join.requests"):
    """Requests to join, the earliest first, at most 200."""

    items: list[Request]


@command(
    ListRequests,
    result=Requests,
    refuses=("not_found", "forbidden"),
    http="GET /v1/conversations/{conversation}/requests",
)
async def list_requests(ctx: Ctx, cmd: ListRequests) -> Effects:
    requests = await change_conversation(ctx, cmd.conversation, read_requests, right=Right.ADD)
    return [Reply(Requests(items=requests))]


async def read_requests(tx: ConversationTx) -> list[Request]:
    return [Request(**dict(row)) for row in await tx.all(SQL.requests, 200)]


class DecideRequest(Command, tag="join.decide"):
    """Approve or decline a request to join."""

    conversation: Id
    user: Id
    approve: bool


@command(
    DecideRequest,
    result=Ok,
    refuses=("not_found", "forbidden", "too_large"),
    http="POST /v1/conversations/{conversation}/requests/{user}",
    uncancellable=True,
)
async def decide_request(ctx: Ctx, cmd: DecideRequest) -> Effects:
    """`not_found`: this user has not asked to join. `too_large`: the group is full, or the user is in too many
    conversations.
    """
    limits = ctx.node.config.get(ConversationLimits)
    match await change_conversation(ctx, cmd.conversation, decide, cmd, limits, right=Right.ADD):
        case MembersAdded() as added:
            return [AnnounceMembers(cmd.conversation, added), Reply(Ok())]
        case AlreadyMember():
            return [Reply(Ok())]
        case Declined():
            return [Reply(Ok()), ToUser(cmd.user, JoinDeclined(conversation=cmd.conversation, user=cmd.user))]


class Declined(Struct, frozen=True):
    """The request was removed."""


async def decide(
    tx: ConversationTx, cmd: DecideRequest, limits: ConversationLimits
) -> MembersAdded | AlreadyMember | Declined:
    """Approve or decline a request. Raises Refused: `not_found`, `too_large`."""
    if await tx.one(SQL.delete_request, cmd.user) is None:
        raise Refused("not_found", "$.user: this user has not asked to join")
    if not cmd.approve:
        return Declined()
    return await add_members(tx, [cmd.user], limits, "member.approved") or AlreadyMember()
