"""Becoming and ceasing to be a member of a group, within a change, and what is told of it."""

from collections.abc import Sequence

from msgspec import UNSET
from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Join, ToConversation, ToUser, deliver
from chatd.conversations.entities import Departure, Json, Member, Message
from chatd.conversations.events import ConversationUpdate, MemberLeft, MemberUpdate
from chatd.conversations.log.transaction import Change
from chatd.conversations.messages.access import told_message
from chatd.conversations.read_model import member_of, shared, view_to_tell
from chatd.conversations.settings import ConversationLimits
from chatd.core.errors import Refused
from chatd.db import queries

SQL = queries.load("conversations/membership")
# So many are named in the message that says who was added.
MOST_NAMED = 20
# When more come at once, each is told what the conversation is without who is in it.
MOST_SHOWN = 20


def too_many(limits: ConversationLimits) -> Refused:
    return Refused("too_large", f"nobody is in more than {limits.conversations_per_user} conversations")


async def check_room(ctx: Ctx, conversation: str, users: Sequence[str]) -> None:
    """Before a conversation is made. Raises Refused: `too_large` when one of these is in as many as one user may be."""
    limits = ctx.node.config.get(ConversationLimits)
    if await ctx.node.db.one(SQL.crowded, ctx.tenant, conversation, users, limits.conversations_per_user - 1) is not None:
        raise too_many(limits)


async def member_in(here: Change, user: str) -> Member:
    """One member. Raises Refused: `not_found`."""
    row = await here.one(SQL.member, user)
    if row is None:
        raise Refused("not_found", "$.user: no such member")
    return member_of(row)


async def enter(here: Change, users: Sequence[str], limits: ConversationLimits) -> list[Member]:
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


Left = tuple[Departure, list[Member], Message | None]


async def depart(here: Change) -> Left:
    """Who asks leaves the group; when that was the owner somebody inherits it. What is said of it, unless nobody is left."""
    departure = await leave(here, here.user)
    heir = await here.one(SQL.heir) if here.place.role == "owner" else None
    heirs = [await give_role(here, heir["user"], "owner")] if heir is not None else []
    return departure, heirs, await here.say(named("member.left", [here.user])) if here.members else None


def named(act: str, users: Sequence[str]) -> Json:
    """What a message of the system says: what was done to whom. Of many only the first ones are named."""
    return {"act": act, "users": list(users[:MOST_NAMED]), "count": len(users)}


async def told_entered(ctx: Ctx, conversation: str, members: Sequence[Member], said: Message) -> Effects:
    """The new ones hear the conversation from now on, and are told what it is; then everybody hears who has come.

    They hear it before anything is read: who is removed meanwhile must not come in after that was told, and what the database
    does not answer must not keep anybody out. Of them some may be gone by now, or all.
    """
    users = [member.user for member in members]
    before = said.rev - len(users) - 1
    await deliver(ctx, [Join(conversation, users, before, anew=True)])
    view = await view_to_tell(ctx, conversation, [ctx.user, *users])
    if view is None:
        return []
    came = {"joined_seq": said.seq - 1, "joined_rev": before}
    view = replace(shared(view), members=view.members if len(users) <= MOST_SHOWN else UNSET, **came)
    return [
        *(ToUser(user, ConversationUpdate(conversation=view)) for user in users),
        *told_members(conversation, members),
        told_message(conversation, said),
    ]


def told_members(conversation: str, members: Sequence[Member]) -> Effects:
    """What they are now."""
    return [ToConversation(conversation, MemberUpdate(conversation=conversation, rev=one.rev, member=one)) for one in members]


def told_left(conversation: str, departure: Departure, said: Message | None) -> Effects:
    """Everybody hears who has gone, the one who has gone as the last thing; what is said of it is for those who stay."""
    left = MemberLeft(conversation=conversation, rev=departure.rev, departure=departure)
    return [ToConversation(conversation, left, parts=[departure.user]), *([told_message(conversation, said)] if said else [])]


def told_departed(conversation: str, left: Left) -> Effects:
    """What is told after `depart`."""
    departure, heirs, said = left
    first, *rest = told_left(conversation, departure, said)
    return [first, *told_members(conversation, heirs), *rest]
