"""Becoming and ceasing to be a member of a group, within a change, and what is told of it."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from chatd.app.context import Ctx
from chatd.conversations.entities import Departure, Json, Member, Message
from chatd.conversations.log.transaction import Change
from chatd.conversations.read_model import member_of
from chatd.core.config import Limits
from chatd.core.errors import Refused
from chatd.db import queries

SQL = queries.load("conversations/membership")
# So many are named in the message that says who was added.
MOST_NAMED = 20


def too_many(limits: Limits) -> Refused:
    return Refused("too_large", f"nobody is in more than {limits.conversations_per_user} conversations")


async def check_room(ctx: Ctx, conversation: str, users: Sequence[str]) -> None:
    """Before a conversation is made. Raises Refused: `too_large` when one of these is in as many as one user may be."""
    limits = ctx.node.config.limits
    if await ctx.node.db.one(SQL.crowded, ctx.tenant, conversation, users, limits.conversations_per_user - 1) is not None:
        raise too_many(limits)


async def member_in(here: Change, user: str) -> Member:
    """One member. Raises Refused: `not_found`."""
    row = await here.one(SQL.member, user)
    if row is None:
        raise Refused("not_found", "$.user: no such member")
    return member_of(row)


async def enter(here: Change, users: Sequence[str], limits: Limits) -> list[Member]:
    """Make them members, each with a rev of its own; those who are members already stay as they are.

    Raises Refused: `not_found` when one does not exist, `too_large` for too many members, or too many conversations of one.
    """
    found = await here.one(SQL.known, users)
    if found is None or found["found"] != len(set(users)):
        raise Refused("not_found", "$.users: no such user")
    new = [row["id"] for row in await here.all(SQL.strangers, users)]
    here.members += len(new)
    if here.members > limits.members:
        raise Refused("too_large", f"a group has at most {limits.members} members")
    if new and await here.one(SQL.crowded, new, limits.conversations_per_user - 1) is not None:
        raise too_many(limits)
    first, since = (here.place.seq + 1, here.place.rev) if here.place.history == "joined" else (1, 0)
    here.late_seq = max(here.late_seq, first if new else 1)
    revs = [here.next_rev() for _ in new]
    if not new:
        return []
    await here.run(SQL.enter, new, revs[0], here.place.seq, first, here.now, since, here.place.rev)
    return [member_of(row) for row in await here.all(SQL.some, new)]


async def leave(here: Change, user: str) -> Departure:
    """End a membership. Raises Refused: `not_found`. Nobody comes by themselves into what nobody is in."""
    rev = here.next_rev()
    here.members -= 1
    if await here.one(SQL.leave, user, rev, here.place.seq, here.now, here.user) is None:
        raise Refused("not_found", "no such member")
    if not here.members:
        await shut(here)
    return Departure(user=user, rev=rev, left_at=here.now, actor=here.user)


async def shut(here: Change) -> None:
    """Let nobody in any more: links and requests end."""
    await here.run(SQL.shut)
    await here.run(SQL.revoke_links, here.now)
    await here.run(SQL.forget_requests)


async def give_role(here: Change, user: str, role: str) -> Member:
    """What the member is then."""
    await here.run(SQL.set_role, user, role, here.next_rev())
    return await member_in(here, user)


class MembersAdded(Struct, frozen=True):
    """Users have become members, and `message` says so."""

    members: list[Member]
    message: Message


class MemberGone(Struct, frozen=True):
    """A member has left or was removed. `heirs`: members with a new role by it. `message`: None if nobody is left to read it."""

    departure: Departure
    heirs: list[Member]
    message: Message | None


async def add(here: Change, users: Sequence[str], limits: Limits, act: str) -> MembersAdded | None:
    """Make these users members, and say so; None if all of them are members already. Raises Refused as `enter`."""
    members = await enter(here, users, limits)
    if not members:
        return None
    return MembersAdded(members, await here.say(named(act, [one.user for one in members])))


async def depart(here: Change) -> MemberGone:
    """The requester leaves the group. If they own it, the highest and longest member inherits it."""
    departure = await leave(here, here.user)
    heir = await here.one(SQL.heir) if here.place.role == "owner" else None
    heirs = [await give_role(here, heir["user"], "owner")] if heir is not None else []
    message = await here.say(named("member.left", [here.user])) if here.members else None
    return MemberGone(departure, heirs, message)


def named(act: str, users: Sequence[str]) -> Json:
    """What a message of the system says: what was done to whom. Of many only the first ones are named."""
    return {"act": act, "users": list(users[:MOST_NAMED]), "count": len(users)}


class OfConversation(Protocol):
    """A command that names a conversation."""

    @property
    def conversation(self) -> str: ...


async def check_member(ctx: Ctx, command: OfConversation) -> None:
    """Raises Refused: `not_found` alike for what does not exist and for what one may not know of."""
    if ctx.session and ctx.node.hub.is_member(ctx.session, command.conversation):
        return
    if await ctx.node.db.one(SQL.is_member, ctx.tenant, command.conversation, ctx.user) is None:
        raise Refused("not_found", "no such conversation")
