"""The way to the match pool: in this process while this node holds the lease, else over the bus.

A new owner replays the event log of the previous one. Tickets of that pool that no node submits again, because their
users are connected nowhere, are removed after the grace period.
"""

from collections.abc import Callable, Collection, Sequence
from sys import maxsize

import trio

from chatd.cluster.cluster import Cluster
from chatd.core.config import Config
from chatd.core.health import Health
from chatd.core.identity import UserKey
from chatd.db.postgres import Postgres
from chatd.matching.bounded_queue import BoundedQueue
from chatd.matching.control_messages import (
    ConfirmPair,
    PoolOwnerHeartbeat,
    SubmitTicket,
    TicketParked,
    WithdrawTicket,
)
from chatd.matching.criteria import Ticket
from chatd.matching.event_log import PoolEventLog
from chatd.matching.event_log_audit import EventLogAudit
from chatd.matching.matches import Matches
from chatd.matching.owned_pool import OwnedPool
from chatd.matching.pairing import Notice, OwnerChanged, Pairing
from chatd.matching.settings import MatchSettings
from chatd.matching.tunables import MatchTunables

# Time between two checks for tickets that no node has submitted again.
UNCLAIMED_POLL_S = 0.25
# Time that pairs have to become matches before a stopping node releases the lease.
DRAIN_S = 2.0


class PoolOwner:
    """The way to the match pool. `run` it in the background. `notices` is the stream of notices for the matching
    service.
    """

    def __init__(
        self,
        config: Config,
        db: Postgres,
        cluster: Cluster,
        owned: OwnedPool,
        log: PoolEventLog,
        matches: Matches,
        clock: Callable[[], int],
        tunables: MatchTunables,
    ) -> None:
        self.pairing = Pairing(owned, log, matches, cluster, clock)
        self._audit = EventLogAudit(db, log, self.pairing, clock, tunables)
        self._owned = owned
        self._log = log
        self._cluster = cluster
        self._clock = clock
        self._grace_ms = round(config.get(MatchSettings).grace * 1000)
        # Number of the lease and name of the node that owns the pool.
        self._owner = (0, "")
        self._is_paused = self._is_stopping = False
        self._queues: dict[tuple[str, str], tuple[int, int | None]] = {}
        # Users of the previous owner's pool whose nodes have not submitted their tickets again, and until when they
        # may.
        self._unclaimed: dict[UserKey, int] = {}

    @property
    def notices(self) -> BoundedQueue[Notice]:
        return self.pairing.notices

    @property
    def held(self) -> bool:
        """Whether this node owns the pool."""
        return self._owned.held

    @property
    def is_log_lagging(self) -> bool:
        """Whether this node owns the pool, and the event log has been incomplete for seconds."""
        return self.held and self._log.is_lagging

    def size(self) -> int:
        """Number of tickets in the pool of this node."""
        return len(self.pairing.pool.tickets)

    def longest_queues(self, count: int) -> list[tuple[str, str, int]]:
        """Tenant, name and length of the longest queues in the pool of this node."""
        return [(*key, length) for key, length in self.pairing.pool.index.longest(count)]

    # --- requests -------------------------------------------------------------------------------------------------

    def submit(self, ticket: Ticket) -> None:
        """Add a ticket to the pool."""
        if self.held:
            self._unclaimed.pop(ticket.user_key, None)
            self.pairing.find(ticket)
        else:
            self._cluster.publish(SubmitTicket(ticket, self._clock()))

    def withdraw(self, user: UserKey, reason: str) -> None:
        """Remove the ticket of a user from the pool."""
        if self.held:
            self.pairing.leave(user, reason)
        else:
            self._cluster.publish(WithdrawTicket(*user, reason))

    def remove(self, user: UserKey, reason: str) -> None:
        """Remove the ticket of a user if this node owns the pool."""
        if self.held:
            self.pairing.leave(user, reason)

    def confirm(self, user: UserKey, match: str) -> bool | None:
        """Confirm a pair. Returns whether the user is in it; None if another node owns the pool."""
        if self.held:
            return self.pairing.confirm(user, match)
        self._cluster.publish(ConfirmPair(*user, match))
        return None

    def ticket_of(self, user: UserKey) -> Ticket | None:
        """The ticket of a user if this node owns the pool."""
        pool = self.pairing.pool
        return pool.tickets.get(pool.by_user.get(user, "")) if self.held else None

    def queue_length(self, tenant: str, queue: str, *, is_new: bool) -> tuple[int, int | None]:
        """Tickets in a queue, and the estimated waiting time in milliseconds.

        `is_new`: the caller has just submitted a ticket, which the owner may not have counted.
        """
        if self.held:
            pool = self.pairing.pool
            return max(1, pool.index.length(tenant, queue)), pool.estimate(tenant, queue)
        length, estimate = self._queues.get((tenant, queue), (0, None))
        return max(1, length + is_new), estimate

    def forget(self, users: Collection[UserKey]) -> None:
        """Remove the data of erased users from the pool and the event log, if this node owns them."""
        if self.held:
            self.pairing.forget(users)

    def log_end(self, match: str, reason: str) -> None:
        """Log the end of a match if this node owns the pool."""
        if self.held:
            self._log.append_end(match, reason)

    def pause(self, paused: bool) -> None:
        """While the pool is paused, it makes no pairs; tickets are kept."""
        self._is_paused = paused or self._is_stopping
        self.pairing.pause(self._is_paused)

    async def release(self) -> None:
        """Stop pairing, and let another node own the pool at once."""
        self._is_stopping = True
        self.pause(True)
        with trio.move_on_after(DRAIN_S):
            await self.pairing.drained()
        await self._owned.lease.release()
        self._owned.replace(self._owned.new_pool())

    # --- ownership ------------------------------------------------------------------------------------------------

    async def _on_lease_change(self, is_continuous: bool) -> None:
        """Handle a change of the lease. `is_continuous`: no other node has held it in between."""
        if not is_continuous:
            if self.held:
                await self.pairing.take_over()
            else:
                self._owned.replace(self._owned.new_pool())
            self._unclaimed = {user: self._clock() + self._grace_ms for user in self.pairing.pool.by_user}
            self.pairing.pause(self._is_paused)
            self.pairing.resume()
        if not self.held:
            self._log.discard()
        self._send_heartbeat()
        if self.held:
            self._log.rewrite()
        self.notices.put(OwnerChanged())

    def _send_heartbeat(self) -> None:
        if self.held and not self._cluster.is_single_node:
            heartbeat = PoolOwnerHeartbeat(self._cluster.name, self._owned.lease.fence, self.pairing.longest_queues())
            self._cluster.publish(heartbeat)

    def on_heartbeat(self, node: str, fence: int, queues: Sequence[tuple[str, str, int, int | None]]) -> None:
        """Note the owner and its queues. A late heartbeat of a previous owner is ignored."""
        if fence >= self._owner[0]:
            is_new = (fence, node) != self._owner
            self._owner = (fence, node)
            self._queues = {(tenant, queue): (length, estimate) for tenant, queue, length, estimate in queues}
            if is_new:
                self.notices.put(OwnerChanged())

    async def run(self, health: Health) -> None:
        async with trio.open_nursery() as nursery:
            health.start(nursery, "match lease", self._owned.lease.run, self._on_lease_change)
            health.start(nursery, "match pairing", self.pairing.run, health)
            health.start(nursery, "match event log", self._log.run)
            health.start(nursery, "match owner heartbeat", self._send_heartbeats)
            health.start(nursery, "match event log audit", self._audit.run)
            while True:
                await trio.sleep(UNCLAIMED_POLL_S)
                now = self._clock()
                for user in [user for user, until in self._unclaimed.items() if until <= now]:
                    self._unclaimed[user] = maxsize
                    nursery.start_soon(self._remove_unclaimed, user)

    async def _send_heartbeats(self) -> None:
        while True:
            await trio.sleep(self._cluster.times.heartbeat)
            self._send_heartbeat()

    async def _remove_unclaimed(self, user: UserKey) -> None:
        """Remove the ticket of a user who is connected nowhere; else give it to the node of the user."""
        is_connected = await self._cluster.lookup.is_connected(*user)
        if self._unclaimed.pop(user, None) is None:
            # The user has connected during the look-up, and that node has submitted the ticket.
            return
        ticket = self.ticket_of(user)
        if is_connected and ticket is not None:
            self.notices.put(TicketParked(ticket, self._clock()))
        elif not is_connected:
            self.remove(user, "disconnected")
