"""Beginning and end of memberships."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from chatd.app.context import Ctx
from chatd.conversations.entities import Act, Departure, Json, Member, Message
from chatd.conversations.log.transaction import ConversationTx
from chatd.conversations.read_model import member_of
from chatd.conversations.settings import ConversationLimits
from chatd.core.errors import Refused
from chatd.db import queries

SQL = queries.load("conversations/membership")
# Users that a system message names.
MAX_NAMED_USERS = 20


def too_many_conversations(limits: ConversationLimits) -> Refused:
    return Refused("too_large", f"a user can be in at most {limits.conversations_per_user} conversations")


async def check_conversation_limit(ctx: Ctx, conversation: str, users: Sequence[str]) -> None:
    """Check the members of a new conversation. Raises Refused: `too_large` if one of these users is in too many
    conversations.
    """
    limits = ctx.node.config.get(ConversationLimits)
    if (
        await ctx.node.db.one(SQL.user_in_too_many, ctx.tenant, conversation, users, limits.conversations_per_user - 1)
        is not None
    ):
        raise too_many_conversations(limits)


async def member_in(tx: ConversationTx, user: str) -> Member:
    """One member. Raises Refused: `not_found`."""
    row = await tx.one(SQL.member, user)
    if row is None:
        raise Refused("not_found", "$.user: no such member")
    return member_of(row)


async def insert_members(tx: ConversationTx, users: Sequence[str], limits: ConversationLimits) -> list[Member]:
    """Make these users members, each with a rev of its own; users who are members already are not changed. Returns the
    new members.

    Raises Refused: `not_found` if a user does not exist, `too_large` for too many members, or too many conversations of
    a user.
    """
    found = await tx.one(SQL.count_existing, users)
    if found is None or found["found"] != len(set(users)):
        raise Refused("not_found", "$.users: no such user")
    rows = await tx.all(SQL.non_members, users)
    new = [row["id"] for row in rows]
    await check_bots(tx, sum(row["bot"] for row in rows), limits)
    tx.members += len(new)
    if tx.members > limits.members:
        raise Refused("too_large", f"a group has at most {limits.members} members")
    if new and await tx.one(SQL.user_in_too_many, new, limits.conversations_per_user - 1) is not None:
        raise too_many_conversations(limits)
    first, since = (tx.locked.seq + 1, tx.locked.rev) if tx.locked.history == "joined" else (1, 0)
    tx.max_first_seq = max(tx.max_first_seq, first if new else 1)
    revs = [tx.next_rev() for _ in new]
    if not new:
        return []
    await tx.run(SQL.insert_members, new, revs[0], tx.locked.seq, first, tx.now, since, tx.locked.rev)
    return [member_of(row) for row in await tx.all(SQL.some_members, new)]


async def check_bots(tx: ConversationTx, new: int, limits: ConversationLimits) -> None:
    """Check that a group may have so many more bots. Raises Refused: `too_large`."""
    most = limits.bots_per_group
    if new:
        found = await tx.one(SQL.count_bots, most + 1)
        if found is None or found["found"] + new > most:
            raise too_many_bots(limits)


async def check_bots_of(ctx: Ctx, users: Sequence[str]) -> None:
    """Check the number of bots in a new group. Raises Refused: `too_large`."""
    limits = ctx.node.config.get(ConversationLimits)
    if await ctx.node.db.value(SQL.count_bots_of, ctx.tenant, users) > limits.bots_per_group:
        raise too_many_bots(limits)


def check_may_own(member: Member) -> None:
    """Check that a member may become the owner. Raises Refused: `forbidden` for a bot."""
    if member.bot is True:
        raise Refused("forbidden", "$.user: a bot cannot own a group")


def too_many_bots(limits: ConversationLimits) -> Refused:
    return Refused("too_large", f"a group has at most {limits.bots_per_group} bots")


async def remove_member(tx: ConversationTx, user: str) -> Departure:
    """End a membership. Raises Refused: `not_found`. A group without members cannot be joined."""
    rev = tx.next_rev()
    tx.members -= 1
    if await tx.one(SQL.remove_member, user, rev, tx.locked.seq, tx.now, tx.actor) is None:
        raise Refused("not_found", "no such member")
    if not tx.members:
        await close_joining(tx)
    return Departure(user=user, rev=rev, left_at=tx.now, actor=tx.actor)


async def close_joining(tx: ConversationTx) -> None:
    """Stop new users from joining: revoke links and remove requests."""
    await tx.run(SQL.close_joining)
    await tx.run(SQL.revoke_invites, tx.now)
    await tx.run(SQL.delete_requests)


async def give_role(tx: ConversationTx, user: str, role: str) -> Member:
    """Change the role of a member. Returns the member."""
    await tx.run(SQL.set_role, user, role, tx.next_rev())
    return await member_in(tx, user)


class MembersAdded(Struct, frozen=True):
    """Users have become members, and a system message about it."""

    members: list[Member]
    message: Message


class MemberGone(Struct, frozen=True):
    """A member has left or was removed.

    `new_owners`: the member who became the owner, if any. `message`: None if no member remains.
    """

    departure: Departure
    new_owners: list[Member]
    message: Message | None


async def add_members(
    tx: ConversationTx, users: Sequence[str], limits: ConversationLimits, act: Act
) -> MembersAdded | None:
    """Make these users members, with a system message. Returns None if all of them are members already. Raises Refused
    as `insert_members`.
    """
    members = await insert_members(tx, users, limits)
    if not members:
        return None
    return MembersAdded(members, await tx.add_system_message(system_payload(act, [one.user for one in members])))


async def leave_group(tx: ConversationTx) -> MemberGone:
    """The requester leaves the group."""
    return await end_membership(tx, tx.user, tx.locked.role, system_payload("member.left", [tx.user]))


async def end_membership(tx: ConversationTx, user: str, role: str | None, system: Json) -> MemberGone:
    """End the membership of a user with this role, with a system message. If they own the group, the member with the
    highest role and the longest membership becomes the owner.
    """
    departure = await remove_member(tx, user)
    successor = await tx.one(SQL.next_owner) if role == "owner" else None
    new_owners = [await give_role(tx, successor["user"], "owner")] if successor is not None else []
    message = await tx.add_system_message(system) if tx.members else None
    return MemberGone(departure, new_owners, message)


def system_payload(act: Act, users: Sequence[str]) -> Json:
    """The content of a system message: an act and its users. Of many users only the first ones are named."""
    return {"act": act, "users": list(users[:MAX_NAMED_USERS]), "count": len(users)}


class OfConversation(Protocol):
    """A command with a conversation."""

    @property
    def conversation(self) -> str: ...


async def check_member(ctx: Ctx, command: OfConversation) -> None:
    """Check that the requester is a member. Raises Refused: `not_found`, the same for a conversation that does not
    exist. A subscribed session belongs to a member; for others the database is read.
    """
    if is_subscribed(ctx, command):
        return
    if await ctx.node.db.one(SQL.is_member, ctx.tenant, command.conversation, ctx.user) is None:
        raise Refused("not_found", "no such conversation")


def is_subscribed(ctx: Ctx, command: OfConversation) -> bool:
    """Whether the session is known to be one of a member."""
    return bool(ctx.session) and ctx.node.hub.subscriptions.is_subscribed(ctx.session, command.conversation)
