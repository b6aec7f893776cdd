"""Somebody is typing. Nothing of it is kept, and it ends by itself.

It is told to those who are members at that moment, and to nobody later: what cannot be told at once is dropped. In a large group
it is told to nobody.
"""

import trio

from chatd.app.context import Ctx, Node, on_behalf
from chatd.app.effects import Effects, Reply, ToConversation, deliver
from chatd.app.registry import Needs, command
from chatd.core.errors import Refused
from chatd.db import queries
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
    return await told(ctx, TypingStarted(conversation=cmd.conversation, user=ctx.user, expires_in=EXPIRES_IN))


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
    return await told(ctx, TypingStopped(conversation=cmd.conversation, user=ctx.user))


async def told(ctx: Ctx, event: TypingStarted | TypingStopped) -> Effects:
    """To the others, where they are few enough."""
    members = ctx.node.hub.members_of(ctx.tenant, event.conversation) or await count(ctx, event.conversation)
    if members > ctx.node.config.presence.typing_members:
        return [Reply(Ok())]
    if isinstance(event, TypingStarted):
        ctx.node.hub.typing.start(ctx.session, event.conversation, trio.current_time() + EXPIRES_IN)
    return [Reply(Ok()), ToConversation(event.conversation, event, ctx.session, ephemeral=True)]


async def end_typing(node: Node, signal: SessionClosed) -> None:
    """Tell the others when the connection on which a user typed has ended."""
    stopped = (TypingStopped(conversation=conversation, user=signal.user) for conversation in signal.typing_in)
    with trio.CancelScope(shield=True):
        ctx = on_behalf(node, signal.tenant, signal.user)
        await deliver(ctx, [ToConversation(event.conversation, event, ephemeral=True) for event in stopped])


async def count(ctx: Ctx, conversation: str) -> int:
    """Asked once, until somebody joins or parts. Raises Refused: `not_found` for who is no member any more."""
    members: int | None = await ctx.node.db.value(SQL.members, ctx.tenant, conversation, ctx.user)
    if members is None:
        raise Refused("not_found", "no such conversation")
    ctx.node.hub.note_members(ctx.tenant, conversation, members)
    return members
