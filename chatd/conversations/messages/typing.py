"""Typing indicators. They are not stored, and expire by themselves.

They are sent to the connected members at that moment; a slow reader does not get them. In a group of more than
`presence.typing_members` members they are not sent. What changes nothing for the recipients is not sent either: a
`typing.start` soon after the last one of the same session, and a `typing.stop` of a user who is not typing.
"""

from functools import partial
from typing import ClassVar, NamedTuple

import trio

from chatd.app.context import Ctx, Node, system_context
from chatd.app.effects import Effects, Reply, ToConversation, deliver
from chatd.app.registry import Guard, command
from chatd.cluster.signals import EventSent
from chatd.conversations.events import MessageNew
from chatd.conversations.settings import PresenceDefaults
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.realtime.feeds import Members
from chatd.realtime.hub import Hub
from chatd.realtime.signals import SessionClosed, SessionEnding
from chatd.wire.base import Command, Event, Id, Ok
from chatd.wire.reference.examples import Example

# Clients drop the indicator after this time, unless it is repeated.
EXPIRES_IN_S = 8
# A repetition within this time after the last one that was sent is dropped. So an indicator of a client that repeats it
# at least every EXPIRES_IN_S - REPEAT_AFTER_S seconds never expires in between.
REPEAT_AFTER_S = 2
# A client types in one conversation at a time; more than this are not remembered.
MAX_CONVERSATIONS = 16

SQL = queries.load("conversations/typing")


class TypingStart(Command, tag="typing.start"):
    """Show the other members that the requester is typing. Repeat it every 3 to 5 seconds.

    In large groups it has no effect, nor within 2 seconds after the last one of the same session that was sent.
    """

    conversation: Id


class TypingStop(Command, tag="typing.stop"):
    """Show the other members that the requester has stopped typing. Sending a message does so, too.

    It has no effect for a user who is not typing on the server that the session is connected to.
    """

    conversation: Id


class TypingStarted(Event, tag="typing.start"):
    """A member is typing. It ends after `expires_in` seconds, and when a message of theirs arrives."""

    conversation: Id
    user: Id
    expires_in: int
    EXAMPLE: ClassVar = Example(expires_in=8)


class TypingStopped(Event, tag="typing.stop"):
    """A member has stopped typing, or the connection that they typed on has ended."""

    conversation: Id
    user: Id
    expires_in: int = 0
    EXAMPLE: ClassVar = Example(expires_in=0)


def are_members_known(ctx: Ctx, cmd: TypingStart | TypingStop) -> bool:
    """Whether the members are known without a look-up."""
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
    members = await members_of(ctx, cmd.conversation)
    typing, user = ctx.node.get(TypingSessions), members.aliases.get(ctx.user, ctx.user)
    if is_large(ctx, members) or not typing.start(ctx.tenant, ctx.session, cmd.conversation, user, members):
        return [Reply(Ok())]
    started = TypingStarted(conversation=cmd.conversation, user=user, expires_in=EXPIRES_IN_S)
    return [Reply(Ok()), ToConversation(cmd.conversation, started, ctx.origin, ephemeral=True)]


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
    members = await members_of(ctx, cmd.conversation)
    typing, user = ctx.node.get(TypingSessions), members.aliases.get(ctx.user, ctx.user)
    if is_large(ctx, members) or not typing.is_stop_needed(ctx, cmd.conversation):
        return [Reply(Ok())]
    stopped = TypingStopped(conversation=cmd.conversation, user=user)
    return [Reply(Ok()), ToConversation(cmd.conversation, stopped, ctx.origin, ephemeral=True)]


def is_large(ctx: Ctx, members: Members) -> bool:
    return members.count > ctx.node.config.get(PresenceDefaults).typing_members


async def members_of(ctx: Ctx, conversation: str) -> Members:
    """The members of the conversation. Raises Refused: `not_found` if the requester is not a member."""
    return ctx.node.hub.memberships.members_of(ctx.tenant, conversation) or await look_up(ctx, conversation)


async def look_up(ctx: Ctx, conversation: str) -> Members:
    """Read the members from the database, and remember them until a membership begins or ends.

    Raises Refused: `not_found` if the requester is not a member.
    """
    row = await ctx.node.db.one(SQL.count_and_aliases, ctx.tenant, conversation, ctx.user)
    if row is None:
        raise Refused("not_found", "no such conversation")
    members = Members(row["members"], row["aliases"] or {})
    ctx.node.hub.memberships.note_members(ctx.tenant, conversation, members)
    return members


class Typing(NamedTuple):
    """What the others were last sent of a session that types in a conversation: the id of its user there, and when the
    indicator expires. `members` at that moment.
    """

    shown_as: str
    until: float
    members: Members


class TypingSessions:
    """The sessions of this node that are typing: by session, the conversations in which the others see it.

    What was sent over REST (without a session), or on other nodes, is not known here.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._typing: dict[str, dict[str, Typing]] = {}

    def start(self, tenant: str, session: str, conversation: str, shown_as: str, members: Members) -> bool:
        """Note that a session types; others see its user as `shown_as`.

        Returns False if this changes nothing: all `members` were sent the same less than REPEAT_AFTER_S ago.
        """
        if not session or self._is_suppressed(tenant, conversation):
            return True
        now = trio.current_time()
        conversations = self._typing_in(session, now)
        known = conversations.get(conversation)
        if known is not None and known.members is members and now < known.until - EXPIRES_IN_S + REPEAT_AFTER_S:
            return False
        if known is not None or len(conversations) < MAX_CONVERSATIONS:
            conversations[conversation] = Typing(shown_as, now + EXPIRES_IN_S, members)
            self._typing[session] = conversations
        return True

    def is_stop_needed(self, ctx: Ctx, conversation: str) -> bool:
        """Whether the others may see the user typing, as far as this node knows."""
        if not ctx.session or self._is_suppressed(ctx.tenant, conversation):
            return True
        now = trio.current_time()
        for session in self._hub.connections.of_user(ctx.tenant, ctx.user):
            conversations = self._typing_in(session.id, now)
            known = conversations.get(conversation)
            if len(conversations) >= MAX_CONVERSATIONS or (known is not None and known.until > now):
                return True
        return False

    def _is_suppressed(self, tenant: str, conversation: str) -> bool:
        """Whether typing is not delivered, which leaves what the recipients see as it is."""
        return self._hub.memberships.suppresses_ephemeral(tenant, conversation)

    def _typing_in(self, session: str, now: float) -> dict[str, Typing]:
        """The conversations of a session, some of which have expired, unless they are too many."""
        conversations = self._typing.get(session, {})
        if len(conversations) >= MAX_CONVERSATIONS:
            for expired in [id_ for id_, typing in conversations.items() if typing.until <= now]:
                del conversations[expired]
        return conversations

    def stop(self, session: str, conversation: str) -> None:
        conversations = self._typing.get(session)
        if conversations is not None:
            conversations.pop(conversation, None)
            if not conversations:
                del self._typing[session]

    def on_sent(self, signal: EventSent) -> None:
        """Forget a user whose indicator ends by this event, with all sessions."""
        if not self._typing:
            return
        tenant, conversation, event = signal.tenant, signal.conversation, signal.event
        if isinstance(event, MessageNew):
            self._end_shown(tenant, conversation, event.message.sender)
        elif isinstance(event, TypingStopped) and not self._is_suppressed(tenant, conversation):
            self._end_shown(tenant, conversation, event.user)

    def _end_shown(self, tenant: str, conversation: str, shown_as: str) -> None:
        members = self._hub.memberships.members_of(tenant, conversation)
        aliases = members.aliases if members is not None else {}
        user = next((user for user, alias in aliases.items() if alias == shown_as), shown_as)
        for session in self._hub.connections.of_user(tenant, user):
            self.stop(session.id, conversation)

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
            TypingStopped(conversation=conversation, user=one.shown_as)
            for conversation, one in typing.items()
            if one.until > now
        ]


def open_typing(node: Node) -> None:
    typing = node.services.add(TypingSessions(node.hub))
    node.signals.on_sync(EventSent, typing.on_sent)
    node.signals.on_sync(SessionEnding, typing.on_ending)
    node.signals.on(SessionClosed, partial(end_typing, node))


async def end_typing(node: Node, signal: SessionClosed) -> None:
    """Send `typing.stop` when the connection on which a user typed has ended."""
    session = signal.session
    stopped = node.get(TypingSessions).end(session.id)
    with trio.CancelScope(shield=True):
        ctx = system_context(node, session.tenant, session.user)
        await deliver(ctx, [ToConversation(event.conversation, event, ephemeral=True) for event in stopped])
