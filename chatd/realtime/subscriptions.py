"""Subscriptions: which sessions of this node get the events of which topic.

A topic exists here as long as a session is subscribed to it. Its feed (`feeds.py`) delivers its events, in order if
they are numbered; conversations are one kind of topic.
"""

import trio

from chatd.realtime.connections import Connections
from chatd.realtime.feeds import Feed, feed_class
from chatd.realtime.gaps import Gaps, Topic
from chatd.realtime.message_trace import Traces
from chatd.realtime.pending_session import PendingSession
from chatd.realtime.sessions import Broadcaster, Delivery, Session
from chatd.realtime.unheard_revs import UnheardRevs

# Topics that a session is subscribed to, or unsubscribed from, in one turn of the event loop: about a millisecond.
TOPICS_PER_TURN = 500


class Subscriptions:
    """Which sessions are subscribed to which topic. `Memberships` subscribes users."""

    def __init__(
        self, connections: Connections, broadcaster: Broadcaster, traces: Traces, topics_per_turn: int
    ) -> None:
        self.gaps = Gaps()
        self._connections = connections
        self._broadcaster = broadcaster
        self._traces = traces
        self._topics_per_turn = topics_per_turn
        self._feeds: dict[Topic, Feed] = {}
        self._topics: dict[Session, list[str]] = {}
        self.unheard = UnheardRevs(connections.pending.oldest)

    def __len__(self) -> int:
        return len(self._feeds)

    # --- sessions -------------------------------------------------------------------------------------------------

    def subscribe(
        self, session: Session, name: str, rev: int, *, is_new_member: bool = False, known_at: int | None = None
    ) -> None:
        """Deliver the events after `rev` to the session. `known_at`: as of which rev it is known that it is subscribed.

        By default that is `rev`, and for a new member the first rev after it.
        """
        topic = (session.tenant, name)
        feed = self._feeds.get(topic)
        if feed is None:
            first = max(rev, self.unheard.rev(topic))
            feed = self._feeds[topic] = feed_class(name)(name, first, self._broadcaster, self._traces)
        if session not in feed.sessions:
            self._topics.setdefault(session, []).append(name)
        known_at = rev + is_new_member if known_at is None else known_at
        feed.add(session, rev, is_new_member=is_new_member, known_at=known_at)

    def unsubscribe(self, session: Session, name: str) -> None:
        self._remove(session, name)
        if name in self._topics.get(session, ()):
            self._topics[session].remove(name)

    def _remove(self, session: Session, name: str) -> None:
        topic = (session.tenant, name)
        feed = self._feeds.get(topic)
        if feed is not None:
            feed.remove(session)
            if not feed.sessions:
                # The next subscriber gets nothing twice, and `behind` for events that were held.
                self.unheard.note(topic, feed.latest)
                del self._feeds[topic]
                self.gaps.clear(topic)

    async def subscribe_in_batches(self, session: Session, pending: PendingSession) -> None:
        """Subscribe to most topics of a pending session, before it is registered; `subscribe_pending` does the rest.

        The session must not send yet: what is delivered until it is registered, the client gets by session.sync.
        """
        try:
            while len(pending.topics) - pending.subscribed_count > self._topics_per_turn:
                self._subscribe_next(session, pending, self._topics_per_turn)
                await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            self.unsubscribe_all(session)
            raise

    def subscribe_pending(self, session: Session, pending: PendingSession) -> None:
        """Subscribe to the other topics, and apply what has changed since the query."""
        self._subscribe_next(session, pending, len(pending.topics))
        for name in pending.unsubscribed:
            self.unsubscribe(session, name)
        for name, on in pending.suppressed.items():
            feed = self._feeds.get((session.tenant, name))
            if feed is not None:
                feed.suppresses_ephemeral = on

    def _subscribe_next(self, session: Session, pending: PendingSession, count: int) -> None:
        topics = pending.topics[pending.subscribed_count : pending.subscribed_count + count]
        pending.subscribed_count += len(topics)
        for name, rev in topics:
            if name not in pending.unsubscribed:
                self.subscribe(session, name, rev, is_new_member=name in pending.new_memberships)

    async def unsubscribe_in_batches(self, session: Session) -> None:
        """Unsubscribe from most topics, before `unsubscribe_all`."""
        while len(names := self._topics.get(session, [])) > self._topics_per_turn:
            for _ in range(self._topics_per_turn):
                self._remove(session, names.pop())
            await trio.lowlevel.cancel_shielded_checkpoint()

    def unsubscribe_all(self, session: Session) -> None:
        for name in self._topics.pop(session, ()):
            self._remove(session, name)

    # --- queries --------------------------------------------------------------------------------------------------

    def feed(self, tenant: str, name: str) -> Feed | None:
        """The feed of a topic, if a session of this node is subscribed."""
        return self._feeds.get((tenant, name))

    def is_subscribed(self, session_id: str, name: str) -> bool:
        """Whether a registered session is subscribed, and its user is not leaving."""
        session = self._connections.by_id.get(session_id)
        if session is None:
            return False
        feed = self._feeds.get((session.tenant, name))
        return feed is not None and session in feed.sessions and not feed.is_leaving(session.user)

    def users_of(self, tenant: str, name: str) -> set[str]:
        """The subscribed users of this node."""
        feed = self._feeds.get((tenant, name))
        return {session.user for session in feed.sessions} if feed is not None else set()

    def rev_of(self, tenant: str, name: str) -> int | None:
        """The last delivered rev. None if no session is subscribed."""
        feed = self._feeds.get((tenant, name))
        return feed.rev if feed is not None else None

    # --- delivery -------------------------------------------------------------------------------------------------

    async def deliver(self, tenant: str, name: str, delivery: Delivery) -> None:
        """Deliver to the subscribers, in its place in the order."""
        if self.skip(tenant, name, delivery.rev):
            delivery.done()
            return
        topic = (tenant, name)
        feed = self._feeds[topic]
        await feed.deliver(delivery)
        self._note_gap(topic, feed)

    def skip(self, tenant: str, name: str, rev: int) -> bool:
        """Note the `rev` of an event that no session is subscribed to. Returns whether there is none."""
        topic = (tenant, name)
        if topic in self._feeds:
            return False
        if rev:
            self.unheard.note(topic, rev)
        return True

    async def report_gap(self, tenant: str, name: str, rev: int) -> None:
        """Events up to `rev` may be missing: deliver `behind`.

        Deferred while this node commits in the topic: the commit may get a rev below, and its ack must not follow the
        `behind`.
        """
        if not self.gaps.defer((tenant, name), rev):
            await self.advance_past_gap(tenant, name, rev)

    async def advance_past_gap(self, tenant: str, name: str, rev: int) -> None:
        """Deliver `behind` at once. Nothing below `rev` is being committed here."""
        topic = (tenant, name)
        feed = self._feeds.get(topic)
        if feed is None:
            self.unheard.note(topic, rev)
        else:
            await feed.advance_past_gap(rev)
            self._note_gap(topic, feed)

    async def deliver_deferred_gaps(self) -> None:
        """Deliver the `behind` that were deferred, where the commits have ended. Call it periodically."""
        for (tenant, name), rev in self.gaps.take_deferred():
            await self.advance_past_gap(tenant, name, rev)

    def _note_gap(self, topic: Topic, feed: Feed) -> None:
        if not feed.has_gap:
            self.gaps.clear(topic)
        elif topic in self._feeds:
            self.gaps.note(topic, feed.rev)

    def reset(self) -> None:
        """Forget all topics and revs: the database is another one."""
        self._feeds.clear()
        self.gaps.since.clear()
        self.unheard = UnheardRevs(self._connections.pending.oldest)
        self._topics = {session: [] for session in self._topics}
        for pending in self._connections.pending:
            pending.topics.clear()
            pending.subscribed_count = 0
