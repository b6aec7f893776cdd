"""Effects: what a command handler requests, as values.

A handler decides, commits and returns effects; `deliver` carries them out in their order. Subsystems add effects of
their own as subclasses of `Effect`. Handlers never deliver: a test checks it.
"""

from collections.abc import Callable, Sequence
from functools import partial

import trio
from msgspec import Struct

from chatd.app.context import Ctx
from chatd.app.encoding import encoded_if_long
from chatd.cluster.control_messages import CloseUserSessions, ControlMessage
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.settlement import Settled, settlement
from chatd.wire.base import Event, Result

# About a millisecond, with events for a few sessions each.
EFFECTS_PER_TURN = 20


class Effect(Struct, frozen=True):
    """One thing that happens after the handler has returned."""

    async def deliver(self, ctx: Ctx) -> None:
        """Deliver the effect. Raises Refused: the requester gets it as the answer, and the effects after it are
        skipped.
        """
        raise NotImplementedError


Effects = Sequence[Effect]


async def deliver(ctx: Ctx, effects: Effects) -> None:
    """Carry out the effects in their order, with a checkpoint after every few of them."""
    for turn, effect in enumerate(effects):
        if turn and turn % EFFECTS_PER_TURN == 0:
            await trio.lowlevel.cancel_shielded_checkpoint()
        await effect.deliver(ctx)


class SettledEffect(Effect, frozen=True):
    """An effect that waits without a task."""

    def begin(self, ctx: Ctx, settled: Settled) -> None:
        """Begin the effect. `settled` is called at its end, with the error that becomes the answer, if any. Raises
        Refused.
        """
        raise NotImplementedError

    async def deliver(self, ctx: Ctx) -> None:
        await settlement(partial(self.begin, ctx))


class Reply(Effect, frozen=True):
    """Answer the command, unless the client requested no answer."""

    result: Result

    async def deliver(self, ctx: Ctx) -> None:
        if ctx.wants_answer:
            ctx.answer(await encoded_if_long(self.result, ctx.format))


class Refuse(Effect, frozen=True):
    """Answer the command with an error, after the effects before it."""

    refused: Refused

    async def deliver(self, ctx: Ctx) -> None:
        raise self.refused


class ToConversation(Effect, frozen=True):
    """Send an event to every session of every member, except the session `exclude_session`.

    `ephemeral`: slow readers do not get it. `ack` answers the command at the same place in the order, so that the acks
    and events of one connection never overtake each other. `leaving`: users whose membership this event ends; it is the
    last event of the conversation that they get.
    """

    conversation: str
    event: Event
    exclude_session: str | None = None
    ephemeral: bool = False
    ack: Result | None = None
    leaving: Sequence[str] = ()

    async def deliver(self, ctx: Ctx) -> None:
        on_delivered = deferred_reply(ctx, self.ack) if self.ack is not None else None
        await ctx.node.cluster.deliver_to_conversation(
            ctx.tenant,
            self.conversation,
            self.event,
            exclude_session=self.exclude_session,
            ephemeral=self.ephemeral,
            on_delivered=on_delivered,
            leaving=self.leaving,
        )


class ToUser(Effect, frozen=True):
    """Send an event to every session of one user, except the session `exclude_session`.

    `tenant`: "" for the one of the requester.
    """

    user: str
    event: Event
    exclude_session: str | None = None
    tenant: str = ""

    async def deliver(self, ctx: Ctx) -> None:
        tenant = self.tenant or ctx.tenant
        await ctx.node.cluster.deliver_to_user(tenant, self.user, self.event, exclude_session=self.exclude_session)


class Broadcast(Effect, frozen=True):
    """Apply a control message on every node, this one included."""

    message: ControlMessage

    async def deliver(self, ctx: Ctx) -> None:
        await ctx.node.cluster.broadcast(self.message)


class SendSignal(Effect, frozen=True):
    """Call the subscribers of a signal in this process."""

    signal: object

    async def deliver(self, ctx: Ctx) -> None:
        await ctx.node.signals.send(self.signal)


class Renew(Effect, frozen=True):
    """Continue the session that sent the command under a new token of the same user."""

    principal: Principal

    async def deliver(self, ctx: Ctx) -> None:
        ctx.renew(self.principal)


class CloseSessions(Effect, frozen=True):
    """Close the sessions of a user: all, or those of one `Principal.credential`.

    `tenant`: "" for the one of the requester.
    """

    user: str
    close: str
    credential: str | None = None
    tenant: str = ""

    async def deliver(self, ctx: Ctx) -> None:
        message = CloseUserSessions(self.tenant or ctx.tenant, self.user, self.close, self.credential, ctx.node.clock())
        await ctx.node.cluster.broadcast(message)


def deferred_reply(ctx: Ctx, ack: Result) -> Callable[[], None] | None:
    """Return the function that answers the command when its place in the order is reached.

    Over REST, answer at once and return None: a response has no place among the events.
    """
    if ctx.session and not ctx.is_request:
        return lambda: ctx.answer(ack)
    ctx.answer(ack)
    return None
