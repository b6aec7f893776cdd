"""Typing indicators. They are not stored, and expire by themselves.

They are sent to the connected members at that moment; a slow reader does not get them. In a group of more than
`presence.typing_members` members they are not sent.
"""

from functools import partial
from typing import ClassVar

import trio

from chatd.app.context import Ctx, Node, system_context
from chatd.app.effects import Effects, Reply, ToConversation, deliver
from chatd.app.registry import Guard, command
from chatd.conversations.settings import PresenceDefaults
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.realtime.feeds import Members
from chatd.realtime.hub import Hub
from chatd.realtime.signals import SessionClosed, SessionEnding
from chatd.wire.base import Command, Event, Id, Ok
from chatd.wire.reference.examples import Example

# Clients drop the indicator after this time, unless it is repeated.
EXPIRES_IN_S = 6
# A client types in one conversation at a time; more than this are not remembered.
MAX_CONVERSATIONS = 16

SQL = queries.load("conversations/typing")


class TypingStart(Command, tag="typing.start"):
    """Show the other members that the requester is typing. Repeat it every few seconds. In large groups it has no
    effect.
    """

    conversation: Id


class TypingStop(Command, tag="typing.stop"):
    """Show the other members that the requester has stopped typing. Sending a message does so, too."""

    conversation: Id


class TypingStarted(Event, tag="typing.start"):
    """A member is typing. It ends after `expires_in` seconds, and when a message of theirs arrives."""

    conversation: Id
    user: Id
    expires_in: int
    EXAMPLE: ClassVar = Example(expires_in=6)


class TypingStopped(Event, tag="typing.stop"):
    """A member has stopped typing, or the connection that they typed on has ended."""

    conversation: Id
    user: Id
    expires_in: int = 0
    EXAMPLE: ClassVar = Example(expires_in=0)


def are_members_known(ctx: Ctx, cmd: TypingStart | TypingStop) -> bool:
    """Whether a look-up is not needed."""
    return ctx.node.hub.memberships.members_of(ctx.tenant, cmd.conversation) is not None


@command(
    TypingStart,
    result=Ok,
    guard=Guard.MEMBER,
    cost=0.2,
    refuses=("not_found",),
    http="POST /v1/conversations/{conversation}/typing",
    at_once=are_members_known,
    unanswered=True,
)
async def typing_start(ctx: Ctx, cmd: TypingStart) -> Effects:
    return await typing_effects(ctx, cmd.conversation, typing=True)


@command(
    TypingStop,
    result=Ok,
    guard=Guard.MEMBER,
    cost=0.2,
    refuses=("not_found",),
    http="DELETE /v1/conversations/{conversation}/typing",
    at_once=are_members_known,
    unanswered=True,
)
async def typing_stop(ctx: Ctx, cmd: TypingStop) -> Effects:
    ctx.node.get(TypingSessions).stop(ctx.session, cmd.conversation)
    return await typing_effects(ctx, cmd.conversation, typing=False)


async def typing_effects(ctx: Ctx, conversation: str, *, typing: bool) -> Effects:
    members = ctx.node.hub.memberships.members_of(ctx.tenant, conversation) or await look_up(ctx, conversation)
    if members.count > ctx.node.config.get(PresenceDefaults).typing_members:
        return [Reply(Ok())]
    user = members.aliases.get(ctx.user, ctx.user)
    if not typing:
        stopped = TypingStopped(conversation=conversation, user=user)
        return [Reply(Ok()), ToConversation(conversation, stopped, ctx.session, ephemeral=True)]
    ctx.node.get(TypingSessions).start(ctx.session, conversation, user, trio.current_time() + EXPIRES_IN_S)
    started = TypingStarted(conversation=conversation, user=user, expires_in=EXPIRES_IN_S)
    return [Reply(Ok()), ToConversation(conversation, started, ctx.session, ephemeral=True)]


async def look_up(ctx: Ctx, conversation: str) -> Members:
    """Read the database, once until a membership begins or ends.

    Raises Refused: `not_found` if the requester is not a member.
    """
    row = await ctx.node.db.one(SQL.count_and_aliases, ctx.tenant, conversation, ctx.user)
    if row is None:
        raise Refused("not_found", "no such conversation")
    members = Members(row["members"], row["aliases"] or {})
    ctx.node.hub.memberships.note_members(ctx.tenant, conversation, members)
    return members


class TypingSessions:
    """The sessions of this node that are typing, so that their typing ends when they disconnect.

    By session: conversations, how the user is known there, and when their typing expires.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._typing: dict[str, dict[str, tuple[str, float]]] = {}

    def start(self, session: str, conversation: str, shown_as: str, until: float) -> None:
        """Note that a session types; others see its user as `shown_as`.

        Commands over REST (without a session) are not noted.
        """
        if session:
            conversations = self._typing.setdefault(session, {})
            if len(conversations) < MAX_CONVERSATIONS:
                conversations[conversation] = (shown_as, until)

    def stop(self, session: str, conversation: str) -> None:
        conversations = self._typing.get(session)
        if conversations is not None:
            conversations.pop(conversation, None)

    def on_ending(self, signal: SessionEnding) -> None:
        """Forget the conversations that the user has left."""
        session = signal.session.id
        for conversation in tuple(self._typing.get(session, ())):
            if not self._hub.subscriptions.is_subscribed(session, conversation):
                self.stop(session, conversation)

    def end(self, session: str) -> list[TypingStopped]:
        """Forget a session that has ended.

        Returns an event for each conversation in which its user is still shown as typing.
        """
        typing, now = self._typing.pop(session, {}), trio.current_time()
        return [
            TypingStopped(conversation=conversation, user=shown_as)
            for conversation, (shown_as, until) in typing.items()
            if until > now
        ]


def open_typing(node: Node) -> None:
    node.services.add(typing := TypingSessions(node.hub))
    node.signals.on_sync(SessionEnding, typing.on_ending)
    node.signals.on(SessionClosed, partial(end_typing, node))


async def end_typing(node: Node, signal: SessionClosed) -> None:
    """Send `typing.stop` when the connection on which a user typed has ended."""
    session = signal.session
    stopped = node.get(TypingSessions).end(session.id)
    with trio.CancelScope(shield=True):
        ctx = system_context(node, session.tenant, session.user)
        await deliver(ctx, [ToConversation(event.conversation, event, ephemeral=True) for event in stopped])
