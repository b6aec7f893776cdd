"""Subscriptions of users: all their sessions on this node, pending ones included, get the events of a topic.

Most of it is for conversations, whose members join and leave at a `rev`.
"""

from collections.abc import Callable, Collection, Sequence

from chatd.realtime.connections import Connections
from chatd.realtime.feeds import ConversationFeed, Members, gap_delivery
from chatd.realtime.subscriptions import Subscriptions


class Memberships:
    """Subscribes and unsubscribes users. Topics are given by tenant and name."""

    def __init__(self, connections: Connections, subscriptions: Subscriptions) -> None:
        self._connections = connections
        self._subscriptions = subscriptions

    def add(self, tenant: str, name: str, users: Collection[str], rev: int, *, is_new_member: bool = False) -> None:
        """Deliver the events after `rev` to these users. `is_new_member`: events from before are not for them.

        A session that was not subscribed yet gets `behind` up to the last delivered event.
        """
        feed = self._subscriptions.feed(tenant, name)
        unheard = delivered = self._subscriptions.unheard.rev((tenant, name))
        if feed is not None:
            feed.add_users(users, rev)
            delivered = max(unheard, feed.rev)
        for user in users:
            for session in self._connections.of_user(tenant, user):
                is_new = feed is None or session not in feed.sessions
                self._subscriptions.subscribe(session, name, max(rev, unheard), is_new_member=is_new_member)
                if is_new and delivered > rev:
                    gap_delivery(name, delivered).send_to(session)
            for pending in self._connections.pending.of_user(tenant, user):
                pending.topics.append((name, rev))
                pending.unsubscribed.discard(name)
                if is_new_member:
                    pending.new_memberships.add(name)

    def remove(self, tenant: str, name: str, users: Collection[str]) -> None:
        feed = self._subscriptions.feed(tenant, name)
        if feed is not None:
            feed.remove_users(users)
        for user in users:
            for session in tuple(self._connections.of_user(tenant, user)):
                self._subscriptions.unsubscribe(session, name)
            for pending in self._connections.pending.of_user(tenant, user):
                pending.unsubscribed.add(name)

    def remove_after(self, tenant: str, name: str, users: Sequence[str], rev: int) -> Callable[[], None]:
        """Returns what to call after the event `rev`, the last one for these users. It may have to wait for earlier events.

        Until then they get no ephemeral events, because they are no members any more. A user who has joined again stays.
        """
        feed = self._subscriptions.feed(tenant, name)
        if not isinstance(feed, ConversationFeed):
            return lambda: self.remove(tenant, name, users)
        feed.leaving = {**feed.leaving, **dict.fromkeys(users, rev)}
        return lambda: self.remove(tenant, name, [user for user in users if feed.leaving.get(user) == rev])

    def remove_behind(self, tenant: str, name: str, users: Collection[str], rev: int) -> None:
        """Remove users who were not notified of the end of their membership: `behind` is the last event that they get."""
        feed = self._subscriptions.feed(tenant, name)
        for session in tuple(feed.sessions) if feed is not None and users else ():
            if session.user in users:
                gap_delivery(name, rev).send_to(session)
        self.remove(tenant, name, users)

    def suppress_ephemeral(self, tenant: str, name: str, on: bool) -> None:
        """Deliver no ephemeral events in a topic, or deliver them again."""
        feed = self._subscriptions.feed(tenant, name)
        if feed is not None:
            feed.suppresses_ephemeral = on
        for pending in self._connections.pending:
            pending.suppressed[name] = on

    def members_of(self, tenant: str, conversation: str) -> Members | None:
        """Members of a conversation, as noted here; None if unknown."""
        feed = self._subscriptions.feed(tenant, conversation)
        return feed.members if isinstance(feed, ConversationFeed) else None

    def note_members(self, tenant: str, conversation: str, members: Members) -> None:
        """Remember them until a user joins or leaves."""
        feed = self._subscriptions.feed(tenant, conversation)
        if isinstance(feed, ConversationFeed):
            feed.members = members
