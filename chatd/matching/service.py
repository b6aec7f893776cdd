"""The matching service of a node: the tickets of its users, and which of them are in a match.

Calls go down: the service calls the pool owner, which calls the pairing, which calls the matches. Notices go up in one
stream, which the service reads.

A ticket belongs to the user, not to a connection: a user who disconnects leaves the pool at once, and returns with the
old waiting time when they reconnect within the grace period. Each node keeps the tickets of its own users and submits
them to the owner of the pool; when the owner changes, or control messages may have been lost, it submits them again. So
no ticket is lost when the owner dies. A node that stops transfers the tickets that it keeps for disconnected users.
"""

from collections.abc import Callable

import trio
from msgspec.structs import replace

from chatd.app.maintenance import MaintenanceSwitched
from chatd.cluster.cluster import Cluster
from chatd.cluster.lease import Lease
from chatd.cluster.signals import Resync, UserBanned
from chatd.conversations.signals import UserBlocked
from chatd.core.clock import steady
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.health import Health
from chatd.core.identity import UserKey
from chatd.db.postgres import Postgres
from chatd.db.redis import Redis
from chatd.matching.announcements import Announcements
from chatd.matching.control_messages import (
    AvoidUser,
    DropTicket,
    ForgetUser,
    Matching,
    TicketParked,
    TicketsClosed,
    TicketTransferred,
    UserArrived,
)
from chatd.matching.criteria import Ticket
from chatd.matching.disconnects import DisconnectReaper
from chatd.matching.event_log import PoolEventLog
from chatd.matching.local_tickets import LocalTickets
from chatd.matching.matches import Matches
from chatd.matching.owned_pool import OwnedPool
from chatd.matching.pairing import Notice, OwnerChanged, queue_rules
from chatd.matching.pool_owner import PoolOwner
from chatd.matching.settings import MatchSettings, PoolLogSettings
from chatd.matching.tunables import TUNABLES, MatchTunables
from chatd.realtime.drain import NodeLeaving
from chatd.realtime.hub import Hub
from chatd.realtime.signals import SessionOpened, UserConnected, UserDisconnected

POLL_S = 0.25
# Heartbeats after which users here are looked up for announcements that they missed: regularly, and once more after a
# loss.
LOOK_UP_BEATS, SECOND_LOOK_UP_BEATS = 10, 2
# Pause after an error.
RETRY_S = 1.0


class MatchingService:
    """The matching service. `run` it in the background; the other methods may be called at any time.

    `clock` is the clock of tickets, which does not jump.
    """

    def __init__(
        self,
        config: Config,
        db: Postgres,
        redis: Redis,
        hub: Hub,
        cluster: Cluster,
        clock: Callable[[], int],
        tunables: MatchTunables = TUNABLES,
    ) -> None:
        self.clock = steady(clock)
        self.tickets = LocalTickets()
        self.announcements = Announcements(db, hub, cluster)
        owned = OwnedPool(queue_rules(config), Lease(redis, "match", cluster.name, cluster.times.lease_s), self.clock)
        log = PoolEventLog(redis, config.get(PoolLogSettings).stream_key, owned, self.clock)
        self.matches = Matches(db, cluster, self.announcements, log, clock)
        self.pool = PoolOwner(config, db, cluster, owned, log, self.matches, self.clock, tunables)
        self._grace_ms = round(config.get(MatchSettings).grace * 1000)
        self._disconnects = DisconnectReaper(self.matches, owned, cluster, self.clock, self._grace_ms, tunables)
        self._hub = hub
        self._cluster = cluster
        self._is_stopping = False
        self._look_ups = [trio.current_time() + LOOK_UP_BEATS * cluster.times.heartbeat]
        self._subscribe()

    def _subscribe(self) -> None:
        signals = self._hub.signals
        signals.on_sync(UserConnected, self._on_connect)
        signals.on_sync(UserDisconnected, self._on_disconnect)
        signals.on(Resync, self._on_resync)
        signals.on_sync(UserBanned, self._on_ban)
        signals.on_sync(SessionOpened, self._on_session_opened)
        signals.on(MaintenanceSwitched, self._on_maintenance)
        signals.on(NodeLeaving, self._on_stop)
        signals.on(UserBlocked, self._on_block)
        self._cluster.services.add(self, Matching)
        self._cluster.services.add(self.announcements)

    # --- requests of users ----------------------------------------------------------------------------------------

    def find(self, ticket: Ticket) -> None:
        """Submit a ticket. The ticket of a user who is not connected is parked for the grace period."""
        if self._hub.connections.count(*ticket.user_key):
            self.tickets.activate(ticket)
            self.pool.submit(ticket)
        else:
            self.park(ticket)
            self.send_parked(ticket)

    def cancel(self, user: UserKey, reason: str = "cancelled") -> bool:
        """Remove the ticket of a user on all nodes. Returns False if there certainly was none."""
        self._cluster.publish(DropTicket(*user, reason))
        return self.drop(user, reason) or not self._cluster.is_single_node

    def confirm(self, user: UserKey, match: str) -> bool:
        """Confirm a pair. Returns False if the user certainly is not in it."""
        known = self.pool.confirm(user, match)
        return user in self.tickets.active if known is None else known

    def ticket_of(self, user: UserKey) -> Ticket | None:
        """The ticket of a user, as far as this node knows it: always, if the user is connected here."""
        return self.tickets.get(user) or self.pool.ticket_of(user)

    async def check_connected(self, user: UserKey) -> None:
        """A user without a connection cannot be notified of a match. Raises Refused: `conflict`, `unavailable`."""
        if await self._cluster.lookup.disconnected([user]):
            raise Refused("conflict", "connect first: matches are announced to your sessions")

    async def forget(self, user: UserKey) -> None:
        """Remove the data of an erased user. May be called again."""
        await self._cluster.broadcast(ForgetUser(*user))

    # --- tickets --------------------------------------------------------------------------------------------------

    def park(self, ticket: Ticket) -> None:
        """Keep the ticket of a user who is not connected here for the grace period."""
        self.tickets.park(ticket, self.clock() + self._grace_ms)

    def send_parked(self, ticket: Ticket) -> None:
        """Offer the ticket of a user who is not connected here to the other nodes."""
        self._cluster.publish(TicketParked(ticket, self.clock()))

    def adopt(self, ticket: Ticket) -> bool:
        """Submit the ticket of a user who is connected here, unless they have a later one. Returns whether they are."""
        is_here = self._hub.connections.count(*ticket.user_key) > 0
        if is_here and not self.tickets.is_outdated(ticket):
            self.find(ticket)
        return is_here

    def drop(self, user: UserKey, reason: str) -> bool:
        """Remove the ticket of a user here, and from the pool if this node owns it.

        Returns whether there was one here.
        """
        found = self.tickets.remove(user)
        self.pool.remove(user, reason)
        return found

    def add_to_avoid(self, user: UserKey, other: str) -> None:
        """Exclude a partner from the ticket of a user, which keeps its id and waiting time."""
        ticket = self.tickets.get(user)
        if ticket is None or other in ticket.avoid:
            return
        ticket = replace(ticket, avoid=ticket.avoid | {other})
        if user in self.tickets.active:
            self.pool.withdraw(user, "held")
            self.find(ticket)
        else:
            self.tickets.replace_parked(ticket)

    def close_tickets(self, closed: TicketsClosed) -> None:
        """Remove closed tickets. Users with a match expect its announcement, or are in it without a connection."""
        for name, ticket in zip(closed.users, closed.tickets, strict=True):
            user = (closed.tenant, name)
            parked_until = self.tickets.close(user, ticket)
            if closed.match and self._hub.connections.count(*user):
                self.announcements.expect(user, closed.match)
            elif closed.match and parked_until is not None:
                # The user has just disconnected; the grace period continues for the match.
                self._disconnects.on_disconnect(user, parked_until)

    def resubmit_all(self) -> None:
        """Submit all tickets again: the owner is new, or control messages may have been lost."""
        self._schedule_look_ups()
        for ticket in self.tickets.active.values():
            self.pool.submit(ticket)
        for ticket in filter(None, map(self._ticket_without_node, self._hub.connections.users())):
            self.find(ticket)

    def _ticket_without_node(self, user: UserKey) -> Ticket | None:
        """The ticket of a user in the pool of this node that no node keeps: the node that kept it is dead."""
        return None if user in self.tickets.active else self.pool.ticket_of(user)

    # --- signals --------------------------------------------------------------------------------------------------

    def _on_connect(self, signal: UserConnected) -> None:
        user = (signal.tenant, signal.user)
        self._disconnects.on_reconnect(user)
        ticket = self.tickets.on_connect(user) or self._ticket_without_node(user)
        if ticket is not None:
            self.find(ticket)
        if ticket is not None or user not in self.tickets.active:
            # Another node may keep a later ticket.
            self._cluster.publish(UserArrived(*user))

    def _on_session_opened(self, signal: SessionOpened) -> None:
        pending = signal.pending
        self.announcements.on_session_opened(pending.key, pending.match, pending.match_delivered)

    def _on_disconnect(self, signal: UserDisconnected) -> None:
        """Take the ticket out of the pool. In a match, the grace period begins."""
        user = (signal.tenant, signal.user)
        until = self.clock() + self._grace_ms
        ticket = self.tickets.on_disconnect(user, until)
        if ticket is not None:
            self.pool.withdraw(user, "held")
            # The user may be connected to another node, or will be when this one has stopped.
            kind = TicketTransferred if self._is_stopping else TicketParked
            self._cluster.publish(kind(ticket, self.clock()))
        if self.announcements.on_disconnect(user):
            self._disconnects.on_disconnect(user, until)

    async def _on_resync(self, _: Resync) -> None:
        self.resubmit_all()

    def _on_ban(self, signal: UserBanned) -> None:
        """End the search and the match of a banned user. The signal is sent on every node that learns of the ban.

        The node of the user passes it on to the owner of the pool.
        """
        user = (signal.tenant, signal.user)
        is_here = self.drop(user, "banned") or self._hub.connections.count(*user) > 0
        if is_here:
            self._cluster.publish(DropTicket(*user, "banned"))
        if is_here or self.pool.held:
            self._disconnects.on_ban(user)

    async def _on_maintenance(self, signal: MaintenanceSwitched) -> None:
        self.pool.pause(signal.enabled)

    async def _on_block(self, signal: UserBlocked) -> None:
        """Never match the two users again, and end the match in which the blocked one is known by this alias."""
        await self._cluster.broadcast(AvoidUser(signal.tenant, signal.user, signal.blocked))
        row = await self.matches.active(signal.tenant, signal.user)
        if row is not None and signal.shown_as in row["aliases"].values():
            await self.matches.end(signal.tenant, row["match"], "left")

    async def _on_stop(self, _: NodeLeaving) -> None:
        """Transfer parked tickets, and let another node own the pool at once."""
        self._is_stopping = True
        for ticket in self.tickets.parked():
            self._cluster.publish(TicketTransferred(ticket, self.clock()))
        await self.pool.release()

    # --- background tasks -----------------------------------------------------------------------------------------

    async def run(self, health: Health | None = None) -> None:
        health = health or Health()
        async with trio.open_nursery() as nursery:
            health.start(nursery, "match pool", self.pool.run, health)
            health.start(nursery, "match notices", self._read_notices)
            health.start(nursery, "match disconnects", self._disconnects.run, health)
            health.start(nursery, "match announcements", self.announcements.store_deliveries)
            health.start(nursery, "missed match announcements", self._announce_missed)
            while True:
                await trio.sleep(POLL_S)
                self.tickets.expire(self.clock())

    async def _read_notices(self) -> None:
        """Read the stream of notices of the pool until cancelled."""
        while True:
            await self._on_notice(await self.pool.notices.get())

    async def _on_notice(self, notice: Notice) -> None:
        if isinstance(notice, OwnerChanged):
            self.resubmit_all()
        else:
            await self._cluster.broadcast(notice)

    def _schedule_look_ups(self) -> None:
        """Announcements of matches may have been lost: look up the users of this node now and once more."""
        now, beat_s = trio.current_time(), self._cluster.times.heartbeat
        self._look_ups = [now, now + SECOND_LOOK_UP_BEATS * beat_s, now + LOOK_UP_BEATS * beat_s]

    async def _announce_missed(self) -> None:
        """Send users here the announcements that they may have missed, above all after a node has died. Runs until
        cancelled.
        """
        nodes: set[str] = set()
        while True:
            await trio.sleep(POLL_S)
            now_there = set(self._cluster.peers(self._cluster.times.silence_s))
            if nodes - now_there:
                self._schedule_look_ups()
            nodes = now_there
            try:
                await self.matches.announce_missed(self._users_to_look_up())
            except Refused:
                self._schedule_look_ups()
                await trio.sleep(RETRY_S)

    def _users_to_look_up(self) -> list[UserKey]:
        users = self.announcements.take_unverified()
        now = trio.current_time()
        if self._look_ups[0] > now:
            return users
        regular = now + LOOK_UP_BEATS * self._cluster.times.heartbeat
        self._look_ups = self._look_ups[1:] or [regular]
        return list({*users, *self.announcements.announced, *self.tickets.active})
