"""Subscriptions of users: all their sessions on this node, pending ones included, get the events of a topic.

Most of it is for conversations, whose members join and leave at a `rev`.
"""

from collections.abc import Callable, Collection, Sequence
from math import inf

from chatd.realtime.connections import Connections
from chatd.realtime.feeds import ConversationFeed, Members, Positions, gap_delivery
from chatd.realtime.sessions import Session
from chatd.realtime.subscriptions import Subscriptions


class Memberships:
    """Subscribes and unsubscribes users. Topics are given by tenant and name."""

    def __init__(self, connections: Connections, subscriptions: Subscriptions) -> None:
        self._connections = connections
        self._subscriptions = subscriptions

    def add(
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

        A session that was not subscribed yet gets `behind` up to the last delivered event. `known_at`: see
        `Subscriptions.subscribe`.
        """
        feed = self._subscriptions.feed(tenant, name)
        delivered = self._subscriptions.unheard.rev((tenant, name))
        if feed is not None:
            feed.add_users(users, rev)
            delivered = max(delivered, feed.rev)
        for user in users:
            for session in self._connections.of_user(tenant, user):
                is_new = feed is None or session not in feed.sessions
                self._subscriptions.subscribe(session, name, rev, is_new_member=is_new_member, known_at=known_at)
                if is_new and delivered > rev:
                    gap_delivery(name, delivered).send_to(session)
            for pending in self._connections.pending.of_user(tenant, user):
                pending.topics.append((name, max(rev, known_at or 0)))
                pending.unsubscribed.discard(name)
                if is_new_member:
                    pending.new_memberships.add(name)

    def remove(self, tenant: str, name: str, users: Collection[str], ended_at: float = inf) -> None:
        """Unsubscribe users. `ended_at`: the rev at which the subscriptions ended. Those that are known to have begun
        since stay.
        """
        feed = self._subscriptions.feed(tenant, name)
        if feed is not None:
            feed.remove_users(users)
        for user in users:
            for session in self._ended(tenant, name, user, ended_at):
                self._subscriptions.unsubscribe(session, name)
            for pending in self._connections.pending.of_user(tenant, user):
                if not any(topic == name and rev >= ended_at for topic, rev in pending.topics):
                    pending.unsubscribed.add(name)

    def _ended(self, tenant: str, name: str, user: str, ended_at: float) -> list[Session]:
        """The subscribed sessions of a user that are not known to be subscribed after this rev.

        The end of a membership can become known after the beginning of the next one: other nodes report them, or the
        database was queried in between.
        """
        feed = self._subscriptions.feed(tenant, name)
        known_at = {} if feed is None else feed.sessions
        return [one for one in self._connections.of_user(tenant, user) if one in known_at and known_at[one] <= ended_at]

    def remove_after(self, tenant: str, name: str, users: Sequence[str], rev: int) -> Callable[[], None]:
        """Returns what to call after the event `rev`, the last one for these users. It may have to wait for earlier
        events.

        Until then they get no ephemeral events, because they are no members any more. A user who has joined again
        stays.
        """
        feed = self._subscriptions.feed(tenant, name)
        if not isinstance(feed, ConversationFeed):
            return lambda: self.remove(tenant, name, users, rev)
        back = {session.user for session, known_at in feed.sessions.items() if known_at > rev and session.user in users}
        feed.leaving = {**feed.leaving, **{user: rev for user in users if user not in back}}
        return lambda: self.remove(tenant, name, [user for user in users if feed.leaving.get(user) == rev], rev)

    async def end_at(self, tenant: str, name: str, users: Collection[str], rev: int) -> None:
        """Remove users whose membership ended with the event `rev`, which may be lost: they get `behind` in its place.

        It waits for the events before it, so that no ack of these users follows a `behind` past it. See `report_gap`.
        """
        feed = self._subscriptions.feed(tenant, name)
        if feed is not None and rev <= feed.rev:
            for user in users:
                for session in self._ended(tenant, name, user, rev):
                    gap_delivery(name, feed.rev).send_to(session)
            self.remove(tenant, name, users, rev)
        elif feed is None or not feed.holds(rev):
            last = gap_delivery(name, rev)
            last.on_delivered = self.remove_after(tenant, name, list(users), rev)
            await self._subscriptions.deliver(tenant, name, last)

    def suppress_ephemeral(self, tenant: str, name: str, on: bool) -> None:
        """Deliver no ephemeral events in a topic, or deliver them again."""
        feed = self._subscriptions.feed(tenant, name)
        if feed is not None:
            feed.suppresses_ephemeral = on
        for pending in self._connections.pending:
            pending.suppressed[name] = on

    def suppresses_ephemeral(self, tenant: str, name: str) -> bool:
        """Whether ephemeral events of a topic are not delivered here."""
        feed = self._subscriptions.feed(tenant, name)
        return feed is not None and feed.suppresses_ephemeral

    def members_of(self, tenant: str, conversation: str) -> Members | None:
        """Members of a conversation, as noted here; None if unknown."""
        feed = self._subscriptions.feed(tenant, conversation)
        return feed.members if isinstance(feed, ConversationFeed) else None

    def note_members(self, tenant: str, conversation: str, members: Members) -> None:
        """Remember them until a user joins or leaves."""
        feed = self._subscriptions.feed(tenant, conversation)
        if isinstance(feed, ConversationFeed):
            feed.members = members

    def positions_of(self, session_id: str, conversation: str) -> Positions | None:
        """Receipt positions that the user of a session has reached at least in a conversation.

        None if they are unknown, or if the session is not known to be one of a member.
        """
        if not self._subscriptions.is_subscribed(session_id, conversation):
            return None
        session = self._connections.by_id[session_id]
        feed = self._subscriptions.feed(session.tenant, conversation)
        return feed.positions_of(session) if isinstance(feed, ConversationFeed) else None

    def note_positions(self, session_id: str, conversation: str, positions: Positions) -> None:
        """Remember committed positions of the user of a session, as long as the session is subscribed."""
        session = self._connections.by_id.get(session_id)
        feed = self._subscriptions.feed(session.tenant, conversation) if session is not None else None
        if session is not None and isinstance(feed, ConversationFeed):
            feed.note_positions(session, positions)
