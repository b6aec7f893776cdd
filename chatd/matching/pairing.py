"""Runs the match pool on its owner: writes its events to the log and carries them out.

The pool decides who is paired. A pair becomes a match when it is committed: the database refuses a user who is in
another match already, whatever the pool contains.
"""

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

import trio
from msgspec import Struct

from chatd.cluster.cluster import Cluster
from chatd.core import log
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.health import Condition, Health
from chatd.core.identity import UserKey
from chatd.core.ids import uuid7
from chatd.core.turns import each_in_turns
from chatd.db.postgres import ForeignKeyViolation, Row, UniqueViolation
from chatd.matching.bounded_queue import BoundedQueue
from chatd.matching.control_messages import TicketParked, TicketsClosed, TicketsWanted
from chatd.matching.criteria import Ticket, rebase_clock
from chatd.matching.event_log import PoolEventLog
from chatd.matching.events import MatchExpired, MatchProposed, MatchRequeued
from chatd.matching.matches import Matches, People
from chatd.matching.owned_pool import OwnedPool
from chatd.matching.pool import Pool
from chatd.matching.pool_events import PairDissolved, Paired, PoolEvent, Queue, Queued, TicketRemoved
from chatd.matching.settings import MatchSettings, QueueSettings

LOG = log.get(__name__)

TICK_S = 0.25
WORKERS = 8
# Work that is not carried out yet. See `Pairing._recover` for what happens to more.
MAX_WORK = 100_000
# Notices that the matching service has not read yet. See `Notice` for what happens to more.
MAX_NOTICES = 100_000
# Tickets and pairs that one tick serves: 1 to 3 ms, if none fit.
MAX_PER_TICK = 2
# Reasons of a removal of which the user is not notified: they know it already, or are not connected.
SILENT_REASONS = ("cancelled", "replaced", "held", "disconnected", "matched", "banned")
# Reasons as partners see them: a ban is not disclosed.
PUBLIC_REASONS = {"banned": "cancelled"}
# Time until a pair is tried again whose users may be in an undecided match, and after a database failure.
UNDECIDED_S, RETRY_S = 0.05, 1.0
MAX_ATTEMPTS = 60
# Time without a failure after which the pool has recovered.
RECOVERED_AFTER_S = 10.0


class OwnerChanged(Struct, frozen=True):
    """The pool has another owner, which may not know the tickets of this node."""


class Overflow(Struct, frozen=True):
    """Work was dropped."""


# What the matching service is notified of. If it is too slow, `TicketsWanted` replaces the notices that were dropped:
# all nodes submit their tickets again, and each ticket that is closed is answered as such.
Notice = OwnerChanged | TicketsClosed | TicketParked | TicketsWanted
Work = Paired | TicketRemoved | PairDissolved | Ticket | Overflow


class Pairing:
    """Runs the match pool. `run` carries out its decisions. `notices` is the stream of notices for the matching
    service.
    """

    def __init__(
        self,
        owned: OwnedPool,
        log: PoolEventLog,
        matches: Matches,
        cluster: Cluster,
        clock: Callable[[], int],
        *,
        max_work: int = MAX_WORK,
    ) -> None:
        self._owned = owned
        self._log = log
        self._matches = matches
        self._cluster = cluster
        self._clock = clock
        self.notices = BoundedQueue[Notice](MAX_NOTICES, TicketsWanted())
        self._work = BoundedQueue[Work](max_work, Overflow())
        # Pairs that are being committed: it is undecided whether their matches exist.
        self._in_commit: set[str] = set()
        self._condition = Condition("match pool", quiet_s=RECOVERED_AFTER_S)

    @property
    def pool(self) -> Pool:
        return self._owned.pool

    # --- requests -------------------------------------------------------------------------------------------------

    def find(self, ticket: Ticket) -> None:
        """Add a ticket. A used ticket comes from a node that has missed its end, and is answered."""
        if self.pool.is_used(ticket.id) and ticket.user_key not in self.pool.by_user:
            self._work.put(ticket)
        self._take(self.pool.find(ticket, self._clock()))

    def leave(self, user: UserKey, reason: str) -> None:
        id_ = self.pool.by_user.get(user)
        if id_ is not None:
            self._take(self.pool.leave(id_, reason, self._clock()))

    def confirm(self, user: UserKey, match: str) -> bool:
        """Confirm a pair; returns whether the user is in it."""
        if not self.pool.is_in(match, user):
            return False
        self._take(self.pool.confirm(match, user))
        if self.pool.is_confirmed(match):
            self._work.put(self.pool.pairs[match])
        return True

    def forget(self, users: Collection[UserKey]) -> None:
        """Remove the tickets of erased users, and their data from the event log."""
        for user in users:
            self.leave(user, "cancelled")
        self._log.erase(users)

    def pause(self, paused: bool) -> None:
        """While the pool is paused, it makes no pairs."""
        self.pool.pause(paused)

    # --- changes of the owner -------------------------------------------------------------------------------------

    async def take_over(self) -> None:
        """Continue with the pool of the previous owner."""
        self._owned.replace(await self._replay())

    def resume(self) -> None:
        """Carry out what the previous owner of this pool had not finished."""
        self.pool.requeue_all()
        self._put_pairs()

    async def _replay(self) -> Pool:
        """The pool of the event log.

        If it cannot be replayed, an empty one: the nodes submit their tickets again anyway.
        """
        pool = self._owned.new_pool()
        try:
            async for logged in each_in_turns(await self._log.reader.latest()):
                pool.apply(self._rebase(logged.event, logged.at))
        except Refused:
            return self._owned.new_pool()
        except Exception:
            LOG.exception("the event log of the match pool cannot be replayed; the nodes submit their tickets again")
            return self._owned.new_pool()
        return pool

    def _rebase(self, event: PoolEvent, at: int) -> PoolEvent:
        """Convert a ticket to the clock of this node if the clock of the previous owner differed too much."""
        if isinstance(event, Queued):
            now, longest = self._clock(), self.pool.rules(event.ticket.queue).longest
            if not 0 <= now - event.ticket.since <= longest:
                return Queued(rebase_clock(event.ticket, at, now))
        return event

    # --- work -----------------------------------------------------------------------------------------------------

    def _take(self, events: Iterable[PoolEvent]) -> None:
        for event in events:
            self._log.append(event)
            if isinstance(event, Paired | TicketRemoved | PairDissolved):
                self._work.put(event)

    def _put_pairs(self) -> None:
        for pair in tuple(self.pool.pairs.values()):
            self._work.put(pair)

    async def run(self, health: Health) -> None:
        """Let time pass in the pool, and carry out its events, until cancelled."""
        health.add(self._condition)
        async with trio.open_nursery() as nursery:
            health.start(nursery, "match clock", self._tick)
            for _ in range(WORKERS):
                nursery.start_soon(self._carry_out_all)

    async def _tick(self) -> None:
        """Serve the due tickets. Many of them are served in turns, after each of which other tasks get as much time."""
        rest_s = TICK_S
        while True:
            await trio.sleep(rest_s)
            began = trio.current_time()
            self._take(self.pool.tick(self._clock(), MAX_PER_TICK))
            rest_s = trio.current_time() - began if self.pool.is_due(self._clock()) else TICK_S

    async def _carry_out_all(self) -> None:
        while True:
            work = await self._work.get()
            # The database's own condition logs an outage.
            with self._condition.watch(), suppress(Refused):
                await self._carry_out(work)

    async def _carry_out(self, work: Work) -> None:
        match work:
            case Ticket():
                await self._close_matched(work, announced=False)
            case Paired() if work.match not in self.pool.pairs:
                return
            case Paired() if self.pool.is_confirmed(work.match):
                await self._commit(work)
            case Paired():
                await self._propose(work)
            case TicketRemoved(id_, reason, user):
                await self._announce_removed(id_, reason, user)
            case PairDissolved() if work.announced:
                await self._announce_requeued(work)
            case Overflow():
                self._recover()

    def _recover(self) -> None:
        """Replace the work that was dropped: carry out all pairs of the pool, and let the nodes submit their tickets
        again.

        `match.requeued` events that were dropped are lost.
        """
        self._put_pairs()
        self.notices.put(TicketsWanted())

    async def drained(self) -> None:
        """Wait until what was decided is carried out."""
        while self._in_commit or not self._work.is_empty:
            await trio.sleep(UNDECIDED_S)

    async def _propose(self, pair: Paired) -> None:
        left_s = max(0.0, (pair.until - self._clock()) / 1000)
        for ticket in [self.pool.tickets[id_] for id_ in pair.tickets]:
            await self._cluster.deliver_to_user(
                ticket.tenant, ticket.user, MatchProposed(match=pair.match, expires_in=left_s)
            )

    async def _announce_removed(self, id_: str, reason: str, user: UserKey) -> None:
        if reason not in SILENT_REASONS:
            self._close([(user, id_)])
            await self._cluster.deliver_to_user(*user, MatchExpired(ticket=id_, reason=reason))

    async def _announce_requeued(self, event: PairDissolved) -> None:
        """Notify the users of a proposed pair who still wait."""
        for user in event.users:
            id_ = self.pool.by_user.get(user)
            if id_ is not None:
                reason = PUBLIC_REASONS.get(event.reason, event.reason)
                await self._cluster.deliver_to_user(*user, MatchRequeued(ticket=id_, reason=reason))

    def _close(self, tickets: list[tuple[UserKey, str]], match: str = "") -> None:
        """Notify the service that tickets of users of one tenant are closed."""
        tenant = tickets[0][0][0]
        self.notices.put(TicketsClosed(tenant, [user for (_, user), _ in tickets], [id_ for _, id_ in tickets], match))

    # --- a pair becomes a match -----------------------------------------------------------------------------------

    async def _commit(self, pair: Paired) -> None:
        self._in_commit.add(pair.match)
        try:
            await self._try_to_commit(pair, [self.pool.tickets[id_] for id_ in pair.tickets])
        except Refused:
            # The outcome is unknown. The same pair is tried again, and finds its match if it was committed.
            await trio.sleep(RETRY_S)
            self._work.put(pair)
            raise
        except Exception:
            # Whatever failed: no ticket may stay in a pair that is never committed.
            self._take(self.pool.dissolve(pair.match, "unavailable"))
            await trio.sleep(RETRY_S)
            self._take(self.pool.pair_again(self._clock(), pair.tickets))
            raise
        finally:
            self._in_commit.discard(pair.match)

    async def _try_to_commit(self, pair: Paired, tickets: list[Ticket]) -> None:
        conversation = uuid7(self._clock())
        try:
            people = await self._matches.make(pair, tickets, conversation)
        except UniqueViolation:
            await self._finalize_or_drop(pair, tickets)
        except ForeignKeyViolation:
            for ticket in tickets:
                self._take(self.pool.leave(ticket.id, "unknown user", self._clock()))
        else:
            await self._finalize(pair, tickets, conversation, people)

    async def _finalize(self, pair: Paired, tickets: list[Ticket], conversation: str, people: People) -> None:
        """Announce a committed match; end it if a user has left the pair during the commit."""
        if pair.match in self.pool.pairs:
            self._take(self.pool.commit(pair.match))
            self._close([(ticket.user_key, ticket.id) for ticket in tickets], pair.match)
            await self._matches.announce_found(pair, tickets, conversation, people)
        else:
            await self._rollback_unannounced(tickets[0].tenant, pair.match)

    async def _rollback_unannounced(self, tenant: str, match: str) -> None:
        """End a match that was not announced; its users cannot be matched again before."""
        for _ in range(MAX_ATTEMPTS):
            try:
                await self._matches.end(tenant, match, "left", silent=True)
                return
            except Refused:
                await trio.sleep(RETRY_S)

    async def _finalize_or_drop(self, pair: Paired, tickets: list[Ticket]) -> None:
        """An earlier attempt, perhaps of the previous owner, has committed this match; or a user is in another
        match.
        """
        announced = {
            ticket.user: await self._matches.was_announced(ticket.tenant, pair.match, ticket.user) for ticket in tickets
        }
        if None in announced.values() or pair.match not in self.pool.pairs:
            await self._drop_matched(pair, tickets)
            return
        self._take(self.pool.commit(pair.match))
        for ticket in tickets:
            await self._close_matched(ticket, announced=bool(announced[ticket.user]))

    async def _close_matched(self, ticket: Ticket, *, announced: bool) -> None:
        """Close a used ticket and announce its match.

        `announced`: the user has received `match.found`, so the end need not be announced.
        """
        row = await self._matches.active(ticket.tenant, ticket.user)
        self._close([(ticket.user_key, ticket.id)], row["match"] if row is not None else "")
        if row is not None:
            await self._matches.announce_again(ticket.tenant, ticket.user, row)
        elif not announced:
            await self._cluster.deliver_to_user(
                ticket.tenant, ticket.user, MatchExpired(ticket=ticket.id, reason="over")
            )

    async def _drop_matched(self, pair: Paired, tickets: list[Ticket]) -> None:
        """Remove the tickets of users who are in another match, made by another owner or by an attempt with unknown
        outcome.

        If that match is undecided, because an earlier pair of these users is being committed, this pair is tried again.
        """
        is_undecided = False
        for ticket in tickets:
            before = set(self._in_commit)
            row = await self._matches.active(ticket.tenant, ticket.user)
            # A pair that left or entered the set during the look-up may have been undecided when the row was read.
            undecided = (before | self._in_commit) - {pair.match}
            if row is not None and row["match"] in undecided:
                is_undecided = True
            elif row is not None:
                await self._close_users_of(ticket, row)
        if is_undecided and pair.match in self.pool.pairs:
            await trio.sleep(UNDECIDED_S)
            self._work.put(pair)
        else:
            self._take(self.pool.dissolve(pair.match, "matched"))
            self._take(self.pool.pair_again(self._clock(), pair.tickets))

    async def _close_users_of(self, ticket: Ticket, row: Row) -> None:
        """Close the tickets of all users of this match: those who still wait have missed its announcement as well."""
        for name in row["aliases"]:
            user = (ticket.tenant, name)
            id_ = self.pool.by_user.get(user)
            if id_ is not None or name == ticket.user:
                self._take(self.pool.leave(id_ or ticket.id, "matched", self._clock()))
                self._close([(user, id_ or ticket.id)], row["match"])
                await self._matches.announce_again(*user, row)

    def longest_queues(self) -> list[tuple[str, str, int, int | None]]:
        """Tenant, queue, length and estimate of the hundred longest queues."""
        return [(*key, length, self.pool.estimate(*key)) for key, length in self.pool.index.longest(100)]


def queue_rules(config: Config) -> dict[str, Queue]:
    """The rules of the configured queues, and of all others under ""."""
    configured = {
        name: merge_rules(config.get(MatchSettings), queue.size, queue)
        for name, queue in config.named(QueueSettings).items()
    }
    return {"": merge_rules(config.get(MatchSettings), 2, config.get(MatchSettings)), **configured}


def merge_rules(defaults: MatchSettings, size: int, section: MatchSettings | QueueSettings) -> Queue:
    """The rules of a section; what it leaves out is taken from `defaults`."""
    names = ("relax", "confirm", "longest")
    times = (getattr(defaults if getattr(section, name) is None else section, name) for name in names)
    return Queue(size, *(round(seconds * 1000) for seconds in times))
