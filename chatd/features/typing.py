"""Somebody is typing. Nothing of it is kept, and it ends by itself."""

from chatd.node.context import Ctx
from chatd.node.effects import Effects, Reply, ToConversation
from chatd.node.registry import Needs, command
from chatd.wire.messages import Command, Event, Id, Ok

# Seconds after which a receiver forgets it, unless it is repeated.
EXPIRES_IN = 6


class TypingStart(Command, tag="typing.start"):
    """I am typing. Repeat it every few seconds while it is so."""

    conversation: Id


class TypingStop(Command, tag="typing.stop"):
    """I am not typing any more. Sending a message says so as well."""

    conversation: Id


class TypingStarted(Event, tag="typing.start"):
    """A member is typing; forget it after `expires_in` seconds."""

    conversation: Id
    user: Id
    expires_in: int


class TypingStopped(Event, tag="typing.stop"):
    """A member is not typing any more."""

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
    event = TypingStarted(conversation=cmd.conversation, user=ctx.user, expires_in=EXPIRES_IN)
    return [Reply(Ok()), ToConversation(cmd.conversation, event, but=ctx.session, volatile=True)]


@command(
    TypingStop,
    result=Ok,
    needs=Needs.MEMBER,
    cost=0.2,
    refuses=("not_found",),
    http="DELETE /v1/conversations/{conversation}/typing",
)
async def typing_stop(ctx: Ctx, cmd: TypingStop) -> Effects:
    event = TypingStopped(conversation=cmd.conversation, user=ctx.user)
    return [Reply(Ok()), ToConversation(cmd.conversation, event, but=ctx.session, volatile=True)]
