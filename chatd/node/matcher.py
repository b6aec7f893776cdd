"""The tickets of this node's users, and the way to the node that owns the match pool.

A ticket belongs to the user, not to a connection: whoever loses the connection is out of the pool at once, and back with the old
waiting time when they return within the grace. Each node keeps the tickets of its own users and gives them to whoever owns the
pool; when the owner changes, or orders may have been lost, it gives them again. So an owner that dies takes nobody with it.
"""

from collections import OrderedDict
from collections.abc import Callable

import trio

from chatd.config import Config
from chatd.domain.criteria import Ticket
from chatd.domain.match_steps import Ended, Step
from chatd.errors import Refused
from chatd.node import orders
from chatd.node.cluster import Cluster
from chatd.node.hub import Hub
from chatd.node.lease import Lease
from chatd.node.meetings import Meetings, User
from chatd.node.pairing import Pairing
from chatd.store.mirror import Mirror
from chatd.store.postgres import Postgres
from chatd.store.redis import Redis

# Seconds between two words of the owner, and between two looks at who has been away for too long.
BEAT, TICK = 1.0, 0.25
MOST_REMEMBERED = 20_000


class Matcher:
    """`run` it; `find` and its like may be called at any time."""

    def __init__(self, config: Config, db: Postgres, redis: Redis, hub: Hub, cluster: Cluster, clock: Callable[[], int]) -> None:
        self.meetings = Meetings(db, cluster, clock, self._note_end)
        self.pairing = Pairing(config, self.meetings, cluster, clock, self._announce_over, self._mirror)
        self.lease = Lease(redis, "match", cluster.name)
        self.mirror = Mirror(redis, config.redis.stream_key, clock, self._snapshot)
        self._unclaimed: dict[User, float] = {}
        self._grace = config.match.grace * 1000
        self._hub = hub
        self._cluster = cluster
        self._clock = clock
        self._owner = (0, "")
        self._paused = self._leaving = False
        self._lines: dict[tuple[str, str], tuple[int, int | None]] = {}
        self._mine: dict[User, Ticket] = {}
        self._held: dict[User, tuple[float, Ticket]] = {}
        self._away: dict[User, float] = {}
        self._asked: OrderedDict[User, Ticket] = OrderedDict()
        hub.watch(self._watch)
        cluster.on_resync(self._resync)
        cluster.on(orders.MatchFind, self._obey_find)
        cluster.on(orders.MatchLeave, self._obey_leave)
        cluster.on(orders.MatchHere, self._obey_here)
        cluster.on(orders.MatchHeld, self._obey_held)
        cluster.on(orders.MatchDrop, self._obey_drop)
        cluster.on(orders.MatchConfirm, self._obey_confirm)
        cluster.on(orders.MatchOwner, self._obey_owner)
        cluster.on(orders.MatchOver, self._obey_over)

    # --- what users ask -------------------------------------------------------------------------------------------------

    def find(self, ticket: Ticket) -> None:
        """Somebody wants to meet somebody. Whoever is not connected waits outside, as long as the grace."""
        user = (ticket.tenant, ticket.user)
        self._held.pop(user, None)
        self._asked[user] = ticket
        self._asked.move_to_end(user)
        if len(self._asked) > MOST_REMEMBERED:
            self._asked.popitem(last=False)
        if self._hub.sessions_of(*user):
            self._mine[user] = ticket
            self._give(ticket)
        else:
            self._held[user] = (self._clock() + self._grace, ticket)
            self._cluster.publish(orders.MatchHeld(ticket))

    def _give(self, ticket: Ticket) -> None:
        """To the owner, wherever it is."""
        if self.lease.held:
            self._unclaimed.pop((ticket.tenant, ticket.user), None)
            self.pairing.find(ticket)
        else:
            self._cluster.publish(orders.MatchFind(ticket))

    def cancel(self, tenant: str, user: str, reason: str = "cancelled") -> bool:
        """Whether there may have been a ticket: another node may have it, which drops it then."""
        self._cluster.publish(orders.MatchDrop(tenant, user, reason))
        return self._drop(tenant, user, reason) or not self._cluster.alone

    def _drop(self, tenant: str, user: str, reason: str) -> bool:
        """Forget the ticket, and give it up where the pool is ours; whether there was one here."""
        held, mine = self._held.pop((tenant, user), None), self._mine.pop((tenant, user), None)
        if self.lease.held:
            self.pairing.leave(tenant, user, reason)
        return bool(held or mine)

    def confirm(self, tenant: str, user: str, match: str) -> bool:
        """Whether there may be such a pair for this user to confirm."""
        if self.lease.held:
            return self.pairing.confirm(tenant, user, match)
        self._cluster.publish(orders.MatchConfirm(tenant, user, match))
        return (tenant, user) in self._mine

    def ticket_of(self, tenant: str, user: str) -> str | None:
        """The id of the ticket of somebody who waits."""
        ticket = self._mine.get((tenant, user)) or self._held.get((tenant, user), (0, None))[1]
        return ticket.id if ticket else None

    def asked(self, tenant: str, user: str) -> Ticket | None:
        """What somebody looked for last."""
        return self._asked.get((tenant, user))

    def line(self, tenant: str, queue: str) -> tuple[int, int | None]:
        """How many wait, and the estimate in milliseconds."""
        if self.lease.held:
            pool = self.pairing.pool
            return pool.lines.length(tenant, queue), pool.estimate(tenant, queue)
        waiting, estimate = self._lines.get((tenant, queue), (0, None))
        return waiting + 1, estimate

    def _note_end(self, match: str, reason: str) -> None:
        self._mirror(Ended(match, reason))

    # --- the owner and the others ---------------------------------------------------------------------------------------

    def _mirror(self, step: Step) -> None:
        self.mirror.note(step, self.lease.fence)

    def _snapshot(self) -> tuple[int, list[Step]] | None:
        return (self.lease.fence, self.pairing.pool.snapshot()) if self.lease.held else None

    async def _owner_changed(self) -> None:
        """We are it, or are it no more: a pool that is not ours is nobody's."""
        self.pairing.pool = await self.pairing.replayed(self.mirror) if self.lease.held else self.pairing.new_pool()
        self._unclaimed = {user: self._clock() + self._grace for user in self.pairing.pool.by_user}
        self.pairing.pause(self._paused)
        self._tell_owner()
        if self.lease.held:
            self.mirror.stale = True
            self.pairing.resume()
        self._give_again()

    def _tell_owner(self) -> None:
        if self.lease.held and not self._cluster.alone:
            self._cluster.publish(orders.MatchOwner(self._cluster.name, self.lease.fence, self.pairing.lines()))

    async def _obey_owner(self, order: orders.MatchOwner) -> None:
        """Whoever is owner now gets the tickets of our users. Word of an earlier owner that comes late counts for nothing."""
        if order.fence >= self._owner[0]:
            is_new = (order.fence, order.node) != self._owner
            self._owner = (order.fence, order.node)
            self._lines = {(tenant, queue): (waiting, estimate) for tenant, queue, waiting, estimate in order.lines}
            if is_new:
                self._give_again()

    async def _resync(self) -> None:
        self._give_again()

    def _give_again(self) -> None:
        for ticket in self._mine.values():
            self._give(ticket)

    async def _obey_find(self, order: orders.MatchFind) -> None:
        if self.lease.held:
            self._give(order.ticket)

    async def _obey_here(self, order: orders.MatchHere) -> None:
        """Somebody has come to another node: what is kept of them here goes there."""
        user = (order.tenant, order.user)
        _, ticket = self._held.get(user, (0, None))
        if ticket is None and self.lease.held:
            ticket = self.pairing.pool.tickets.get(self.pairing.pool.by_user.get(user, ""))
        if ticket is not None and user not in self._mine:
            self._cluster.publish(orders.MatchHeld(ticket))

    async def _obey_held(self, order: orders.MatchHeld) -> None:
        """A ticket whose user is elsewhere: perhaps here."""
        user = (order.ticket.tenant, order.ticket.user)
        if self._hub.sessions_of(*user) and user not in self._mine:
            self.find(order.ticket)

    async def _obey_drop(self, order: orders.MatchDrop) -> None:
        self._drop(order.tenant, order.user, order.reason)

    async def _obey_leave(self, order: orders.MatchLeave) -> None:
        if self.lease.held:
            self.pairing.leave(order.tenant, order.user, order.reason)

    async def _obey_confirm(self, order: orders.MatchConfirm) -> None:
        if self.lease.held:
            self.pairing.confirm(order.tenant, order.user, order.match)

    async def _obey_over(self, order: orders.MatchOver) -> None:
        self._forget(order.tenant, order.users, order.met)

    def _announce_over(self, tenant: str, users: list[str], met: bool) -> None:
        self._cluster.publish(orders.MatchOver(tenant, users, met))
        self._forget(tenant, users, met)

    def _forget(self, tenant: str, users: list[str], met: bool) -> None:
        for user in users:
            key = (tenant, user)
            self._mine.pop(key, None)
            if met and self._hub.sessions_of(tenant, user):
                self.meetings.among.add(key)
            elif met and key in self._held:
                # They had just lost the connection: the grace goes on, for the match now.
                self._away[key] = self._held.pop(key)[0]
                self.meetings.among.add(key)

    def pause(self, paused: bool) -> None:
        """Nobody is paired while it is paused; tickets are kept."""
        self._paused = paused or self._leaving
        self.pairing.pause(self._paused)

    async def leave(self) -> None:
        """This node stops: nobody is paired here any more, and another one may own the pool at once."""
        self._leaving = True
        self.pause(True)
        await self.lease.release()

    # --- for ever -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.lease.run, self._owner_changed)
            nursery.start_soon(self.pairing.run)
            nursery.start_soon(self._load)
            nursery.start_soon(self.mirror.run)
            nursery.start_soon(self._beat)
            while True:
                await trio.sleep(TICK)
                self._time_passes(self._clock(), nursery)

    async def _beat(self) -> None:
        """For ever: say that the pool is ours, while it is."""
        while True:
            await trio.sleep(BEAT)
            self._tell_owner()

    async def _load(self) -> None:
        """After a restart: whoever does not come back within the grace leaves a partner, who has to be told."""
        await self.meetings.load()
        for user in self.meetings.among:
            if not self._hub.sessions_of(*user):
                self._away[user] = self._clock() + self._grace

    def _time_passes(self, now: int, nursery: trio.Nursery) -> None:
        for user in [user for user, (until, _) in self._held.items() if until <= now]:
            del self._held[user]
        for user in [user for user, until in self._away.items() if until <= now]:
            del self._away[user]
            nursery.start_soon(self._end_of, user)
        for user in [user for user, until in self._unclaimed.items() if until <= now]:
            del self._unclaimed[user]
            nursery.start_soon(self._let_go, user)

    async def _let_go(self, user: User) -> None:
        """Of an earlier owner's pool: whoever is connected to nobody."""
        if not await self._cluster.is_anywhere(*user) and self.lease.held:
            self.pairing.leave(*user, "disconnected")

    async def _end_of(self, user: User) -> None:
        """Somebody in a match has not come back."""
        try:
            row = None if await self._cluster.is_anywhere(*user) else await self.meetings.active(*user)
            if row is not None:
                await self.meetings.end(user[0], row["match"], "disconnected", but=user[1])
        except Refused:
            self._away[user] = self._clock() + 1000

    def _take_back(self, tenant: str, user: str) -> None:
        """Out of the pool, as long as the user is away."""
        if self.lease.held:
            self.pairing.leave(tenant, user, "held")
        else:
            self._cluster.publish(orders.MatchLeave(tenant, user, "held"))

    def _watch(self, tenant: str, user: str, here: bool) -> None:
        """Called by the hub when a user comes, and when the last session of one has gone."""
        key = (tenant, user)
        if here:
            self._away.pop(key, None)
            _, ticket = self._held.pop(key, (0, None))
            if ticket is not None:
                self.find(ticket)
            elif key not in self._mine:
                self._cluster.publish(orders.MatchHere(tenant, user))
            return
        until = self._clock() + self._grace
        ticket = self._mine.pop(key, None)
        if ticket is not None:
            self._held[key] = (until, ticket)
            self._take_back(tenant, user)
        if key in self.meetings.among:
            self._away[key] = until
