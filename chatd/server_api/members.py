"""Members of groups: adding and removing them, and their roles."""

from typing import Annotated, ClassVar

from msgspec import Meta

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import server_command
from chatd.conversations.commands.groups import (
    MAX_ADDED_AT_ONCE,
    MemberResult,
    Members,
    RolesChanged,
    role_events,
)
from chatd.conversations.effects import AnnounceMembers, departure_events
from chatd.conversations.entities import Member, Role
from chatd.conversations.log.transaction import ConversationTx
from chatd.conversations.membership import (
    MemberGone,
    add_members,
    check_may_own,
    end_membership,
    give_role,
    member_in,
    system_payload,
)
from chatd.conversations.settings import ConversationLimits
from chatd.db import queries
from chatd.server_api.acting import As, as_system, change_group
from chatd.wire.base import Id, Ok
from chatd.wire.reference.examples import BOB, Example
from chatd.wire.server import ServerCommand

SQL = queries.load("server_api/members")


class ServerAddMembers(ServerCommand, tag="server.member.add"):
    """Add users to a group. Users who are members already are not changed."""

    conversation: Id
    users: Annotated[list[Id], Meta(min_length=1, max_length=MAX_ADDED_AT_ONCE)]
    EXAMPLE: ClassVar = Example(users=BOB)


@server_command(
    ServerAddMembers,
    result=Members,
    scope="conversations:write",
    cost=5,
    refuses=("not_found", "forbidden", "too_large"),
    http="POST /v1/server/conversations/{conversation}/members",
    uncancellable=True,
)
async def add(ctx: Ctx, cmd: ServerAddMembers) -> Effects:
    """Answers with the new members only. `not_found`: a user does not exist. `forbidden`: this is not a group.
    `too_large`: the group is full, or a user is in too many conversations.
    """
    users, limits = list(dict.fromkeys(cmd.users)), ctx.node.config.get(ConversationLimits)
    acting = as_system(ctx)
    added = await change_group(acting, cmd.conversation, add_members, users, limits, "member.added")
    if added is None:
        return [Reply(Members(items=[]))]
    return [As(acting, [AnnounceMembers(cmd.conversation, added), Reply(Members(items=added.members))])]


class ServerRemoveMember(ServerCommand, tag="server.member.remove"):
    """Remove a member from a group. If they own it, the member with the highest role, and among equals the longest
    membership, becomes the owner.
    """

    conversation: Id
    user: Id


@server_command(
    ServerRemoveMember,
    result=Ok,
    scope="conversations:write",
    refuses=("not_found", "forbidden"),
    http="DELETE /v1/server/conversations/{conversation}/members/{user}",
    uncancellable=True,
)
async def remove(ctx: Ctx, cmd: ServerRemoveMember) -> Effects:
    """`not_found`: the user is not a member. `forbidden`: this is not a group."""
    acting = as_system(ctx)
    gone = await change_group(acting, cmd.conversation, remove_member, cmd.user)
    return [As(acting, [*departure_events(cmd.conversation, gone), Reply(Ok())])]


async def remove_member(tx: ConversationTx, user: str) -> MemberGone:
    """Raises Refused: `not_found`."""
    member = await member_in(tx, user)
    return await end_membership(tx, user, member.role, system_payload("member.removed", [user]))


class ServerSetRole(ServerCommand, tag="server.member.role"):
    """Change the role of a member of a group. With `owner` the present owner becomes an admin."""

    conversation: Id
    user: Id
    role: Role


@server_command(
    ServerSetRole,
    result=MemberResult,
    scope="conversations:write",
    refuses=("not_found", "forbidden"),
    http="PUT /v1/server/conversations/{conversation}/members/{user}/role",
    uncancellable=True,
)
async def set_role(ctx: Ctx, cmd: ServerSetRole) -> Effects:
    """`not_found`: the user is not a member. `forbidden`: this is not a group, or a bot cannot own it."""
    acting = as_system(ctx)
    done = await change_group(acting, cmd.conversation, give, cmd.user, cmd.role)
    if isinstance(done, Member):
        return [Reply(MemberResult(member=done))]
    reply = Reply(MemberResult(member=done.members[-1]))
    return [As(acting, [*role_events(cmd.conversation, done), reply])]


async def give(tx: ConversationTx, user: str, role: str) -> Member | RolesChanged:
    """Returns the member if they have the role already. Raises Refused: `not_found`."""
    member = await member_in(tx, user)
    if member.role == role:
        return member
    changed = []
    if role == "owner":
        check_may_own(member)
        owner = await tx.one(SQL.owner)
        changed += [await give_role(tx, owner["user"], "admin")] if owner is not None else []
        system = system_payload("conversation.transferred", [user])
    else:
        system = {**system_payload("member.role", [user]), "role": role}
    changed.append(await give_role(tx, user, role))
    return RolesChanged(changed, await tx.add_system_message(system))
