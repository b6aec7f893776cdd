"""What a handler wants to happen, as values. They are carried out after its transaction has committed.

There is one road for each: `deliver` in this file. A handler never writes to a socket.
"""

from collections.abc import Sequence

from msgspec import Struct

from chatd.domain.identity import Principal
from chatd.node.context import Ctx
from chatd.wire.messages import Event, Result


class Reply(Struct, frozen=True):
    """The answer to the command."""

    result: Result


class ToConversation(Struct, frozen=True):
    """An event for every session of every member, but the one with the id `but`. Volatile ones are dropped for slow readers."""

    conversation: str
    event: Event
    but: str | None = None
    volatile: bool = False


class ToUser(Struct, frozen=True):
    """An event for every session of one user, but the one with the id `but`."""

    user: str
    event: Event
    but: str | None = None


class Join(Struct, frozen=True):
    """From now on the sessions of these users hear the conversation."""

    conversation: str
    users: Sequence[str]


class Renew(Struct, frozen=True):
    """The session that asked goes on under a fresh token of the same user."""

    principal: Principal


class CloseSessions(Struct, frozen=True):
    """Close the sessions of a user: all, or those that were signed in as `login` (the family of their refresh token)."""

    user: str
    close: str
    login: str | None = None


Effect = Reply | ToConversation | ToUser | Join | Renew | CloseSessions
Effects = Sequence[Effect]


async def deliver(ctx: Ctx, effects: Effects) -> None:
    """Carry out the effects in their order."""
    hub, tenant = ctx.node.hub, ctx.tenant
    for effect in effects:
        match effect:
            case Reply(result):
                ctx.answer(result)
            case ToConversation(conversation, event, but, volatile):
                await hub.tell_conversation(tenant, conversation, event, but=but, volatile=volatile)
            case ToUser(user, event, but):
                await hub.tell_user(tenant, user, event, but=but)
            case Join(conversation, users):
                hub.join(tenant, conversation, users)
            case Renew(principal):
                ctx.renew(principal)
            case CloseSessions(user, close, login):
                hub.close_sessions(tenant, user, close, login=login)
