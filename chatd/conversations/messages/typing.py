"""Somebody is typing. Nothing of it is kept, and it ends by itself.

It is told to those who are members at that moment, and to nobody later: what cannot be told at once is dropped. In a large group
it is told to nobody.
"""

import trio

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToConversation
from chatd.app.registry import Needs, command
from chatd.cluster.cluster import Cluster
from chatd.conversations.settings import PresenceDefaults
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.realtime.feeds import Members
from chatd.realtime.signals import SessionClosed
from chatd.wire.base import Command, Event, Id, Ok

# Seconds after which a receiver forgets it, unless it is repeated.
EXPIRES_IN = 6

SQL = queries.load("conversations/typing")


class TypingStart(Command, tag="typing.start"):
    """I am typing. Repeat it every few seconds while it is so. In large groups nobody is told."""

    conversation: Id


class TypingStop(Command, tag="typing.stop"):
    """I am not typing any more. Sending a message says so as well."""

    conversation: Id


class TypingStarted(Event, tag="typing.start"):
    """A member is typing; forget it after `expires_in` seconds, and when a message of theirs comes."""

    conversation: Id
    user: Id
    expires_in: int


class TypingStopped(Event, tag="typing.stop"):
    """A member is not typing any more, or the connection they typed on has ended."""

    conversation: Id
    user: Id
    expires_in: int = 0


@command(
    TypingStart,
    result=Ok,
    needs=Needs.MEMBER,
    cost=0.2,
    refuses=("not_found",),
    http="POST /v1/conversations/{conversation}/typing",
)
async def typing_start(ctx: Ctx, cmd: TypingStart) -> Effects:
    return await told(ctx, cmd.conversation, typing=True)


@command(
    TypingStop,
    result=Ok,
    needs=Needs.MEMBER,
    cost=0.2,
    refuses=("not_found",),
    http="DELETE /v1/conversations/{conversation}/typing",
)
async def typing_stop(ctx: Ctx, cmd: TypingStop) -> Effects:
    ctx.node.hub.typing.stop(ctx.session, cmd.conversation)
    return await told(ctx, cmd.conversation, typing=False)


async def told(ctx: Ctx, conversation: str, *, typing: bool) -> Effects:
    """To the others, where they are few enough."""
    hub = ctx.node.hub
    members = hub.subscriptions.members_of(ctx.tenant, conversation) or await look_up(ctx, conversation)
    if members.count > ctx.node.config.get(PresenceDefaults).typing_members:
        return [Reply(Ok())]
    user = members.aliases.get(ctx.user, ctx.user)
    if not typing:
        stopped = TypingStopped(conversation=conversation, user=user)
        return [Reply(Ok()), ToConversation(conversation, stopped, but=ctx.session, volatile=True)]
    hub.typing.start(ctx.session, conversation, user, trio.current_time() + EXPIRES_IN)
    started = TypingStarted(conversation=conversation, user=user, expires_in=EXPIRES_IN)
    return [Reply(Ok()), ToConversation(conversation, started, but=ctx.session, volatile=True)]


async def end_typing(cluster: Cluster, signal: SessionClosed) -> None:
    """The connection on which a user typed has ended: tell the others, on all nodes."""
    with trio.CancelScope(shield=True):
        for conversation, user in signal.typing_in.items():
            event = TypingStopped(conversation=conversation, user=user)
            await cluster.deliver_to_conversation(signal.tenant, conversation, event, ephemeral=True)


async def look_up(ctx: Ctx, conversation: str) -> Members:
    """Asked once, until somebody joins or parts. Raises Refused: `not_found` for who is no member any more."""
    row = await ctx.node.db.one(SQL.members, ctx.tenant, conversation, ctx.user)
    if row is None:
        raise Refused("not_found", "no such conversation")
    members = Members(row["members"], row["aliases"] or {})
    ctx.node.hub.subscriptions.note_members(ctx.tenant, conversation, members)
    return members
