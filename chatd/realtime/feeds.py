"""Feeds: the sessions of this node that are subscribed to one topic, and the order in which they get its events.

The numbered events of a topic may be committed by several nodes and arrive in any order: those of this node at once,
the others over the bus. An event that is early is held until the events before it have arrived, or until Postgres was
queried for the last `rev` of the topic (`advance_past_gap`); then the subscribers get `behind` in place of what is
missing. A topic without numbers needs none of this: its events have `rev` 0 and are delivered at once.
"""

from collections.abc import Collection, Iterable, Mapping
from time import time
from typing import ClassVar, NamedTuple

import trio
from msgspec import Struct

from chatd.realtime.message_trace import Traces
from chatd.realtime.sessions import Broadcaster, Delivery, EncodedEvent, Session
from chatd.wire.base import Event
from chatd.wire.connection_events import Behind

# Other tasks run after this many held events: about a millisecond, with a few sessions.
EVENTS_PER_TURN = 20
MAX_HELD = 1000
NO_USERS: Mapping[str, int] = {}


class Feed:
    """A topic, its subscribers, and the last `rev` that they got. Subclasses declare the `kind` of topics they are for.

    The name of a topic is "KIND:ID"; the name of a conversation is its id alone.
    """

    __slots__ = (
        "_broadcaster",
        "_held",
        "_is_delivering",
        "_top",
        "_traces",
        "rev",
        "sessions",
        "suppresses_ephemeral",
        "topic",
    )
    kinds: ClassVar[dict[str, type["Feed"]]] = {}

    def __init_subclass__(cls, kind: str) -> None:
        cls.kinds[kind] = cls

    def __init__(self, topic: str, rev: int, broadcaster: Broadcaster, traces: Traces) -> None:
        self.topic = topic
        self.rev = rev
        # The rev as of which the user of each is known to be subscribed: an end that was numbered before it is
        # outdated.
        self.sessions: dict[Session, int] = {}
        # Ephemeral events are not delivered: one of two users has blocked the other.
        self.suppresses_ephemeral = False
        self._broadcaster = broadcaster
        self._traces = traces
        self._held: dict[int, Delivery] = {}
        # Events up to this rev may never arrive.
        self._top = 0
        self._is_delivering = False

    @staticmethod
    def gap_event(topic: str, rev: int) -> Event:
        """The event that replaces missing events up to `rev`."""
        raise NotImplementedError

    def gap(self, rev: int) -> Delivery:
        return gap_delivery(self.topic, rev)

    @property
    def has_gap(self) -> bool:
        """Whether events are held because earlier ones are missing."""
        return bool(self._held)

    def holds(self, rev: int) -> bool:
        """Whether the event has arrived, and waits for earlier ones."""
        return rev in self._held

    @property
    def latest(self) -> int:
        """The last rev that this node knows of."""
        return max(self.rev, self._top, *self._held) if self._held else max(self.rev, self._top)

    def add(self, session: Session, rev: int, *, is_new_member: bool, known_at: int) -> None:
        """Subscribe a session, whose user may become a member at `rev`. `known_at`: see `sessions`."""
        self.sessions[session] = max(known_at, self.sessions.get(session, 0))

    def remove(self, session: Session) -> None:
        self.sessions.pop(session, None)

    def add_users(self, users: Collection[str], rev: int) -> None:
        """Note that these users, of this node or others, subscribe after `rev`."""

    def remove_users(self, users: Collection[str]) -> None:
        """Note that the subscriptions of these users have ended."""

    def is_leaving(self, user: str) -> bool:
        """Whether the subscription of the user ends with an event that is not delivered yet."""
        return False

    async def deliver(self, delivery: Delivery) -> None:
        """Deliver in the order of `rev`: now, or once the events before have arrived.

        A second delivery of a rev is dropped.
        """
        if delivery.ephemeral and self.suppresses_ephemeral:
            return
        delivery.topic = self.topic
        if not delivery.rev:
            await self._broadcaster.send(self._recipients(delivery), delivery)
            delivery.done()
        elif delivery.rev <= self.rev:
            delivery.done()
        else:
            self._held[delivery.rev] = delivery
            if len(self._held) > MAX_HELD:
                self._top = max(self._top, delivery.rev)
            await self._deliver_held()

    async def advance_past_gap(self, rev: int) -> None:
        """Deliver `behind` in place of the missing events up to `rev`, and continue after it.

        Held events are delivered in their place nevertheless: an ack among them must not follow a `behind` past it.
        """
        self._top = max(self._top, rev)
        await self._deliver_held()

    def _recipients(self, delivery: Delivery) -> Iterable[Session]:
        return self.sessions

    async def _send(self, delivery: Delivery) -> int:
        """Send a numbered event to all subscribers. Returns how many took it."""
        return await self._broadcaster.send(self.sessions, delivery)

    def _note_skipped(self) -> None:
        """Hook for subclasses: `rev` has advanced past missing events."""

    async def _deliver_held(self) -> None:
        """Deliver all that is next, in one task: a large feed takes several turns, in which no event may overtake
        another.
        """
        if self._is_delivering:
            return
        self._is_delivering = True
        try:
            delivered = 0
            while await self._deliver_next():
                delivered += 1
                if delivered % EVENTS_PER_TURN == 0:
                    await trio.lowlevel.cancel_shielded_checkpoint()
        finally:
            self._is_delivering = False

    async def _deliver_next(self) -> bool:
        delivery = self._held.pop(self.rev + 1, None)
        if delivery is not None:
            rev = self.rev = self.rev + 1
            sent = await self._send(delivery)
            self._traces.delivered((self.topic, rev, time(), sent))
            delivery.done()
            return True
        top = min(self._top, min(self._held) - 1) if self._held else self._top
        if top > self.rev:
            first, self.rev = self.rev + 1, top
            self._note_skipped()
            sent = await self._broadcaster.send(self.sessions, self.gap(self.rev))
            self._traces.skipped((self.topic, first, self.rev, time(), sent))
            return True
        return False


class NewMember(NamedTuple):
    """A session whose membership begins after `rev`, while earlier events are still to be delivered.

    `given`: the last rev that the session has received, or that was delivered when it subscribed.
    """

    rev: int
    given: int


class Members(Struct, frozen=True):
    """The number of members of a conversation on all nodes, and in a match the aliases of all by user."""

    count: int
    aliases: Mapping[str, str]


class Positions(NamedTuple):
    """The last received and the last read message of a user, by `seq`, as far as they are committed."""

    delivered: int
    read: int


class ConversationFeed(Feed, kind=""):
    """The feed of a conversation.

    Members get no events from before they joined, and no ephemeral ones while they leave.
    """

    __slots__ = ("_new_members", "_positions", "leaving", "members")

    def __init__(self, topic: str, rev: int, broadcaster: Broadcaster, traces: Traces) -> None:
        super().__init__(topic, rev, broadcaster, traces)
        # A session can be here by an earlier membership too: other nodes removed and added its user while an event that
        # was numbered before the removal is late.
        self._new_members: dict[Session, NewMember] = {}
        # Users whose membership ended at this rev, which is not delivered yet because something before it is missing.
        self.leaving: Mapping[str, int] = NO_USERS
        # None if unknown.
        self.members: Members | None = None
        # By session that has sent a receipt, those of its user.
        self._positions: dict[Session, Positions] = {}

    @staticmethod
    def gap_event(topic: str, rev: int) -> Event:
        return Behind(conversation=topic, rev=rev)

    def add(self, session: Session, rev: int, *, is_new_member: bool, known_at: int) -> None:
        """Subscribe a session. A new member does not get what is still to be delivered up to `rev`."""
        super().add(session, rev, is_new_member=is_new_member, known_at=known_at)
        if is_new_member and rev > self.rev:
            known = self._new_members.get(session)
            new = NewMember(rev, self.rev) if known is None else known._replace(rev=max(rev, known.rev))
            self._new_members[session] = new

    def remove(self, session: Session) -> None:
        self.sessions.pop(session, None)
        self._new_members.pop(session, None)
        self._positions.pop(session, None)

    def note_positions(self, session: Session, positions: Positions) -> None:
        """Note committed positions. They are forgotten with the subscription of the session.

        Those of an earlier membership do no harm: a new one begins at the last message.
        """
        if session in self.sessions:
            self._positions[session] = positions

    def positions_of(self, session: Session) -> Positions | None:
        """Positions that the user of the session has reached at least; None if unknown."""
        return self._positions.get(session)

    def add_users(self, users: Collection[str], rev: int) -> None:
        """Note that users join after `rev`.

        A later end of their membership stays valid: it became known before the beginning.
        """
        self.members = None
        if self.leaving:
            self.leaving = {user: end for user, end in self.leaving.items() if user not in users or end > rev}

    def remove_users(self, users: Collection[str]) -> None:
        self.members = None
        if self.leaving:
            self.leaving = {user: end for user, end in self.leaving.items() if user not in users}

    def is_leaving(self, user: str) -> bool:
        return user in self.leaving

    def _recipients(self, delivery: Delivery) -> Iterable[Session]:
        """Skip leaving members for ephemeral events, which happened after they left."""
        if not (self.leaving and delivery.ephemeral):
            return self.sessions
        return [session for session in self.sessions if session.user not in self.leaving]

    async def _send(self, delivery: Delivery) -> int:
        """Send a numbered event to all subscribers. New members first get one `behind` up to where they joined.

        The ack of a message that such a session sent in an earlier membership follows a `behind` for what it did not
        get.
        """
        if not self._new_members:
            return await self._broadcaster.send(self.sessions, delivery)
        new, rev = self._new_members, delivery.rev
        sender = next((session for session in new if session.id == delivery.exclude_session), None)
        self._new_members = {session: member for session, member in new.items() if member.rev > rev}
        if sender in self._new_members:
            self._new_members[sender] = new[sender]._replace(given=rev)
        joined = [session for session in new if session not in self._new_members and session is not sender]
        sent = await self._broadcaster.send([session for session in self.sessions if session not in new], delivery)
        if sender is not None and new[sender].given < rev - 1:
            sent += await self._broadcaster.send([sender], self.gap(rev - 1))
        return sent + await self._broadcaster.send(joined, self.gap(rev))

    def _note_skipped(self) -> None:
        later = {session: member for session, member in self._new_members.items() if member.rev > self.rev}
        self._new_members = {session: member._replace(given=self.rev) for session, member in later.items()}


def feed_class(topic: str) -> type[Feed]:
    """The class for topics of this kind."""
    return Feed.kinds[topic.partition(":")[0] if ":" in topic else ""]


def gap_delivery(topic: str, rev: int) -> Delivery:
    """The delivery that replaces missing events of a topic up to `rev`."""
    return Delivery(EncodedEvent(feed_class(topic).gap_event(topic, rev)), rev, topic=topic)
