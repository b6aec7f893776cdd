"""Announces changed profiles to the members of the user's conversations who are connected, on all nodes.

The node that changes a profile queues it (`Announcements`). Changes of one user in quick succession are announced once,
as they are then: at most once in `interval_s`. Each node sends the event to its own sessions (`Deliveries`), at a
bounded rate: a user may share conversations with thousands. The event is small, and the same for all; clients query the
rest of the profile when they show it. What is lost is found by `user.query`, see docs/people.md.
"""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

import trio
from msgspec import Raw, Struct, msgpack

from chatd.accounts.signals import ProfileChanged
from chatd.cluster.cluster import Cluster
from chatd.cluster.control_messages import ControlMessage, Receiver
from chatd.core.errors import Refused
from chatd.core.identity import UserKey
from chatd.core.ids import text_of
from chatd.core.turns import each_in_turns
from chatd.db import queries
from chatd.db.batches import slices, to_unnest_arrays
from chatd.db.postgres import Postgres, Row
from chatd.people.entities import card_of, own_user_of
from chatd.people.events import UserUpdated
from chatd.realtime.hub import Hub
from chatd.realtime.sessions import Delivery, EncodedEvent, ForwardedEvent, Session
from chatd.wire.connection_events import SessionBehind

SQL = queries.load("people/announcements")
ENCODE = msgpack.Encoder().encode
MAX_WAITING = 10_000
# Profiles that one statement reads.
BATCH_SIZE = 20
RETRY_S = 1.0
# Conversations in one control message: 16 bytes each.
CONVERSATIONS_PER_MESSAGE = 1000
ID_BYTES = 16
SESSIONS_PER_SEND = 100
# Announcements that wait to be sent on this node.
MAX_DELIVERIES = 1000
# Changed profiles that a resync announces; if there are more, clients query them.
MAX_MISSED = 500


class AnnouncementTunables(Struct, frozen=True, kw_only=True):
    """Times of announcements. `interval_s`: between two of one user. `poll_s`: how often users who wait for that are
    looked at. `sends_per_turn`: events that are sent before a pause of `pause_s`.
    """

    interval_s: float = 5.0
    poll_s: float = 0.1
    sends_per_turn: int = 500
    pause_s: float = 0.1


TUNABLES = AnnouncementTunables()


class ProfileAnnounced(ControlMessage, array_like=True, tag="profile"):
    """The profile of a user has changed. `event` is its body in msgpack; `conversations`: their ids, in 16 bytes each,
    whose other members get it.
    """

    tenant: str
    user: str
    event: Raw
    conversations: bytes

    async def apply(self, receiver: Receiver) -> None:
        receiver.services.get(Deliveries).add(self)


class Waiting(Struct):
    """What is to be sent on this node. `only`: users who get it; None for all."""

    message: ProfileAnnounced
    only: Collection[str] | None


class Deliveries:
    """Sends announcements to the sessions of this node. `sent`: events; `dropped`: announcements that did not fit."""

    def __init__(self, hub: Hub, tunables: AnnouncementTunables = TUNABLES) -> None:
        self._hub = hub
        self._tunables = tunables
        self._waiting: deque[Waiting] = deque()
        self._work = trio.Event()
        self._sent_in_turn = 0
        self.sent = self.dropped = 0

    def add(self, message: ProfileAnnounced, only: Collection[str] | None = None) -> None:
        if len(self._waiting) >= MAX_DELIVERIES:
            self.dropped += 1
            return
        self._waiting.append(Waiting(message, only))
        self._work.set()

    async def run(self) -> None:
        """Run forever."""
        while True:
            await self._work.wait()
            while self._waiting:
                await self._send(self._waiting.popleft())
            self._work = trio.Event()

    async def _send(self, waiting: Waiting) -> None:
        delivery = Delivery(ForwardedEvent(waiting.message.event))
        sessions = await self._recipients(waiting)
        for part in slices(sessions, SESSIONS_PER_SEND):
            self.sent += await self._hub.broadcaster.send(part, delivery)
            self._sent_in_turn += len(part)
            if self._sent_in_turn >= self._tunables.sends_per_turn:
                self._sent_in_turn = 0
                await trio.sleep(self._tunables.pause_s)

    async def _recipients(self, waiting: Waiting) -> list[Session]:
        """The sessions of the other members, each once."""
        message, found = waiting.message, dict[Session, None]()
        ids = range(0, len(message.conversations), ID_BYTES)
        async for at in each_in_turns(ids):
            name = text_of(message.conversations[at : at + ID_BYTES])
            feed = self._hub.subscriptions.feed(message.tenant, name)
            if feed is None:
                continue
            for session in feed.sessions:
                if not feed.is_leaving(session.user) and (waiting.only is None or session.user in waiting.only):
                    found[session] = None
        own = self._hub.connections.of_user(message.tenant, message.user)
        return [session for session in found if session not in own]

    def __len__(self) -> int:
        return len(self._waiting)


class Announcements:
    """The changes to announce. `dropped`: those that did not fit."""

    def __init__(
        self,
        db: Postgres,
        cluster: Cluster,
        deliveries: Deliveries,
        up_to: int,
        tunables: AnnouncementTunables = TUNABLES,
    ) -> None:
        self._db = db
        self._cluster = cluster
        self._deliveries = deliveries
        self._up_to = up_to
        self._tunables = tunables
        # Users whose profile has changed, and whether their own devices have to get the change too.
        self._waiting: dict[UserKey, bool] = {}
        # When each user was last announced, in that order.
        self._announced: dict[UserKey, float] = {}
        self._work = trio.Event()
        self.announced = self.dropped = 0

    def add(self, signal: ProfileChanged) -> None:
        """Queue a change."""
        user = (signal.tenant, signal.user)
        if len(self._waiting) >= MAX_WAITING and user not in self._waiting:
            self.dropped += 1
            return
        self._waiting[user] = self._waiting.get(user, False) or not signal.by_user
        self._work.set()

    async def run(self) -> None:
        """Run forever."""
        while True:
            await self._work.wait()
            due = self._take_due()
            if due:
                await self._announce(due)
            elif self._waiting:
                await trio.sleep(self._tunables.poll_s)
            else:
                self._work = trio.Event()

    def _take_due(self) -> dict[UserKey, bool]:
        """Remove and return users who were not announced lately."""
        now = trio.current_time()
        while self._announced and now - next(iter(self._announced.values())) >= self._tunables.interval_s:
            del self._announced[next(iter(self._announced))]
        room = min(BATCH_SIZE, MAX_WAITING - len(self._announced))
        due = list(islice((user for user in self._waiting if user not in self._announced), room))
        self._announced.update(dict.fromkeys(due, now))
        return {user: self._waiting.pop(user) for user in due}

    async def _announce(self, due: dict[UserKey, bool]) -> None:
        try:
            rows = await self._profiles(list(due))
        except Refused:
            for user, own in due.items():
                self._announced.pop(user, None)
                self._waiting[user] = self._waiting.get(user, False) or own
            await trio.sleep(RETRY_S)
            return
        async for row in each_in_turns(rows):
            self.announced += 1
            if due[row["tenant"], row["id"]]:
                await self._cluster.deliver_to_user(row["tenant"], row["id"], UserUpdated(user=own_user_of(row)))
            for message in announcements_of(row):
                await self._cluster.broadcast(message)

    async def _profiles(self, users: Sequence[UserKey]) -> list[Row]:
        return await self._db.all(SQL.profiles, *to_unnest_arrays(users, 2), self._up_to)

    async def check(self, users: Sequence[UserKey], horizon: str) -> None:
        """Send these users of this node what they may have missed since a horizon. Raises Refused.

        After many changes they get `session.behind` instead.
        """
        changed = [(row["tenant"], row["user"]) for row in await self._db.all(SQL.changed, horizon, MAX_MISSED + 1)]
        if len(changed) > MAX_MISSED:
            async for tenant, user in each_in_turns(users):
                await self._cluster.hub.deliver_to_user(tenant, user, Delivery(EncodedEvent(SessionBehind())))
            return
        for part in slices(changed, BATCH_SIZE):
            async for row in each_in_turns(await self._profiles(part)):
                only = {user for tenant, user in users if tenant == row["tenant"]}
                for message in announcements_of(row):
                    self._deliveries.add(message, only)

    def __len__(self) -> int:
        return len(self._waiting)


def announcements_of(row: Row) -> Iterator[ProfileAnnounced]:
    """The messages about one profile."""
    event = Raw(ENCODE(UserUpdated(user=card_of(row))))
    for part in slices(row["conversations"], CONVERSATIONS_PER_MESSAGE):
        ids = bytes.fromhex("".join(part).replace("-", ""))
        yield ProfileAnnounced(row["tenant"], row["id"], event, ids)
