"""The match pool at work, on the one node that owns it.

The pool (`matching/pool`) decides; here its steps are carried out. A pair stands when it is committed: the database refuses
whoever is in another match already, whatever the pool believes.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress

import trio

from chatd.cluster.cluster import Cluster
from chatd.core import log
from chatd.core.config import Config, Match
from chatd.core.config import Queue as QueueSection
from chatd.core.errors import Refused
from chatd.core.health import Condition, Health
from chatd.core.ids import uuid7
from chatd.core.turns import each_in_turns
from chatd.db.postgres import ForeignKeyViolation, Row, UniqueViolation
from chatd.matching.announcements import User
from chatd.matching.criteria import Ticket, by_our_clock
from chatd.matching.event_log import Mirror
from chatd.matching.events import MatchExpired, MatchProposed, MatchRequeued
from chatd.matching.matches import Meetings, People
from chatd.matching.pool import Pool
from chatd.matching.pool_events import Broken, Gone, Paired, Queue, Queued, Step

LOG = log.get(__name__)

TICK = 0.25
MOST_AT_ONCE = 8
MOST_STEPS = 1_000_000
# Tickets and pairs that are looked after without a pause: 1 to 3 ms, where nobody fits.
MOST_LOOKED_AFTER = 2
# Why a ticket ended, where its user knows already, or is not there to be told.
UNTOLD = ("cancelled", "replaced", "held", "disconnected", "matched", "banned")
# What is said instead to whoever was proposed to: nobody learns of a ban.
SAID = {"banned": "cancelled"}
# Seconds until a pair is tried again whose people may be in another one, and after the database was away.
UNDECIDED, AGAIN = 0.05, 1.0
MOST_ATTEMPTS = 60
# Seconds without a failed step after which the steps count as well.
STEPS_QUIET_S = 10.0
Over = Callable[[str, list[str], bool], None]


class Pairing:
    """`run` it. `over(users, met)` is called for tickets that are no more, `mirror` with every step."""

    def __init__(
        self,
        config: Config,
        meetings: Meetings,
        cluster: Cluster,
        clock: Callable[[], int],
        over: Over,
        mirror: Callable[[Step], None],
    ) -> None:
        self._queues = queues_of(config)
        self._meetings = meetings
        self._cluster = cluster
        self._clock = clock
        self._over = over
        self._mirror = mirror
        self._send, self._steps = trio.open_memory_channel[Step | Ticket](MOST_STEPS)
        # Matches that are committed, or about to be, while nobody knows yet whether they stand.
        self._making: set[str] = set()
        self._condition = Condition("match steps", quiet_s=STEPS_QUIET_S)
        self.pool = self.new_pool()

    def new_pool(self) -> Pool:
        return Pool(self._queues, lambda: uuid7(self._clock()))

    async def replayed(self, mirror: Mirror) -> Pool:
        """The pool of the owner before us, from its journal. Without one the nodes give their tickets again anyway."""
        pool = self.new_pool()
        try:
            async for line in each_in_turns(await mirror.latest()):
                pool.apply(self._plausible(line.step, line.at))
        except Refused:
            return self.new_pool()
        except Exception:
            LOG.exception("the journal of the match pool cannot be replayed; waiting users are taken from their nodes")
            return self.new_pool()
        return pool

    def _plausible(self, step: Step, at: int) -> Step:
        """A ticket of an owner whose clock was quite another one waits from now on, and as long as it had waited then."""
        if isinstance(step, Queued):
            now, longest = self._clock(), self.pool.rules(step.ticket.queue).longest
            if not 0 <= now - step.ticket.since <= longest:
                return Queued(by_our_clock(step.ticket, at, now))
        return step

    # --- what is asked of it --------------------------------------------------------------------------------------------

    def find(self, ticket: Ticket) -> None:
        """A ticket that counts no more is one whose node has not heard of its end."""
        if self.pool.is_spent(ticket.id) and (ticket.tenant, ticket.user) not in self.pool.by_user:
            self._send.send_nowait(ticket)
        self._take(self.pool.find(ticket, self._clock()))

    def leave(self, tenant: str, user: str, reason: str) -> None:
        id_ = self.pool.by_user.get((tenant, user))
        if id_ is not None:
            self._take(self.pool.leave(id_, reason, self._clock()))

    def confirm(self, tenant: str, user: str, match: str) -> bool:
        """Whether there is such a pair for this user to confirm."""
        if not self.pool.is_in(match, (tenant, user)):
            return False
        self._take(self.pool.confirm(match, (tenant, user)))
        if self.pool.is_confirmed(match):
            self._send.send_nowait(self.pool.pairs[match])
        return True

    def _take(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self._mirror(step)
            self._send.send_nowait(step)

    def pause(self, paused: bool) -> None:
        """Nobody is paired while it is paused."""
        before, self.pool.paused = self.pool.paused, paused
        if before and not paused:
            self.pool.look_after_all()

    def resume(self) -> None:
        """After the pool of an earlier owner was put here: what it had not carried out yet, and whom it had given back."""
        self.pool.look_after_all()
        for pair in self.pool.pairs.values():
            self._send.send_nowait(pair)

    # --- carrying it out ------------------------------------------------------------------------------------------------

    async def run(self, health: Health) -> None:
        """For ever: let time pass, and carry out what the pool has decided."""
        health.add(self._condition)
        async with trio.open_nursery() as nursery:
            health.start(nursery, "match clock", self._tick)
            for _ in range(MOST_AT_ONCE):
                nursery.start_soon(self._carry_out_all)

    async def _tick(self) -> None:
        """A crowd that is due at once is served a part at a time, and everything else as long after each."""
        rest = TICK
        while True:
            await trio.sleep(rest)
            began = trio.current_time()
            self._take(self.pool.tick(self._clock(), MOST_LOOKED_AFTER))
            rest = trio.current_time() - began if self.pool.is_due(self._clock()) else TICK

    async def _carry_out_all(self) -> None:
        async for step in self._steps:
            # What is refused because a database is away is logged there.
            with self._condition.watch(), suppress(Refused):
                await self._carry_out(step)

    async def _carry_out(self, step: Step | Ticket) -> None:
        match step:
            case Ticket():
                await self._tell_spent(step)
            case Paired() if step.match not in self.pool.pairs:
                return
            case Paired() if self.pool.is_confirmed(step.match):
                await self._settle(step)
            case Paired():
                await self._propose(step)
            case Gone(id_, reason, user):
                await self._tell_gone(id_, reason, user)
            case Broken() if step.announced:
                await self._tell_requeued(step)

    async def _propose(self, pair: Paired) -> None:
        left = max(0.0, (pair.until - self._clock()) / 1000)
        for ticket in [self.pool.tickets[id_] for id_ in pair.tickets]:
            await self._cluster.tell_user(ticket.tenant, ticket.user, MatchProposed(match=pair.match, expires_in=left))

    async def _tell_gone(self, id_: str, reason: str, user: User) -> None:
        if reason not in UNTOLD:
            self._over(user[0], [user[1]], False)
            await self._cluster.tell_user(*user, MatchExpired(ticket=id_, reason=reason))

    async def _tell_spent(self, ticket: Ticket) -> None:
        """Word of it was lost: say again what became of it."""
        await self._tell_settled(ticket, heard=False)

    async def _tell_requeued(self, step: Broken) -> None:
        """To those who are still there."""
        for user in step.users:
            id_ = self.pool.by_user.get(user)
            if id_ is not None:
                await self._cluster.tell_user(*user, MatchRequeued(ticket=id_, reason=SAID.get(step.reason, step.reason)))

    # --- a pair becomes a match -----------------------------------------------------------------------------------------

    async def _settle(self, pair: Paired) -> None:
        self._making.add(pair.match)
        try:
            await self._try_to_settle(pair, [self.pool.tickets[id_] for id_ in pair.tickets])
        except Refused:
            # Nobody knows whether it is committed: the same pair is tried again, and finds its match if it is.
            await trio.sleep(AGAIN)
            self._send.send_nowait(pair)
            raise
        except Exception:
            # Whatever it was: nobody must be left in a pair that is never made.
            self._take(self.pool.give_back(pair.match, "unavailable"))
            await trio.sleep(AGAIN)
            self._take(self.pool.look_again(self._clock(), pair.tickets))
            raise
        finally:
            self._making.discard(pair.match)

    async def _try_to_settle(self, pair: Paired, tickets: list[Ticket]) -> None:
        conversation = uuid7(self._clock())
        try:
            people = await self._meetings.make(pair, tickets, conversation)
        except UniqueViolation:
            await self._settle_or_drop(pair, tickets)
        except ForeignKeyViolation:
            for ticket in tickets:
                self._take(self.pool.leave(ticket.id, "unknown user", self._clock()))
        else:
            await self._stand(pair, tickets, conversation, people)

    async def _stand(self, pair: Paired, tickets: list[Ticket], conversation: str, people: People) -> None:
        """It is committed. Somebody may have left in that moment: then it is over at once, and the others wait on."""
        if pair.match in self.pool.pairs:
            self._take(self.pool.settle(pair.match))
            self._over(tickets[0].tenant, [ticket.user for ticket in tickets], True)
            await self._meetings.tell_found(pair, tickets, conversation, people)
        else:
            await self._end_unheard(tickets[0].tenant, pair.match)

    async def _end_unheard(self, tenant: str, match: str) -> None:
        """A match that nobody was told of. Its people could not meet anybody else as long as it stands."""
        for _ in range(MOST_ATTEMPTS):
            try:
                await self._meetings.end(tenant, match, "left", silent=True)
                return
            except Refused:
                await trio.sleep(AGAIN)

    async def _settle_or_drop(self, pair: Paired, tickets: list[Ticket]) -> None:
        """An earlier attempt has committed this very match, perhaps one of an owner who died; or somebody is in another one."""
        heard = {ticket.user: await self._meetings.heard(ticket.tenant, pair.match, ticket.user) for ticket in tickets}
        if None in heard.values() or pair.match not in self.pool.pairs:
            await self._drop_who_is_matched(pair, tickets)
            return
        self._take(self.pool.settle(pair.match))
        for ticket in tickets:
            await self._tell_settled(ticket, heard=bool(heard[ticket.user]))

    async def _tell_settled(self, ticket: Ticket, *, heard: bool) -> None:
        """Its user has met somebody. That the match is over by now is news for who never heard of it."""
        row = await self._meetings.active(ticket.tenant, ticket.user)
        self._over(ticket.tenant, [ticket.user], row is not None)
        if row is not None:
            await self._meetings.tell_found_again(ticket.tenant, ticket.user, row)
        elif not heard:
            await self._cluster.tell_user(ticket.tenant, ticket.user, MatchExpired(ticket=ticket.id, reason="over"))

    async def _drop_who_is_matched(self, pair: Paired, tickets: list[Ticket]) -> None:
        """Another node was faster, or an earlier attempt whose outcome nobody knew.

        Or an earlier pair of the same people, of which nobody knows yet whether it stands: then this one is tried again.
        """
        undecided = False
        for ticket in tickets:
            making = self._making - {pair.match}
            row = await self._meetings.active(ticket.tenant, ticket.user)
            if row is not None and row["match"] in making | self._making - {pair.match}:
                undecided = True
            elif row is not None:
                await self._tell_matched(ticket, row)
        if undecided and pair.match in self.pool.pairs:
            await trio.sleep(UNDECIDED)
            self._send.send_nowait(pair)
        else:
            self._take(self.pool.give_back(pair.match, "matched"))
            self._take(self.pool.look_again(self._clock(), pair.tickets))

    async def _tell_matched(self, ticket: Ticket, row: Row) -> None:
        """Somebody is in this match already; the others who are in it, and wait as well, have not heard of it either."""
        for user in row["aliases"]:
            id_ = self.pool.by_user.get((ticket.tenant, user))
            if id_ is not None or user == ticket.user:
                self._take(self.pool.leave(id_ or ticket.id, "matched", self._clock()))
                self._over(ticket.tenant, [user], True)
                await self._meetings.tell_found_again(ticket.tenant, user, row)

    async def settled(self) -> None:
        """Wait until what was decided is carried out."""
        while self._making or self._send.statistics().current_buffer_used:
            await trio.sleep(UNDECIDED)

    def lines(self) -> list[tuple[str, str, int, int | None]]:
        """Tenant, queue, how many wait, and the estimate, of the longest lines."""
        return [(*key, waiting, self.pool.estimate(*key)) for key, waiting in self.pool.lines.longest(100)]


def queues_of(config: Config) -> dict[str, Queue]:
    """The rules of the queues that have their own, and of all others under ""."""
    own = {name: rules_of(config.match, queue.size, queue) for name, queue in config.queues.items()}
    return {"": rules_of(config.match, 2, config.match), **own}


def rules_of(usual: Match, size: int, own: Match | QueueSection) -> Queue:
    """What a queue does not say for itself is as usual."""
    times = (getattr(usual if getattr(own, name) is None else own, name) for name in ("relax", "confirm", "longest"))
    return Queue(size, *(round(seconds * 1000) for seconds in times))
