"""Members of groups: adding, removing, leaving, roles, transferring and dissolving."""

from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToConversation
from chatd.app.registry import Guard, command
from chatd.conversations.consent_rules import NOBODY_ASKED, Act, Asked, ask, request_events, users_to_ask, without
from chatd.conversations.effects import AnnounceMembers, departure_events, member_events, message_event
from chatd.conversations.entities import Member, Message
from chatd.conversations.log.transaction import ConversationTx, change_conversation
from chatd.conversations.membership import (
    MemberGone,
    MembersAdded,
    add_members,
    check_may_own,
    close_joining,
    give_role,
    leave_group,
    member_in,
    remove_member,
    system_payload,
)
from chatd.conversations.permissions import Right, may, may_give, stands_above
from chatd.conversations.read_model import member_of
from chatd.conversations.settings import ConsentSettings, ConversationLimits
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.wire.base import Command, Event, Id, Limit, Ok, Result, Rev
from chatd.wire.reference.examples import Example

SQL = queries.load("conversations/groups")
# Each new member is an event for all members: more at once would fill the send queues of slow readers.
MAX_ADDED_AT_ONCE = 200


class AddMembers(Command, tag="member.add"):
    """Add users to a group. Users who are members already are not changed. Users who do not let the requester add them
    are asked to join.
    """

    conversation: Id
    users: Annotated[list[Id], Meta(min_length=1, max_length=MAX_ADDED_AT_ONCE)]


class Members(Result, tag="members"):
    """Members of a conversation. `cursor` is null on the last page. `invited`, in the answer to member.add: the users
    who were asked to join; absent if there are none.
    """

    items: list[Member]
    cursor: Id | None = None
    invited: list[Id] | UnsetType = UNSET


@command(
    AddMembers,
    result=Members,
    cost=5,
    refuses=("not_found", "forbidden", "too_large", "blocked"),
    http="POST /v1/conversations/{conversation}/members",
    uncancellable=True,
)
async def member_add(ctx: Ctx, cmd: AddMembers) -> Effects:
    """Answers with the new members only. `not_found`: a user does not exist. `forbidden`: the requester may not add
    members. `blocked`: a user has blocked the requester. `too_large`: the group is full, or a user is in too many
    conversations or has too many requests to answer.
    """
    users = list(dict.fromkeys(cmd.users))
    to_ask = await users_to_ask(ctx, users, Act.GROUPS)
    done = await change_conversation(ctx, cmd.conversation, add_or_ask, ctx, without(users, to_ask), to_ask)
    answer = Members(items=done.added.members if done.added else [], invited=done.asked.users or UNSET)
    announced = [AnnounceMembers(cmd.conversation, done.added)] if done.added else []
    return [*announced, *request_events(ctx, cmd.conversation, "group", done.asked), Reply(answer)]


class AddedOrAsked(Struct, frozen=True):
    """The users who were added, if any, and those who were asked."""

    added: MembersAdded | None
    asked: Asked


async def add_or_ask(tx: ConversationTx, ctx: Ctx, users: list[str], to_ask: list[str]) -> AddedOrAsked:
    """Raises Refused as `add_members` and `ask`; `forbidden` if the requester may not add members."""
    await check_may_add(tx, [*users, *to_ask])
    settings, limits = ctx.node.config.get(ConsentSettings), ctx.node.config.get(ConversationLimits)
    asked = await ask(tx, to_ask, settings, limits) if to_ask else NOBODY_ASKED
    return AddedOrAsked(await add_members(tx, users, limits, "member.added") if users else None, asked)


async def check_may_add(tx: ConversationTx, users: list[str]) -> None:
    """Check that the requester may add these users. Raises Refused: `forbidden`."""
    role = tx.locked.role or ""
    if may(tx.locked.kind, role, Right.ADD) or not may(tx.locked.kind, role, Right.ADD_BOTS):
        tx.check(Right.ADD)
    elif await tx.one(SQL.has_person, users) is not None:
        raise Refused("forbidden", "you may only add bots here")


class RemoveMember(Command, tag="member.remove"):
    """Remove a member from a group. The user loses access to the whole group."""

    conversation: Id
    user: Id


@command(
    RemoveMember,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="DELETE /v1/conversations/{conversation}/members/{user}",
    uncancellable=True,
)
async def member_remove(ctx: Ctx, cmd: RemoveMember) -> Effects:
    """`forbidden`: the role of the member is not below the role of the requester."""
    gone = await change_conversation(ctx, cmd.conversation, remove_lower, cmd.user, right=Right.REMOVE)
    return [*departure_events(cmd.conversation, gone), Reply(Ok())]


async def remove_lower(tx: ConversationTx, user: str) -> MemberGone:
    """Remove a member whose role is below the role of the requester. Raises Refused: `not_found`, `forbidden`."""
    other = await member_in(tx, user)
    if not stands_above(tx.locked.role or "", other.role):
        raise Refused("forbidden", "you can only remove members whose role is below yours")
    departure = await remove_member(tx, user)
    return MemberGone(departure, [], await tx.add_system_message(system_payload("member.removed", [user])))


class LeaveConversation(Command, tag="conversation.leave"):
    """Leave a group. If the owner leaves, the member with the highest role, and among equals the longest membership,
    becomes the owner.
    """

    conversation: Id


@command(
    LeaveConversation,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="POST /v1/conversations/{conversation}/leave",
    uncancellable=True,
)
async def leave_conversation(ctx: Ctx, cmd: LeaveConversation) -> Effects:
    """`forbidden`: this is not a group. Hide a direct conversation with conversation.settings, leave a match with
    match.leave.
    """
    gone = await change_conversation(ctx, cmd.conversation, leave_if_group)
    return [*departure_events(cmd.conversation, gone), Reply(Ok())]


async def leave_if_group(tx: ConversationTx) -> MemberGone:
    """Leave a group. Raises Refused: `forbidden`."""
    if tx.locked.kind != "group":
        raise Refused(
            "forbidden", "only groups can be left: hide a direct conversation, leave a match with match.leave"
        )
    return await leave_group(tx)


class SetRole(Command, tag="member.role"):
    """Change the role of a member. Both the present and the new role must be below the role of the requester."""

    conversation: Id
    user: Id
    role: Literal["admin", "moderator", "member"]


class MemberResult(Result, tag="member"):
    """A member as they are now."""

    member: Member


@command(
    SetRole,
    result=MemberResult,
    refuses=("not_found", "forbidden"),
    http="PUT /v1/conversations/{conversation}/members/{user}/role",
    uncancellable=True,
)
async def set_role(ctx: Ctx, cmd: SetRole) -> Effects:
    done = await change_conversation(ctx, cmd.conversation, give_lower_role, cmd.user, cmd.role, right=Right.ROLES)
    if isinstance(done, Member):
        return [Reply(MemberResult(member=done))]
    return [*role_events(cmd.conversation, done), Reply(MemberResult(member=done.members[0]))]


class RolesChanged(Struct, frozen=True):
    """Members have other roles, and a system message about it."""

    members: list[Member]
    message: Message


async def give_lower_role(tx: ConversationTx, user: str, role: str) -> Member | RolesChanged:
    """Returns the member if they have the role already. Raises Refused: `not_found`, `forbidden`."""
    other = await member_in(tx, user)
    if not may_give(tx.locked.role or "", other.role, role):
        raise Refused("forbidden", "you can only give roles below your own, to members below your role")
    if other.role == role:
        return other
    member = await give_role(tx, user, role)
    announcement = await tx.add_system_message({**system_payload("member.role", [user]), "role": role})
    return RolesChanged([member], announcement)


def role_events(conversation: str, changed: RolesChanged) -> Effects:
    return [*member_events(conversation, changed.members), message_event(conversation, changed.message)]


class TransferConversation(Command, tag="conversation.transfer"):
    """Transfer a group to another member. The requester becomes an admin."""

    conversation: Id
    user: Id


@command(
    TransferConversation,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="POST /v1/conversations/{conversation}/transfer",
    uncancellable=True,
)
async def transfer_conversation(ctx: Ctx, cmd: TransferConversation) -> Effects:
    if cmd.user == ctx.user:
        raise Refused("bad_request", "$.user: you already own this group")
    changed = await change_conversation(ctx, cmd.conversation, transfer, cmd.user, right=Right.OWN)
    return [*role_events(cmd.conversation, changed), Reply(Ok())]


async def transfer(tx: ConversationTx, user: str) -> RolesChanged:
    """Make another member the owner. Raises Refused: `not_found`, `forbidden` for a bot."""
    check_may_own(await member_in(tx, user))
    members = [await give_role(tx, tx.user, "admin"), await give_role(tx, user, "owner")]
    return RolesChanged(members, await tx.add_system_message(system_payload("conversation.transferred", [user])))


class DissolveConversation(Command, tag="conversation.dissolve"):
    """Dissolve a group. All memberships end, and no user has access to it any more."""

    conversation: Id


class ConversationGone(Event, tag="conversation.gone"):
    """The conversation was dissolved. Clients that were offline find it in `gone` of session.sync."""

    conversation: Id
    rev: Rev
    reason: Literal["dissolved"]
    EXAMPLE: ClassVar = Example(absent_if_missed=("rev",))


@command(
    DissolveConversation,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="DELETE /v1/conversations/{conversation}",
    uncancellable=True,
)
async def dissolve_conversation(ctx: Ctx, cmd: DissolveConversation) -> Effects:
    return [Reply(Ok()), await change_conversation(ctx, cmd.conversation, dissolve, right=Right.OWN)]


async def dissolve(tx: ConversationTx) -> ToConversation:
    tx.members = 0
    rows = await tx.all(SQL.dissolve, tx.next_rev(), tx.locked.seq, tx.now, tx.actor)
    await close_joining(tx)
    gone = ConversationGone(conversation=tx.conversation, rev=tx.rev, reason="dissolved")
    return ToConversation(tx.conversation, gone, leaving=[row["user"] for row in rows])


class ListMembers(Command, tag="member.list"):
    """List the members of a conversation, ordered by id. `cursor`: from the page before."""

    conversation: Id
    cursor: Id | None = None
    limit: Limit = 100


@command(
    ListMembers,
    result=Members,
    guard=Guard.MEMBER,
    refuses=("not_found",),
    http="GET /v1/conversations/{conversation}/members",
)
async def list_members(ctx: Ctx, cmd: ListMembers) -> Effects:
    rows = await ctx.node.db.all(SQL.page, ctx.tenant, cmd.conversation, ctx.user, cmd.cursor, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    items = [member_of(row) for row in page]
    return [Reply(Members(items=items, cursor=items[-1].user if more else None))]
