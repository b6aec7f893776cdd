"""What a handler wants to happen, as values. They are carried out after its transaction has committed.

There is one road for each: `deliver` in this file. A handler never writes to a socket.
"""

from collections.abc import Callable, Sequence

import trio
from msgspec import Struct

from chatd.app.context import Ctx
from chatd.app.encoding import encoded_if_long
from chatd.cluster.control_messages import CloseUserSessions, ControlMessage, SubscribeUsers, SuppressTyping
from chatd.core.identity import Principal
from chatd.wire.base import Event, Result

# About a millisecond, with events for a few sessions each.
EFFECTS_PER_TURN = 20


class Reply(Struct, frozen=True):
    """The answer to the command."""

    result: Result


class ToConversation(Struct, frozen=True):
    """An event for every session of every member, but the one with the id `but`. Volatile ones are dropped for slow readers.

    `ack` is for who asked, in the same place of the order: nobody hears of their own second message before somebody's first.
    `parts` are those whose membership this event ends: it is the last one of the conversation that they hear.
    """

    conversation: str
    event: Event
    but: str | None = None
    volatile: bool = False
    ack: Result | None = None
    parts: Sequence[str] = ()


class ToUser(Struct, frozen=True):
    """An event for every session of one user, but the one with the id `but`."""

    user: str
    event: Event
    but: str | None = None


class Broadcast(Struct, frozen=True):
    """A control message, which is applied on all nodes."""

    message: ControlMessage


class Join(Struct, frozen=True):
    """From now on, that is after `rev`, the sessions of these users hear the conversation; `anew` where they become members."""

    conversation: str
    users: Sequence[str]
    rev: int
    anew: bool = False


class Hush(Struct, frozen=True):
    """From now on nothing volatile (typing) is told there, or it is again: one of the two has blocked the other."""

    conversation: str
    on: bool


class Renew(Struct, frozen=True):
    """The session that asked goes on under a fresh token of the same user."""

    principal: Principal


class CloseSessions(Struct, frozen=True):
    """Close the sessions of a user: all, or those of one `Principal.credential`."""

    user: str
    close: str
    credential: str | None = None


Effect = Reply | ToConversation | ToUser | Broadcast | Join | Hush | Renew | CloseSessions
Effects = Sequence[Effect]


async def deliver(ctx: Ctx, effects: Effects) -> None:
    """Carry out the effects in their order. Of many, other tasks run in between."""
    cluster, tenant = ctx.node.cluster, ctx.tenant
    for turn, effect in enumerate(effects):
        if turn and turn % EFFECTS_PER_TURN == 0:
            await trio.lowlevel.cancel_shielded_checkpoint()
        match effect:
            case Reply(result):
                ctx.answer(await encoded_if_long(result, ctx.format))
            case ToConversation(conversation, event, but, volatile, ack, parts):
                then = answering(ctx, ack) if ack is not None else None
                await cluster.deliver_to_conversation(
                    tenant, conversation, event, exclude_session=but, ephemeral=volatile, on_delivered=then, leaving=parts
                )
            case ToUser(user, event, but):
                await cluster.deliver_to_user(tenant, user, event, exclude_session=but)
            case Broadcast(message):
                await cluster.broadcast(message)
            case Join(conversation, users, rev, anew):
                await cluster.broadcast(SubscribeUsers(tenant, conversation, list(users), rev, anew))
            case Hush(conversation, on):
                await cluster.broadcast(SuppressTyping(tenant, conversation, on))
            case Renew(principal):
                ctx.renew(principal)
            case CloseSessions(user, close, credential):
                await cluster.broadcast(CloseUserSessions(tenant, user, close, credential, ctx.node.clock()))


def answering(ctx: Ctx, ack: Result) -> Callable[[], None] | None:
    """The answer in its place of the order; over REST, which hears no events, at once."""
    if ctx.session:
        return lambda: ctx.answer(ack)
    ctx.answer(ack)
    return None
