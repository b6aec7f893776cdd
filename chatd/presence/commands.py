"""Whether others are there. A session says whom it looks at, and is told of those only."""

from typing import Annotated, Literal

from msgspec import Meta

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import Guard, command
from chatd.presence.events import PresenceState
from chatd.presence.local_presence import User
from chatd.presence.online_count import Headcount
from chatd.presence.service import Presence
from chatd.wire.base import Command, Id, Ok, Result

# Of whom one session is told at most.
MOST = 100
Users = Annotated[list[Id], Meta(max_length=MOST)]


class WatchPresence(Command, tag="presence.watch"):
    """Tell this session of these users, and of no others any more: `presence.update`. Ask again after each connect."""

    users: Users


class QueryPresence(Command, tag="presence.query"):
    """How these users are now."""

    users: Users


class PresenceStates(Result, tag="presence.states"):
    """One for each user, in the order in which they were named."""

    items: list[PresenceState]


@command(WatchPresence, result=PresenceStates, cost=2)
async def watch(ctx: Ctx, cmd: WatchPresence) -> Effects:
    """An empty list ends it. Refused `bad_request` where there is no socket."""
    return [Reply(PresenceStates(items=await ctx.node.get(Presence).watch(ctx.session, ctx.user, named(ctx, cmd.users))))]


@command(QueryPresence, result=PresenceStates, cost=2, http="POST /v1/presence/query")
async def query(ctx: Ctx, cmd: QueryPresence) -> Effects:
    ranks = await ctx.node.get(Presence).ranks(named(ctx, cmd.users))
    return [Reply(PresenceStates(items=await ctx.node.get(Presence).sight.states(ctx.user, ranks)))]


def named(ctx: Ctx, users: list[str]) -> list[User]:
    return [(ctx.tenant, user) for user in dict.fromkeys(users)]


class SetPresence(Command, tag="presence.set"):
    """Whether somebody is at this device. A user is online when one session is, else away when there is one."""

    status: Literal["online", "away"]


@command(SetPresence, result=Ok)
async def set_presence(ctx: Ctx, cmd: SetPresence) -> Effects:
    """Every session begins as online."""
    ctx.node.get(Presence).set(ctx.session, (ctx.tenant, ctx.user), away=cmd.status == "away")
    return [Reply(Ok())]


class CountPresence(Command, tag="presence.count"):
    """How many members of a conversation are there."""

    conversation: Id


class PresenceCount(Result, tag="presence.count"):
    """`online` counts who is online or away and may be seen: by the asker, in large groups by everybody."""

    online: int
    members: int


@command(
    CountPresence,
    result=PresenceCount,
    guard=Guard.MEMBER,
    cost=5,
    refuses=("not_found",),
    http="GET /v1/conversations/{conversation}/presence",
)
async def count(ctx: Ctx, cmd: CountPresence) -> Effects:
    """In large groups the number may be ten seconds old."""
    online, members = await ctx.node.get(Headcount).count(ctx.tenant, cmd.conversation, ctx.user)
    return [Reply(PresenceCount(online=online, members=members))]
