"""The match pool, wherever its owner is: here while the lease is ours, else over the bus.

Whoever becomes owner replays the journal of the one before. Tickets of that pool that no node gives again, because their users
are connected nowhere, are let go after the grace.
"""

from collections.abc import Callable, Collection
from sys import maxsize

import trio

from chatd.cluster.cluster import Cluster
from chatd.cluster.lease import Lease
from chatd.core.config import Config
from chatd.core.health import Health
from chatd.db.postgres import Postgres
from chatd.db.redis import Redis
from chatd.matching import match_messages
from chatd.matching.announcements import User
from chatd.matching.criteria import Ticket
from chatd.matching.event_log import Mirror
from chatd.matching.event_log_audit import MatchLog
from chatd.matching.matches import Meetings
from chatd.matching.pairing import Over, Pairing
from chatd.matching.pool_events import Step

# Seconds between two words of the owner, and between two looks at who has not been claimed.
BEAT, TICK = 1.0, 0.25
# Seconds that pairs which were made before we leave have to become matches.
LAST_STEPS = 2.0


class Ownership:
    """`run` it. `over` is called for tickets that are no more, `give_again` when an owner has come who may not know ours."""

    def __init__(
        self,
        config: Config,
        db: Postgres,
        redis: Redis,
        cluster: Cluster,
        meetings: Meetings,
        clock: Callable[[], int],
        over: Over,
        give_again: Callable[[], None],
    ) -> None:
        self.pairing = Pairing(config, meetings, cluster, clock, over, self.note)
        self.lease = Lease(redis, "match", cluster.name)
        self._mirror = Mirror(redis, config.redis.stream_key, clock, self._snapshot)
        self._log = MatchLog(db, self._mirror, clock, lambda: self.pairing.pool.pairs, self._write, self.forget)
        self._cluster = cluster
        self._clock = clock
        self._give_again = give_again
        self._grace = round(config.match.grace * 1000)
        self._owner = (0, "")
        self._paused = self._leaving = False
        self._lines: dict[tuple[str, str], tuple[int, int | None]] = {}
        self._unclaimed: dict[User, int] = {}
        cluster.on(match_messages.MatchLeave, self._obey_leave)
        cluster.on(match_messages.MatchConfirm, self._obey_confirm)
        cluster.on(match_messages.MatchOwner, self._obey_owner)
        cluster.on(match_messages.MatchClosed, self._obey_closed)

    @property
    def held(self) -> bool:
        """Whether the pool is ours."""
        return self.lease.held

    @property
    def is_stale(self) -> bool:
        """Whether the journal of the pool that is ours has lacked something for seconds."""
        return self.held and self._mirror.is_late

    def waiting(self, most: int) -> tuple[int, list[tuple[str, str, int]]]:
        """How many wait in the pool that is ours, and its longest lines: tenant, queue, how many."""
        pool = self.pairing.pool
        return len(pool.tickets), [(*key, count) for key, count in pool.lines.longest(most)]

    # --- what is asked of the pool --------------------------------------------------------------------------------------

    def give(self, ticket: Ticket) -> None:
        """To the owner, wherever it is."""
        if self.held:
            self._unclaimed.pop((ticket.tenant, ticket.user), None)
            self.pairing.find(ticket)
        else:
            self._cluster.publish(match_messages.MatchFind(ticket, self._clock()))

    def take_back(self, tenant: str, user: str, reason: str) -> None:
        """Out of the pool, wherever it is."""
        if self.held:
            self.pairing.leave(tenant, user, reason)
        else:
            self._cluster.publish(match_messages.MatchLeave(tenant, user, reason))

    def leave(self, tenant: str, user: str, reason: str) -> None:
        """Out of the pool, if it is ours."""
        if self.held:
            self.pairing.leave(tenant, user, reason)

    def confirm(self, tenant: str, user: str, match: str) -> bool | None:
        """Whether there is such a pair for this user to confirm; None when another node will know."""
        if self.held:
            return self.pairing.confirm(tenant, user, match)
        self._cluster.publish(match_messages.MatchConfirm(tenant, user, match))
        return None

    def ticket_of(self, user: User) -> Ticket | None:
        """The ticket of somebody who waits, if the pool is ours."""
        pool = self.pairing.pool
        return pool.tickets.get(pool.by_user.get(user, "")) if self.held else None

    def line(self, tenant: str, queue: str, *, new: bool) -> tuple[int, int | None]:
        """How many wait, and the estimate in milliseconds. `new`: one who has just come, whom the owner may not have counted."""
        if self.held:
            pool = self.pairing.pool
            return max(1, pool.lines.length(tenant, queue)), pool.estimate(tenant, queue)
        waiting, estimate = self._lines.get((tenant, queue), (0, None))
        return max(1, waiting + new), estimate

    # --- whose it is ----------------------------------------------------------------------------------------------------

    def note(self, step: Step) -> None:
        """Into the journal."""
        self._log.note(step)
        self._write(step)

    def _write(self, step: Step) -> None:
        self._mirror.note(step, self.lease.fence)

    def forget(self, users: Collection[User]) -> None:
        """These are erased: nothing that they said of themselves stays in the pool and the journal, if they are ours."""
        if self.held:
            for user in users:
                self.pairing.leave(*user, "cancelled")
            self._mirror.forget(users)

    def close(self, match: str, reason: str) -> None:
        """A match that stood is over: one node, the owner, writes that down."""
        if self.held:
            self._log.close(match, reason)
        else:
            self._cluster.publish(match_messages.MatchClosed(match, reason))

    async def _obey_closed(self, order: match_messages.MatchClosed) -> None:
        if self.held:
            self._log.close(order.match, order.reason)

    def _snapshot(self) -> tuple[int, list[Step]] | None:
        return (self.lease.fence, self.pairing.pool.snapshot()) if self.held else None

    async def _changed(self, goes_on: bool) -> None:
        """We are it, or are it no more: a pool that is not ours is nobody's. `goes_on`: it has not been anybody else's."""
        if not goes_on:
            self.pairing.pool = await self.pairing.replayed(self._mirror) if self.held else self.pairing.new_pool()
            self._unclaimed = {user: self._clock() + self._grace for user in self.pairing.pool.by_user}
            self.pairing.pause(self._paused)
            self.pairing.resume()
        if not self.held:
            self._mirror.discard()
        self._tell()
        if self.held:
            self._mirror.renew()
        self._give_again()

    def _tell(self) -> None:
        if self.held and not self._cluster.alone:
            self._cluster.publish(match_messages.MatchOwner(self._cluster.name, self.lease.fence, self.pairing.lines()))

    async def _obey_owner(self, order: match_messages.MatchOwner) -> None:
        """Whoever is owner now gets the tickets of our users. Word of an earlier owner that comes late counts for nothing."""
        if order.fence >= self._owner[0]:
            is_new = (order.fence, order.node) != self._owner
            self._owner = (order.fence, order.node)
            self._lines = {(tenant, queue): (waiting, estimate) for tenant, queue, waiting, estimate in order.lines}
            if is_new:
                self._give_again()

    async def _obey_leave(self, order: match_messages.MatchLeave) -> None:
        self.leave(order.tenant, order.user, order.reason)

    async def _obey_confirm(self, order: match_messages.MatchConfirm) -> None:
        if self.held:
            self.pairing.confirm(order.tenant, order.user, order.match)

    def pause(self, paused: bool) -> None:
        """Nobody is paired while it is paused; tickets are kept."""
        self._paused = paused or self._leaving
        self.pairing.pause(self._paused)

    async def release(self) -> None:
        """Nobody is paired here any more, and another node may own the pool at once."""
        self._leaving = True
        self.pause(True)
        with trio.move_on_after(LAST_STEPS):
            await self.pairing.settled()
        await self.lease.release()
        self.pairing.pool = self.pairing.new_pool()

    # --- for ever -------------------------------------------------------------------------------------------------------

    async def run(self, health: Health) -> None:
        async with trio.open_nursery() as nursery:
            health.start(nursery, "match lease", self.lease.run, self._changed)
            health.start(nursery, "match pairing", self.pairing.run, health)
            health.start(nursery, "match journal", self._mirror.run)
            health.start(nursery, "match owner", self._beat)
            health.start(nursery, "match log", self._log.run, lambda: self.held)
            while True:
                await trio.sleep(TICK)
                now = self._clock()
                for user in [user for user, until in self._unclaimed.items() if until <= now]:
                    self._unclaimed[user] = maxsize
                    nursery.start_soon(self._let_go, user)

    async def _beat(self) -> None:
        """For ever: say that the pool is ours, while it is."""
        while True:
            await trio.sleep(BEAT)
            self._tell()

    async def _let_go(self, user: User) -> None:
        """Of an earlier owner's pool: whoever is connected to nobody. Where somebody is connected, that node gets the ticket."""
        is_there = await self._cluster.lookup.is_connected(*user)
        if self._unclaimed.pop(user, None) is None:
            # They came while the others were asked, and their node has given the ticket.
            return
        ticket = self.ticket_of(user)
        if is_there and ticket is not None:
            await self._cluster.order(match_messages.MatchHeld(ticket, self._clock()))
        elif not is_there:
            self.leave(*user, "disconnected")
