"""Who is in a group: adding and removing, leaving, roles, handing over, dissolving."""

from typing import Annotated, Literal

from msgspec import Meta

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToConversation
from chatd.app.registry import Needs, command
from chatd.conversations.block_rules import check_not_blocked
from chatd.conversations.entities import Departure, Member, Message
from chatd.conversations.log.transaction import Change, change
from chatd.conversations.membership import (
    Left,
    depart,
    enter,
    give_role,
    leave,
    member_in,
    named,
    shut,
    told_departed,
    told_entered,
    told_left,
    told_members,
)
from chatd.conversations.messages.access import told_message
from chatd.conversations.permissions import Right, may_give, stands_above
from chatd.conversations.read_model import member_of, page_of
from chatd.conversations.settings import ConversationLimits
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.wire.base import Command, Event, Id, Limit, Ok, Result, Rev

SQL = queries.load("conversations/groups")
# Each is told to all members: more at once would fill the outbox of who reads slowly.
MOST_AT_ONCE = 200


class AddMembers(Command, tag="member.add"):
    """Add people to a group. Those who are in it already stay as they are."""

    conversation: Id
    users: Annotated[list[Id], Meta(min_length=1, max_length=MOST_AT_ONCE)]


class Members(Result, tag="members"):
    """Members of a conversation. `cursor` is null on the last page."""

    items: list[Member]
    cursor: Id | None = None


@command(
    AddMembers,
    result=Members,
    cost=5,
    refuses=("not_found", "forbidden", "too_large", "blocked"),
    http="POST /v1/conversations/{conversation}/members",
    lasting=True,
)
async def add_members(ctx: Ctx, cmd: AddMembers) -> Effects:
    """Refused `not_found` when somebody does not exist, `too_large` for too many. The answer names those who are new."""
    users = list(dict.fromkeys(cmd.users))
    await check_not_blocked(ctx, users)

    async def work(here: Change) -> tuple[list[Member], Message | None]:
        members = await enter(here, users, ctx.node.config.get(ConversationLimits))
        return members, await here.say(named("member.added", [one.user for one in members])) if members else None

    members, said = await change(ctx, cmd.conversation, work, Right.ADD)
    told = await told_entered(ctx, cmd.conversation, members, said) if said else []
    return [*told, Reply(Members(items=members))]


class RemoveMember(Command, tag="member.remove"):
    """Remove somebody from a group. From then on they see nothing of it."""

    conversation: Id
    user: Id


@command(
    RemoveMember,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="DELETE /v1/conversations/{conversation}/members/{user}",
    lasting=True,
)
async def remove_member(ctx: Ctx, cmd: RemoveMember) -> Effects:
    """Refused `forbidden` for a member who does not stand below the asker."""

    async def work(here: Change) -> tuple[Departure, Message]:
        other = await member_in(here, cmd.user)
        if not stands_above(here.place.role or "", other.role):
            raise Refused("forbidden", "only members below your own role")
        return await leave(here, cmd.user), await here.say(named("member.removed", [cmd.user]))

    return [*told_left(cmd.conversation, *await change(ctx, cmd.conversation, work, Right.REMOVE)), Reply(Ok())]


class LeaveConversation(Command, tag="conversation.leave"):
    """Leave a group. When the owner leaves, who stands highest and has been there longest becomes owner."""

    conversation: Id


@command(
    LeaveConversation,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="POST /v1/conversations/{conversation}/leave",
    lasting=True,
)
async def leave_conversation(ctx: Ctx, cmd: LeaveConversation) -> Effects:
    """Refused `forbidden` for what is no group: a direct conversation is hidden, a match is left by match.leave."""

    async def work(here: Change) -> Left:
        if here.place.kind != "group":
            raise Refused("forbidden", "only groups can be left")
        return await depart(here)

    return [*told_departed(cmd.conversation, await change(ctx, cmd.conversation, work)), Reply(Ok())]


class SetRole(Command, tag="member.role"):
    """Give a member another role. Both the role before and the one after must be below the asker's own."""

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
    lasting=True,
)
async def set_role(ctx: Ctx, cmd: SetRole) -> Effects:
    async def work(here: Change) -> tuple[Member, Message | None]:
        other = await member_in(here, cmd.user)
        if not may_give(here.place.role or "", other.role, cmd.role):
            raise Refused("forbidden", "only roles below your own, of members below it")
        if other.role == cmd.role:
            return other, None
        member = await give_role(here, cmd.user, cmd.role)
        return member, await here.say({**named("member.role", [cmd.user]), "role": cmd.role})

    member, said = await change(ctx, cmd.conversation, work, Right.ROLES)
    return [*told_roles(cmd.conversation, [member], said), Reply(MemberResult(member=member))]


def told_roles(conversation: str, members: list[Member], said: Message | None) -> Effects:
    if said is None:
        return []
    return [*told_members(conversation, members), told_message(conversation, said)]


class TransferConversation(Command, tag="conversation.transfer"):
    """Hand a group over to another member. The asker becomes an admin."""

    conversation: Id
    user: Id


@command(
    TransferConversation,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="POST /v1/conversations/{conversation}/transfer",
    lasting=True,
)
async def transfer_conversation(ctx: Ctx, cmd: TransferConversation) -> Effects:
    if cmd.user == ctx.user:
        raise Refused("bad_request", "$.user: it is yours already")

    async def work(here: Change) -> tuple[list[Member], Message]:
        await member_in(here, cmd.user)
        members = [await give_role(here, ctx.user, "admin"), await give_role(here, cmd.user, "owner")]
        return members, await here.say(named("conversation.transferred", [cmd.user]))

    members, said = await change(ctx, cmd.conversation, work, Right.OWN)
    return [*told_roles(cmd.conversation, members, said), Reply(Ok())]


class DissolveConversation(Command, tag="conversation.dissolve"):
    """End a group for all: nobody is a member any more, and nobody sees anything of it."""

    conversation: Id


class ConversationGone(Event, tag="conversation.gone"):
    """The conversation is no more. Who was away learns it by `gone` of session.sync."""

    conversation: Id
    rev: Rev
    reason: Literal["dissolved"]


@command(
    DissolveConversation,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="DELETE /v1/conversations/{conversation}",
    lasting=True,
)
async def dissolve_conversation(ctx: Ctx, cmd: DissolveConversation) -> Effects:
    async def work(here: Change) -> tuple[int, list[str]]:
        here.members = 0
        rows = await here.all(SQL.dissolve, here.next_rev(), here.place.seq, here.now, here.user)
        await shut(here)
        return here.rev, [row["user"] for row in rows]

    rev, users = await change(ctx, cmd.conversation, work, Right.OWN)
    gone = ConversationGone(conversation=cmd.conversation, rev=rev, reason="dissolved")
    return [Reply(Ok()), ToConversation(cmd.conversation, gone, parts=users)]


class ListMembers(Command, tag="member.list"):
    """The members of a conversation, by their id. `cursor` from the page before."""

    conversation: Id
    cursor: Id | None = None
    limit: Limit = 100


@command(
    ListMembers,
    result=Members,
    needs=Needs.MEMBER,
    refuses=("not_found",),
    http="GET /v1/conversations/{conversation}/members",
)
async def list_members(ctx: Ctx, cmd: ListMembers) -> Effects:
    rows = await ctx.node.db.all(SQL.page, ctx.tenant, cmd.conversation, ctx.user, cmd.cursor, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    items = [member_of(row) for row in page]
    return [Reply(Members(items=items, cursor=items[-1].user if more else None))]
