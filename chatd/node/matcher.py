"""The match pool of this process at work: tickets in, matches out.

The pool (`domain/matchmaking`) decides; here its steps are carried out. A pair stands when it is committed: the database refuses
whoever is in another match already, whatever the pool believes. A ticket belongs to the user, not to a connection: whoever
loses the connection is out of the pool at once, and back with the old waiting time when they return within the grace.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

import trio

from chatd import log
from chatd.config import Config, Match
from chatd.config import Queue as QueueSection
from chatd.domain.criteria import Ticket
from chatd.domain.match_steps import Broken, Gone, Paired, Queue, Step
from chatd.domain.matchmaking import Pool
from chatd.errors import Refused
from chatd.ids import uuid7
from chatd.node.cluster import Cluster
from chatd.node.hub import Hub
from chatd.node.meetings import Meetings, User
from chatd.store.postgres import ForeignKeyViolation, Postgres, UniqueViolation
from chatd.wire.matches import MatchExpired, MatchProposed, MatchRequeued

LOG = log.get(__name__)

TICK = 0.25
MOST_AT_ONCE = 8
MOST_STEPS = 1_000_000
MOST_REMEMBERED = 20_000
# Why a ticket ended, where its user knows already, or is not there to be told.
UNTOLD = ("cancelled", "replaced", "held", "disconnected", "matched")


class Matcher:
    """`run` it; `find` and its like may be called at any time."""

    def __init__(self, config: Config, db: Postgres, hub: Hub, cluster: Cluster, clock: Callable[[], int]) -> None:
        self.pool = Pool(queues_of(config), lambda: uuid7(clock()))
        self.meetings = Meetings(db, cluster, clock)
        self.paused = False
        self._grace = config.match.grace * 1000
        self._hub = hub
        self._cluster = cluster
        self._clock = clock
        self._send, self._steps = trio.open_memory_channel[Step](MOST_STEPS)
        self._held: dict[User, tuple[float, Ticket]] = {}
        self._away: dict[User, float] = {}
        self._asked: OrderedDict[User, Ticket] = OrderedDict()
        hub.watcher = self._watch

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
            self._take(self.pool.find(ticket, self._clock()))
        else:
            self._held[user] = (self._clock() + self._grace, ticket)

    def cancel(self, tenant: str, user: str, reason: str = "cancelled") -> bool:
        """Whether there was a ticket."""
        held = self._held.pop((tenant, user), None)
        id_ = self.pool.by_user.get((tenant, user))
        if id_:
            self._take(self.pool.leave(id_, reason, self._clock()))
        return bool(id_ or held)

    def confirm(self, tenant: str, user: str, match: str) -> bool:
        """Whether there is such a pair for this user to confirm."""
        if not self.pool.is_in(match, (tenant, user)):
            return False
        self._take(self.pool.confirm(match, (tenant, user)))
        if self.pool.is_confirmed(match):
            self._take([self.pool.pairs[match]])
        return True

    def asked(self, tenant: str, user: str) -> Ticket | None:
        """What somebody looked for last."""
        return self._asked.get((tenant, user))

    # --- carrying it out ------------------------------------------------------------------------------------------------

    def _take(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self._send.send_nowait(step)

    async def run(self) -> None:
        """For ever: let time pass, and carry out what the pool has decided."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._load)
            nursery.start_soon(self._tick)
            for _ in range(MOST_AT_ONCE):
                nursery.start_soon(self._carry_out_all)

    async def _load(self) -> None:
        """After a restart: whoever does not come back within the grace leaves a partner, who has to be told."""
        while True:
            try:
                await self.meetings.load()
                break
            except Refused:
                await trio.sleep(1)
        for user in self.meetings.among:
            if not self._hub.sessions_of(*user):
                self._away[user] = self._clock() + self._grace

    async def _tick(self) -> None:
        while True:
            await trio.sleep(TICK)
            now = self._clock()
            if not self.paused:
                self._take(self.pool.tick(now))
            for user in [user for user, (until, _) in self._held.items() if until <= now]:
                del self._held[user]
            for user in [user for user, until in self._away.items() if until <= now]:
                await self._end_of(user)

    async def _end_of(self, user: User) -> None:
        """Somebody in a match has not come back."""
        del self._away[user]
        try:
            row = await self.meetings.active(*user)
            if row is not None:
                await self.meetings.end(user[0], row["match"], "disconnected", but=user[1])
        except Refused:
            self._away[user] = self._clock() + 1000

    async def _carry_out_all(self) -> None:
        async for step in self._steps:
            try:
                await self._carry_out(step)
            except Refused as refused:
                LOG.warning("a step of the match pool failed", extra={"step": type(step).__name__, "why": refused.code})

    async def _carry_out(self, step: Step) -> None:
        match step:
            case Paired() if step.match not in self.pool.pairs:
                return
            case Paired() if self.pool.is_confirmed(step.match):
                await self._settle(step)
            case Paired():
                await self._propose(step)
            case Gone() if step.reason not in UNTOLD:
                await self._cluster.tell_user(*step.user, MatchExpired(ticket=step.ticket, reason=step.reason))
            case Broken() if step.announced:
                await self._tell_requeued(step)

    async def _propose(self, pair: Paired) -> None:
        left = max(0.0, (pair.until - self._clock()) / 1000)
        for ticket in [self.pool.tickets[id_] for id_ in pair.tickets]:
            await self._cluster.tell_user(ticket.tenant, ticket.user, MatchProposed(match=pair.match, expires_in=left))

    async def _tell_requeued(self, step: Broken) -> None:
        """To those who are still there."""
        for user in step.users:
            id_ = self.pool.by_user.get(user)
            if id_ is not None:
                await self._cluster.tell_user(*user, MatchRequeued(ticket=id_, reason=step.reason))

    # --- a pair becomes a match -----------------------------------------------------------------------------------------

    async def _settle(self, pair: Paired) -> None:
        tickets = [self.pool.tickets[id_] for id_ in pair.tickets]
        conversation = uuid7(self._clock())
        try:
            names = await self.meetings.make(pair, tickets, conversation)
        except UniqueViolation:
            await self._drop_who_is_matched(pair, tickets)
        except ForeignKeyViolation:
            for ticket in tickets:
                self._take(self.pool.leave(ticket.id, "unknown user", self._clock()))
        except Refused:
            self._take(self.pool.give_back(pair.match, "unavailable"))
            raise
        else:
            await self._stand(pair, tickets, conversation, names)

    async def _stand(self, pair: Paired, tickets: list[Ticket], conversation: str, names: dict[str, str | None]) -> None:
        """It is committed. Somebody may have left in that moment: then it is over at once, and the others wait on."""
        if pair.match in self.pool.pairs:
            self._take(self.pool.settle(pair.match))
            await self.meetings.tell_found(pair, tickets, conversation, names)
        else:
            await self.meetings.end(tickets[0].tenant, pair.match, "left", silent=True)

    async def _drop_who_is_matched(self, pair: Paired, tickets: list[Ticket]) -> None:
        """Another node was faster, or an earlier attempt whose outcome nobody knew."""
        for ticket in tickets:
            row = await self.meetings.active(ticket.tenant, ticket.user)
            if row is not None:
                self._take(self.pool.leave(ticket.id, "matched", self._clock()))
                await self.meetings.tell_found_again(ticket.tenant, ticket.user, row)
        self._take(self.pool.give_back(pair.match, "matched"))

    # --- who is here ----------------------------------------------------------------------------------------------------

    def _watch(self, tenant: str, user: str, here: bool) -> None:
        """Called by the hub when a user comes, and when the last session of one has gone."""
        key = (tenant, user)
        if here:
            self._away.pop(key, None)
            _, ticket = self._held.pop(key, (0, None))
            if ticket is not None:
                self.find(ticket)
            return
        until = self._clock() + self._grace
        id_ = self.pool.by_user.get(key)
        if id_ is not None:
            self._held[key] = (until, self.pool.tickets[id_])
            self._take(self.pool.leave(id_, "held", self._clock()))
        if key in self.meetings.among:
            self._away[key] = until

    def statistics(self) -> dict[str, int]:
        return {"tickets": len(self.pool.tickets), "pairs": len(self.pool.pairs), "held": len(self._held)}


def queues_of(config: Config) -> dict[str, Queue]:
    """The rules of the queues that have their own, and of all others under ""."""
    own = {name: rules_of(config.match, queue.size, queue) for name, queue in config.queues.items()}
    return {"": rules_of(config.match, 2, config.match), **own}


def rules_of(usual: Match, size: int, own: Match | QueueSection) -> Queue:
    """What a queue does not say for itself is as usual."""
    times = (getattr(usual if getattr(own, name) is None else own, name) for name in ("relax", "confirm", "longest"))
    return Queue(size, *(round(seconds * 1000) for seconds in times))
