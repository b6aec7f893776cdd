"""Commands of presence. A session subscribes to users, and gets updates of those only."""

from typing import Annotated, Literal

from msgspec import Meta

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import Guard, command
from chatd.conversations.aliases import resolve
from chatd.presence.events import PresenceState
from chatd.presence.online_count import OnlineCount
from chatd.presence.service import Presence
from chatd.presence.subscriptions import Target
from chatd.wire.base import Command, Id, Ok, Result

MAX_TARGETS = 100
Users = Annotated[list[Id], Meta(max_length=MAX_TARGETS)]


class WatchPresence(Command, tag="presence.watch"):
    """Subscribe this session to the presence of these users only.

    Changes come as `presence.update`; subscribe again after each connect.
    """

    users: Users


class QueryPresence(Command, tag="presence.query"):
    """Get the presence of users."""

    users: Users


class PresenceStates(Result, tag="presence.states"):
    """One item for each user, in the order of the request."""

    items: list[PresenceState]


@command(
    WatchPresence,
    result=PresenceStates,
    cost=2,
    refuses=("not_found",),
    http="PUT /v1/presence/watch",
    unanswered=True,
    of_session=True,
)
async def watch(ctx: Ctx, cmd: WatchPresence) -> Effects:
    """An empty list ends the subscription. `not_found`: the session of the request has ended."""
    targets = await targets_of(ctx, cmd.users)
    return [Reply(PresenceStates(items=await ctx.node.get(Presence).watch(ctx.session, ctx.user, targets)))]


@command(QueryPresence, result=PresenceStates, cost=2, http="POST /v1/presence/query", unanswered=True)
async def query(ctx: Ctx, cmd: QueryPresence) -> Effects:
    targets, presence = await targets_of(ctx, cmd.users), ctx.node.get(Presence)
    levels = await presence.levels([target.user for target in targets])
    return [Reply(PresenceStates(items=await presence.visibility.states(ctx.user, targets, levels)))]


async def targets_of(ctx: Ctx, ids: list[str]) -> list[Target]:
    """The users of these ids, each once. An alias of an ended match is unknown."""
    aliases = {id_: alias.user for id_, alias in (await resolve(ctx, ids)).items() if alias.is_running}
    return [Target((ctx.tenant, aliases.get(id_, id_)), id_ if id_ in aliases else None) for id_ in dict.fromkeys(ids)]


class SetPresence(Command, tag="presence.set"):
    """Set whether the user is active on this device.

    A user is online if any of their sessions is, else away if they have a session. The status that the session has
    already changes nothing.
    """

    status: Literal["online", "away"]


@command(SetPresence, result=Ok, refuses=("not_found",), http="PUT /v1/presence", unanswered=True, of_session=True)
async def set_presence(ctx: Ctx, cmd: SetPresence) -> Effects:
    """New sessions are online. `not_found`: the session of the request has ended."""
    ctx.node.get(Presence).set_away(ctx.session, (ctx.tenant, ctx.user), away=cmd.status == "away")
    return [Reply(Ok())]


class CountPresence(Command, tag="presence.count"):
    """Count the members of a conversation who are online or away."""

    conversation: Id


class PresenceCount(Result, tag="presence.count"):
    """The counts of a conversation. `online`: members who are online or away and visible to you; in large groups,
    visible to everybody.
    """

    online: int
    members: int


@command(
    CountPresence,
    result=PresenceCount,
    guard=Guard.MEMBER,
    cost=5,
    refuses=("not_found",),
    http="GET /v1/conversations/{conversation}/presence",
    unanswered=True,
)
async def count(ctx: Ctx, cmd: CountPresence) -> Effects:
    """In large groups the number may be up to ten seconds old."""
    online, members = await ctx.node.get(OnlineCount).count(ctx.tenant, cmd.conversation, ctx.user)
    return [Reply(PresenceCount(online=online, members=members))]
