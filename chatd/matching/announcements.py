"""Announces to each connected user, once, that a match has begun and that it has ended.

The node that commits a change of a match announces it with one control message to all nodes. That node may die in
between, and the message may be lost. So each node remembers which match its users were sent and skips repetitions; any
node may repeat an announcement at any time. For users in `unverified` the database has to be read. That a user was sent
a match is stored as well, for the node to which they reconnect.
"""

from collections import OrderedDict
from contextlib import suppress
from itertools import islice

import trio
from msgspec import Raw, msgpack

from chatd.cluster.cluster import Cluster
from chatd.cluster.control_messages import ControlMessage, Receiver
from chatd.core.errors import Refused
from chatd.core.identity import UserKey
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Postgres
from chatd.realtime.hub import Hub
from chatd.realtime.sessions import Delivery, ForwardedEvent
from chatd.wire.base import Event

SQL = queries.load("matching/announcements")
# Ended matches that are remembered.
MAX_ENDED = 20_000
# Time between two writes of deliveries, and rows per write.
STORE_S, MAX_ROWS = 0.5, 1000
# A delivery counts when the user has stayed connected for this time after it: what was written to a connection that
# breaks may not have arrived, and a user who reconnects before is sent the match again.
CONFIRMED_AFTER_S = 2.0
# Time to wait for the end of the previous match until the database is read.
PREVIOUS_END_S = 0.5
# Time after which the database is read for a user whose ticket led to a match that was not announced.
ANNOUNCED_WITHIN_S = 1.0
ENCODE = msgpack.Encoder().encode


class MatchAnnounced(ControlMessage, array_like=True, tag="match-announced"):
    """To all sessions of a user except `exclude_session`: this match has begun, or has ended.

    `event` is its body in msgpack. A node whose user was sent it before does not send it again.
    """

    tenant: str
    user: str
    match: str
    began: bool
    exclude_session: str | None
    event: Raw

    async def apply(self, receiver: Receiver) -> None:
        await receiver.services.get(Announcements).deliver(self)


class Announcements:
    """The announcements of this node. `announce` may be called on any node, and repeated. `store_deliveries` runs
    beside it.
    """

    def __init__(self, db: Postgres, hub: Hub, cluster: Cluster) -> None:
        # The match that each user connected here was sent, and whose end they were not sent.
        self.announced: dict[UserKey, str] = {}
        # Of those the users who may not have received `match.found`: it is sent again, and the end in any case.
        self.unconfirmed: set[UserKey] = set()
        # Users connected here whose state may be outdated, and when to read it, on Trio's clock.
        self.unverified: dict[UserKey, float] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        # Deliveries that are not stored yet, with their time: tenant, match, user.
        self._deliveries: dict[tuple[str, str, str], float] = {}
        # Beginnings of matches for users who were not sent the end of the previous one.
        self._deferred: dict[UserKey, MatchAnnounced] = {}
        self._db = db
        self._hub = hub
        self._cluster = cluster

    async def announce(self, message: MatchAnnounced) -> None:
        """Send an event to all sessions of the user on all nodes, unless it was sent before."""
        self._cluster.publish(message)
        await self.deliver(message)

    async def deliver(self, message: MatchAnnounced) -> None:
        """Send the event to the sessions of the user on this node, unless it was sent before."""
        user = (message.tenant, message.user)
        if self._note_beginning(user, message) if message.began else self._note_end(user, message.match):
            await self._hub.deliver_to_user(
                *user, Delivery(ForwardedEvent(message.event), exclude_session=message.exclude_session)
            )
        deferred = self._deferred.pop(user, None) if user not in self.announced else None
        if deferred is not None:
            await self.deliver(deferred)

    def _note_beginning(self, user: UserKey, message: MatchAnnounced) -> bool:
        """Whether `match.found` has to be sent to the sessions here."""
        match, known = message.match, self.announced.get(user)
        if match in self._ended:
            return False
        self.unverified.pop(user, None)
        if not self._hub.connections.count(*user):
            if self._hub.connections.pending.of_user(*user):
                self.unverified[user] = trio.current_time()
            return False
        if known is not None and not (known == match and self._is_resend(user)):
            if known != match:
                # A user is never in two matches: the end of the previous one has not arrived yet, or was lost.
                self._deferred[user] = message
                self.unverified[user] = trio.current_time() + PREVIOUS_END_S
            return False
        self.announced[user] = match
        self._deliveries[user[0], match, user[1]] = trio.current_time()
        return True

    def _note_end(self, user: UserKey, match: str) -> bool:
        """Whether the end of the match has to be sent to the sessions here."""
        self._ended[match] = None
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)
        if self.announced.get(user) != match:
            return False
        del self.announced[user]
        self.unconfirmed.discard(user)
        return True

    def _is_resend(self, user: UserKey) -> bool:
        """Whether the user may not have received `match.found`; from now on it counts as sent."""
        unconfirmed = user in self.unconfirmed
        self.unconfirmed.discard(user)
        return unconfirmed

    def on_session_opened(self, user: UserKey, match: str | None, announced: bool) -> None:
        """Note the match that a new session was sent with its state.

        `announced`: the user received `match.found` before.
        """
        if match is None:
            return
        self.announced.setdefault(user, match)
        if not announced:
            self.unconfirmed.add(user)
        if not announced or self.announced[user] != match or match in self._ended:
            self.unverified[user] = trio.current_time()

    def on_disconnect(self, user: UserKey) -> bool:
        """Forget a user whose last session here has ended. Returns whether the user may be in a match."""
        self._deferred.pop(user, None)
        self.unconfirmed.discard(user)
        unverified = self.unverified.pop(user, None) is not None
        return self.announced.pop(user, None) is not None or unverified

    def expect(self, user: UserKey, match: str) -> None:
        """The ticket of a user connected here led to this match: unless it is announced soon, the database is read."""
        if self.announced.get(user) != match and match not in self._ended:
            self.unverified.setdefault(user, trio.current_time() + ANNOUNCED_WITHIN_S)

    def take_unverified(self) -> list[UserKey]:
        """Remove and return the users whose state is due to be read, if they are still connected."""
        now = trio.current_time()
        due = [user for user, at in self.unverified.items() if at <= now]
        for user in due:
            del self.unverified[user]
        return [user for user in due if self._hub.connections.count(*user)]

    async def store_deliveries(self) -> None:
        """Store, until cancelled, which users were sent a match and have stayed connected since."""
        while True:
            await trio.sleep(STORE_S)
            until = trio.current_time() - CONFIRMED_AFTER_S
            due = [key for key, at in islice(self._deliveries.items(), MAX_ROWS) if at <= until]
            connected = [key for key in due if self._hub.connections.count(key[0], key[2])]
            with suppress(Refused):
                if connected:
                    await self._db.run(SQL.mark_announced, *to_unnest_arrays(connected, 3))
                for key in due:
                    if self._deliveries[key] <= until:
                        del self._deliveries[key]


def announcement(
    tenant: str,
    user: str,
    match: str,
    event: Event,
    *,
    began: bool = False,
    exclude_session: str | None = None,
) -> MatchAnnounced:
    """The announcement of an event: that a match `began`, or that it has ended."""
    return MatchAnnounced(tenant, user, match, began, exclude_session, Raw(ENCODE(event)))
