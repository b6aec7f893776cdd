"""Subscriptions: which sessions of this node get the events of which topic.

A topic exists here as long as a session is subscribed to it. Its feed (`feeds.py`) delivers its events, in order if they are
numbered; conversations are one kind of topic.
"""

from collections.abc import Callable, Collection, Sequence
from math import inf

import trio

from chatd.realtime.connections import Connections
from chatd.realtime.feeds import ConversationFeed, Feed, Members, feed_class, gap_delivery
from chatd.realtime.gaps import Gaps, Topic
from chatd.realtime.message_trace import Traces
from chatd.realtime.pending_session import PendingSession
from chatd.realtime.sessions import Broadcaster, Delivery, Session
from chatd.realtime.unheard_revs import UnheardRevs

# Topics that a session is subscribed to, or unsubscribed from, in one turn of the event loop: about a millisecond.
TOPICS_PER_TURN = 500


class Subscriptions:
    """Topics are named by tenant and name. Methods for users act on their sessions, pending ones included."""

    def __init__(self, connections: Connections, broadcaster: Broadcaster, traces: Traces, topics_per_turn: int) -> None:
        self.gaps = Gaps()
        self._connections = connections
        self._broadcaster = broadcaster
        self._traces = traces
        self._topics_per_turn = topics_per_turn
        self._feeds: dict[Topic, Feed] = {}
        self._topics: dict[Session, list[str]] = {}
        self._unheard = UnheardRevs(connections.pending.oldest)

    def __len__(self) -> int:
        return len(self._feeds)

    # --- sessions -------------------------------------------------------------------------------------------------------

    def subscribe(
        self, session: Session, name: str, rev: int, *, is_new_member: bool = False, known_at: int | None = None
    ) -> None:
        """Deliver the events after `rev` to the session. `known_at`: as of which rev it is known that it is subscribed.

        By default that is `rev`, and for a new member the first rev after it.
        """
        topic = (session.tenant, name)
        feed = self._feeds.get(topic)
        if feed is None:
            first = max(rev, self._unheard.rev(topic))
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
                self._unheard.note(topic, feed.latest)
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
            self.suppress_ephemeral(session.tenant, name, on)

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

    # --- users ----------------------------------------------------------------------------------------------------------

    def subscribe_users(
        self,
        tenant: str,
        name: str,
        users: Collection[str],
        rev: int,
        *,
        is_new_member: bool = False,
        known_at: int | None = None,
    ) -> None:
        """Deliver the events after `rev` to these users. `is_new_member`: events from before are not for them.

        A session that was not subscribed yet gets `behind` up to the last delivered event. `known_at`: as for `subscribe`.
        """
        feed = self._feeds.get((tenant, name))
        delivered = self._unheard.rev((tenant, name))
        if feed is not None:
            feed.add_users(users, rev)
            delivered = max(delivered, feed.rev)
        for user in users:
            for session in self._connections.of_user(tenant, user):
                is_new = feed is None or session not in feed.sessions
                self.subscribe(session, name, rev, is_new_member=is_new_member, known_at=known_at)
                if is_new and delivered > rev:
                    gap_delivery(name, delivered).send_to(session)
            for pending in self._connections.pending.of_user(tenant, user):
                pending.topics.append((name, max(rev, known_at or 0)))
                pending.unsubscribed.discard(name)
                if is_new_member:
                    pending.new_memberships.add(name)

    def unsubscribe_users(self, tenant: str, name: str, users: Collection[str], ended_at: float = inf) -> None:
        """`ended_at`: the rev at which the subscriptions ended. Those that are known to have begun since stay."""
        feed = self._feeds.get((tenant, name))
        if feed is not None:
            feed.remove_users(users)
        for user in users:
            for session in self._ended(tenant, name, user, ended_at):
                self.unsubscribe(session, name)
            for pending in self._connections.pending.of_user(tenant, user):
                if not any(topic == name and rev >= ended_at for topic, rev in pending.topics):
                    pending.unsubscribed.add(name)

    def _ended(self, tenant: str, name: str, user: str, ended_at: float) -> list[Session]:
        """The subscribed sessions of a user that are not known to be subscribed after this rev.

        What ended a subscription can become known later than what began the next one: by another node, or because the database
        was asked in between.
        """
        feed = self._feeds.get((tenant, name))
        sessions = self._connections.of_user(tenant, user) if feed is not None else ()
        return [one for one in sessions if feed is not None and one in feed.sessions and feed.sessions[one] <= ended_at]

    def unsubscribe_after(self, tenant: str, name: str, users: Sequence[str], rev: int) -> Callable[[], None]:
        """Returns what to call after the event `rev`, the last one for these users. It may have to wait for earlier events.

        Until then they get no ephemeral events, because they are no members any more. A user who has joined again stays.
        """
        feed = self._feeds.get((tenant, name))
        if not isinstance(feed, ConversationFeed):
            return lambda: self.unsubscribe_users(tenant, name, users, rev)
        back = {session.user for session, known_at in feed.sessions.items() if known_at > rev and session.user in users}
        feed.leaving = {**feed.leaving, **{user: rev for user in users if user not in back}}
        return lambda: self.unsubscribe_users(tenant, name, [user for user in users if feed.leaving.get(user) == rev], rev)

    async def end_memberships(self, tenant: str, name: str, users: Collection[str], rev: int) -> None:
        """Unsubscribe users whose membership ended with the event `rev`, which may be lost: they get `behind` in its place.

        It waits for the events before it, so that no ack of these users follows a `behind` past it. See `report_gap`.
        """
        feed = self._feeds.get((tenant, name))
        if feed is not None and rev <= feed.rev:
            for user in users:
                for session in self._ended(tenant, name, user, rev):
                    gap_delivery(name, feed.rev).send_to(session)
            self.unsubscribe_users(tenant, name, users, rev)
        elif feed is None or not feed.holds(rev):
            last = gap_delivery(name, rev)
            last.on_delivered = self.unsubscribe_after(tenant, name, list(users), rev)
            await self.deliver(tenant, name, last)

    def suppress_ephemeral(self, tenant: str, name: str, on: bool) -> None:
        feed = self._feeds.get((tenant, name))
        if feed is not None:
            feed.suppresses_ephemeral = on
        for pending in self._connections.pending:
            pending.suppressed[name] = on

    # --- queries --------------------------------------------------------------------------------------------------------

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

    def members_of(self, tenant: str, conversation: str) -> Members | None:
        """Members of a conversation, as noted here; None if unknown."""
        feed = self._feeds.get((tenant, conversation))
        return feed.members if isinstance(feed, ConversationFeed) else None

    def note_members(self, tenant: str, conversation: str, members: Members) -> None:
        """Remember it until a user joins or leaves."""
        feed = self._feeds.get((tenant, conversation))
        if isinstance(feed, ConversationFeed):
            feed.members = members

    # --- delivery -------------------------------------------------------------------------------------------------------

    async def deliver(self, tenant: str, name: str, delivery: Delivery) -> None:
        """Deliver to the subscribers, in its place in the order."""
        topic = (tenant, name)
        feed = self._feeds.get(topic)
        if feed is None:
            if delivery.rev:
                self._unheard.note(topic, delivery.rev)
            delivery.done()
            return
        await feed.deliver(delivery)
        self._note_gap(topic, feed)

    async def report_gap(self, tenant: str, name: str, rev: int) -> None:
        """Events up to `rev` may be missing: deliver `behind`.

        Deferred while this node commits in the topic: the commit may get a rev below, and its ack must not follow the `behind`.
        """
        if not self.gaps.defer((tenant, name), rev):
            await self.advance_past_gap(tenant, name, rev)

    async def advance_past_gap(self, tenant: str, name: str, rev: int) -> None:
        """Deliver `behind` at once. Nothing below `rev` is being committed here."""
        topic = (tenant, name)
        feed = self._feeds.get(topic)
        if feed is None:
            self._unheard.note(topic, rev)
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
        self._unheard = UnheardRevs(self._connections.pending.oldest)
        self._topics = {session: [] for session in self._topics}
        for pending in self._connections.pending:
            pending.topics.clear()
            pending.subscribed_count = 0
