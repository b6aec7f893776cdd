"""The tickets of this node's users, and who of them is in a match.

A ticket belongs to the user, not to a connection: whoever loses the connection is out of the pool at once, and back with the old
waiting time when they return within the grace. Each node keeps the tickets of its own users and gives them to whoever owns the
pool; when the owner changes, or orders may have been lost, it gives them again. So an owner that dies takes nobody with it.
A node that leaves hands over the tickets of those it still keeps.
"""

from collections.abc import Callable

import trio
from msgspec.structs import replace

from chatd.app.maintenance import MaintenanceSwitched
from chatd.cluster.bus import SILENCE
from chatd.cluster.cluster import Cluster
from chatd.cluster.liveness import RollCall
from chatd.cluster.signals import Resync, UserBanned
from chatd.conversations.signals import UserBlocked
from chatd.core.clock import steady
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.health import Health
from chatd.db.postgres import Postgres
from chatd.db.redis import Redis
from chatd.matching import match_messages
from chatd.matching.announcements import Announcements, User
from chatd.matching.criteria import Ticket, by_our_clock
from chatd.matching.disconnects import Absences
from chatd.matching.local_tickets import Tickets, user_of
from chatd.matching.matches import Meetings
from chatd.matching.pool_owner import Ownership
from chatd.realtime.drain import NodeLeaving
from chatd.realtime.hub import Hub
from chatd.realtime.signals import SessionOpened, UserConnected, UserDisconnected

# Seconds between two looks at tickets that were held for too long.
TICK = 0.25
# Seconds between two looks at what users here may have missed of their matches, from a doubt to the second one, after an error.
LOOK_EVERY, SETTLED, RETRY_S = 10.0, 2.0, 1.0


class Matcher:
    """`run` it; `find` and its like may be called at any time. `clock` is that of tickets, which does not jump."""

    def __init__(self, config: Config, db: Postgres, redis: Redis, hub: Hub, cluster: Cluster, clock: Callable[[], int]) -> None:
        self.clock = steady(clock)
        self.announcements = Announcements(db, hub, cluster)
        self.meetings = Meetings(db, cluster, self.announcements, clock, lambda match, reason: self.pool.close(match, reason))
        self.pool = Ownership(config, db, redis, cluster, self.meetings, self.clock, self._announce_over, self._give_again)
        self._grace = round(config.match.grace * 1000)
        self._roll = roll = RollCall(hub, cluster)
        self._absences = Absences(self.meetings, cluster, roll, self.clock, self._grace, lambda: self.pool.held)
        self._tickets = Tickets()
        self._hub = hub
        self._cluster = cluster
        self._leaving = False
        self._looks = [trio.current_time() + LOOK_EVERY]
        signals = hub.signals
        signals.on_sync(UserConnected, self._connect)
        signals.on_sync(UserDisconnected, self._disconnect)
        signals.on(Resync, self._resync)
        signals.on_sync(UserBanned, self._ban)
        signals.on_sync(SessionOpened, self._open)
        signals.on(MaintenanceSwitched, self._pause)
        signals.on(NodeLeaving, self._leave)
        signals.on(UserBlocked, self._block)
        cluster.on(match_messages.MatchFind, self._obey_find)
        cluster.on(match_messages.MatchHere, self._obey_here)
        cluster.on(match_messages.MatchHeld, self._obey_held)
        cluster.on(match_messages.MatchHandOver, self._obey_hand_over)
        cluster.on(match_messages.MatchDrop, self._obey_drop)
        cluster.on(match_messages.MatchForget, self._obey_forget)
        cluster.on(match_messages.MatchAvoid, self._obey_avoid)
        cluster.on(match_messages.MatchOver, self._obey_over)

    # --- what users ask -------------------------------------------------------------------------------------------------

    def find(self, ticket: Ticket) -> None:
        """Somebody wants to meet somebody. Whoever is not connected waits outside, as long as the grace."""
        if self._hub.sessions_of(*user_of(ticket)):
            self._tickets.keep(ticket)
            self.pool.give(ticket)
        else:
            self._tickets.hold(ticket, self.clock() + self._grace)
            self._cluster.publish(match_messages.MatchHeld(ticket, self.clock()))

    def cancel(self, tenant: str, user: str, reason: str = "cancelled") -> bool:
        """Whether there may have been a ticket: another node may have it, which drops it then."""
        self._cluster.publish(match_messages.MatchDrop(tenant, user, reason))
        return self._drop(tenant, user, reason) or not self._cluster.alone

    def avoid(self, tenant: str, user: str, other: str) -> None:
        """Somebody who may be waiting, here or elsewhere, wants to meet this one no more."""
        self._cluster.publish(match_messages.MatchAvoid(tenant, user, other))
        self._avoid(tenant, user, other)

    def _avoid(self, tenant: str, user: str, other: str) -> None:
        """The ticket stays the same one, with the old waiting time."""
        ticket = self._tickets.of((tenant, user))
        if ticket is None or other in ticket.avoid:
            return
        ticket = replace(ticket, avoid=ticket.avoid | {other})
        if (tenant, user) in self._tickets.mine:
            self.pool.take_back(tenant, user, "held")
            self.find(ticket)
        else:
            self._tickets.change_held(ticket)

    def _drop(self, tenant: str, user: str, reason: str) -> bool:
        """Forget the ticket, and give it up where the pool is ours; whether there was one here."""
        found = self._tickets.forget((tenant, user))
        self.pool.leave(tenant, user, reason)
        return found

    def confirm(self, tenant: str, user: str, match: str) -> bool:
        """Whether there may be such a pair for this user to confirm."""
        known = self.pool.confirm(tenant, user, match)
        return (tenant, user) in self._tickets.mine if known is None else known

    def ticket_of(self, tenant: str, user: str) -> Ticket | None:
        """The ticket of somebody who waits, as far as this node knows: it does for whoever is connected here."""
        return self._tickets.of((tenant, user)) or self.pool.ticket_of((tenant, user))

    def line(self, tenant: str, queue: str, *, new: bool = False) -> tuple[int, int | None]:
        """How many wait, and the estimate in milliseconds. `new`: for one who has just come."""
        return self.pool.line(tenant, queue, new=new)

    async def check_connected(self, tenant: str, user: str) -> None:
        """Who waits is told by a socket, and a ticket does not outlive it. Raises Refused: `conflict`, `unavailable`."""
        if await self._roll.missing([(tenant, user)]):
            raise Refused("conflict", "connect a socket first: by it you are told when somebody is found")

    # --- tickets and their users ----------------------------------------------------------------------------------------

    def _connect(self, signal: UserConnected) -> None:
        key = (signal.tenant, signal.user)
        self._absences.came(key)
        ticket = self._tickets.claim(key) or self._unkept(key)
        if ticket is not None:
            self.find(ticket)
        if ticket is not None or key not in self._tickets.mine:
            # Another node may have a later one.
            self._cluster.publish(match_messages.MatchHere(*key))

    def _open(self, signal: SessionOpened) -> None:
        arrival = signal.arrival
        self.announcements.came(arrival.key, arrival.match, arrival.heard)

    def _unkept(self, user: User) -> Ticket | None:
        """A ticket in the pool of ours that this node does not keep yet: its user was connected to a node that is no more."""
        return None if user in self._tickets.mine else self.pool.ticket_of(user)

    def _disconnect(self, signal: UserDisconnected) -> None:
        """Out of the pool, as long as the user is away; in a match there is as much time to come back."""
        tenant, user = signal.tenant, signal.user
        until = self.clock() + self._grace
        ticket = self._tickets.lose((tenant, user), until)
        if ticket is not None:
            self.pool.take_back(tenant, user, "held")
            # They may be connected to another node as well; or will be, and this one is not there any more.
            kind = match_messages.MatchHandOver if self._leaving else match_messages.MatchHeld
            self._cluster.publish(kind(ticket, self.clock()))
        if self.announcements.went((tenant, user)):
            self._absences.gone((tenant, user), until)

    async def _resync(self, _: Resync) -> None:
        self._give_again()

    def _doubt(self) -> None:
        """Announcements of matches may have been lost: all who may be in one here are looked up, at once and once more."""
        now = trio.current_time()
        self._looks = [now, now + SETTLED, now + LOOK_EVERY]

    def _give_again(self) -> None:
        """There is a new owner, or orders may have been lost."""
        self._doubt()
        for ticket in self._tickets.mine.values():
            self.pool.give(ticket)
        for ticket in filter(None, map(self._unkept, self._hub.users())):
            self.find(ticket)

    async def _obey_find(self, order: match_messages.MatchFind) -> None:
        """Ours, if the pool is; and an earlier ticket of the same user counts no more."""
        self._tickets.forget_older(order.ticket)
        if self.pool.held:
            self.pool.give(self._by_our_clock(order))

    async def _obey_here(self, order: match_messages.MatchHere) -> None:
        """Somebody has come to another node: what is kept of them here goes there."""
        user = (order.tenant, order.user)
        ticket = self._tickets.of(user) or self.pool.ticket_of(user)
        if ticket is not None:
            self._cluster.publish(match_messages.MatchHeld(ticket, self.clock()))

    async def _obey_held(self, order: match_messages.MatchHeld) -> None:
        """A ticket whose user is elsewhere: perhaps here."""
        self._adopt(self._by_our_clock(order))

    def _adopt(self, ticket: Ticket) -> bool:
        """Whether its user is here."""
        here = self._hub.sessions_of(*user_of(ticket)) > 0
        if here and not self._tickets.is_older(ticket):
            self.find(ticket)
        return here

    async def _obey_hand_over(self, order: match_messages.MatchHandOver) -> None:
        """A node leaves. Its users may come here, or have come already."""
        ticket = self._by_our_clock(order)
        if not self._adopt(ticket):
            self._tickets.hold(ticket, self.clock() + self._grace)

    def _by_our_clock(self, order: match_messages.MatchFind | match_messages.MatchHeld | match_messages.MatchHandOver) -> Ticket:
        return by_our_clock(order.ticket, order.now, self.clock())

    async def _obey_drop(self, order: match_messages.MatchDrop) -> None:
        self._drop(order.tenant, order.user, order.reason)

    async def forget(self, tenant: str, user: str) -> None:
        """Somebody is erased. May be called again."""
        await self._cluster.order(match_messages.MatchForget(tenant, user))

    async def _obey_forget(self, order: match_messages.MatchForget) -> None:
        self._drop(order.tenant, order.user, "cancelled")
        self.pool.forget([(order.tenant, order.user)])

    async def _obey_avoid(self, order: match_messages.MatchAvoid) -> None:
        self._avoid(order.tenant, order.user, order.other)

    def _ban(self, signal: UserBanned) -> None:
        """On every node that hears of it. The order may have reached this one only, so the owner is told by whoever has them."""
        tenant, user = signal.tenant, signal.user
        here = self._drop(tenant, user, "banned") or self._hub.sessions_of(tenant, user) > 0
        if here:
            self._cluster.publish(match_messages.MatchDrop(tenant, user, "banned"))
        if here or self.pool.held:
            self._absences.ban((tenant, user))

    # --- tickets that are used up ---------------------------------------------------------------------------------------

    async def _obey_over(self, order: match_messages.MatchOver) -> None:
        self._forget(order.tenant, order.users, order.met)

    def _announce_over(self, tenant: str, users: list[str], met: bool) -> None:
        self._cluster.publish(match_messages.MatchOver(tenant, users, met))
        self._forget(tenant, users, met)

    def _forget(self, tenant: str, users: list[str], met: bool) -> None:
        for user in users:
            until = self._tickets.end_of_wait((tenant, user))
            if met and self._hub.sessions_of(tenant, user):
                self.announcements.expect((tenant, user))
            elif met and until is not None:
                # They had just lost the connection: the grace goes on, for the match now.
                self._absences.gone((tenant, user), until)

    # --- its life -------------------------------------------------------------------------------------------------------

    async def _pause(self, signal: MaintenanceSwitched) -> None:
        """Nobody is paired during maintenance; tickets are kept."""
        self.pool.pause(signal.enabled)

    async def _block(self, signal: UserBlocked) -> None:
        """Never match the two again, and end the match in which the blocked user is known by this alias."""
        self.avoid(signal.tenant, signal.user, signal.blocked)
        row = await self.meetings.active(signal.tenant, signal.user)
        if row is not None and signal.shown_as in row["aliases"].values():
            await self.meetings.end(signal.tenant, row["match"], "left")

    async def _leave(self, _: NodeLeaving) -> None:
        """This node stops: another one may own the pool at once, and whoever comes to another one keeps their place."""
        self._leaving = True
        for ticket in self._tickets.all_held():
            self._cluster.publish(match_messages.MatchHandOver(ticket, self.clock()))
        await self.pool.release()

    async def run(self, health: Health | None = None) -> None:
        health = health or Health()
        async with trio.open_nursery() as nursery:
            health.start(nursery, "match pool", self.pool.run, health)
            health.start(nursery, "match absences", self._absences.run, health)
            health.start(nursery, "match announcements", self.announcements.mark)
            health.start(nursery, "match look-out", self._look_out)
            while True:
                await trio.sleep(TICK)
                self._tickets.expire(self.clock())

    async def _look_out(self) -> None:
        """For ever: tell users here of matches whose announcement they may have missed, above all when a node has died."""
        nodes: set[str] = set()
        while True:
            await trio.sleep(TICK)
            now_there = set(self._cluster.peers(SILENCE))
            if nodes - now_there:
                self._doubt()
            nodes = now_there
            try:
                await self.meetings.tell_what_is_true(self._to_be_looked_up())
            except Refused:
                self._doubt()
                await trio.sleep(RETRY_S)

    def _to_be_looked_up(self) -> list[User]:
        users = self.announcements.take_unsure()
        now = trio.current_time()
        if self._looks[0] > now:
            return users
        self._looks = self._looks[1:] if len(self._looks) > 1 else [now + LOOK_EVERY]
        return list({*users, *self.announcements.known, *self._tickets.mine})
