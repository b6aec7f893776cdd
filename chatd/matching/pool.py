"""The match pool: who waits, and who is paired with whom. Pure: the time is an argument, and so is every id.

It is an event-sourced machine: what is asked of it (`find`, `leave`, `tick`, ...) decides, and answers with steps; `apply` is
the only thing that changes it, so the pool is exactly the replay of its journal. Pairs are made on arrival; a tick only serves
those whose demands have loosened since. Looking for a partner takes a bounded number of looks in the smallest index that must
hold them, oldest first, so that a match costs the same among a hundred and among a hundred thousand.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import chain, islice
from operator import attrgetter
from sys import maxsize

from msgspec.structs import astuple

from chatd.matching.criteria import RELAXED, Ticket, accepts, in_common, objections
from chatd.matching.pool_events import (
    DEFAULT,
    Confirmed,
    MatchCommitted,
    PairDissolved,
    Paired,
    Pending,
    PoolEvent,
    Queue,
    Queued,
    Reset,
    TicketRemoved,
)
from chatd.matching.queue_index import QueueIndex

# Looks for one partner, and how many of them are taken from the other end of the line.
MOST_LOOKS, FROM_BEHIND = 256, 64
MOST_SPENT = 50_000
# Why a ticket may go and come back.
MAY_RETURN = ("held", "disconnected")
# Waiting times of the last pairs, for the estimate.
REMEMBERED = 32
# Queues of which they are remembered; users name queues, so the one that was used longest ago is forgotten.
MOST_QUEUES = 1_000
TAGS = RELAXED.index("tags") + 1


class Pool:
    """All queues of all tenants. `queues` by name; an unknown one has the rules of "". `make_id` makes ids of matches."""

    def __init__(self, queues: Mapping[str, Queue], make_id: Callable[[], str]) -> None:
        self._queues = queues
        self._make_id = make_id
        self._waits: OrderedDict[tuple[str, str], list[int]] = OrderedDict()
        self._spent: OrderedDict[str, None] = OrderedDict()
        self.paused = False
        self._clear()

    def _clear(self) -> None:
        self.tickets: dict[str, Ticket] = {}
        self.by_user: dict[tuple[str, str], str] = {}
        self.pairs: dict[str, Paired] = {}
        self.lines = QueueIndex()
        self._in_pair: dict[str, str] = {}
        self._confirmed: dict[str, set[str]] = {}
        self._alarms: list[tuple[int, str]] = []
        self._again: deque[str] = deque()

    def rules(self, queue: str) -> Queue:
        return self._queues.get(queue) or self._queues.get("") or DEFAULT

    # --- what is asked of it --------------------------------------------------------------------------------------------

    def find(self, ticket: Ticket, now: int) -> list[PoolEvent]:
        """Somebody wants to meet somebody. Whoever asks again with another ticket leaves the earlier one.

        A ticket that comes back from somewhere does not take the place of one that its user has asked for since.
        """
        if ticket.id in self.tickets or self.is_spent(ticket.id):
            return []
        earlier = self.by_user.get((ticket.tenant, ticket.user))
        if earlier and self.tickets[earlier].since > ticket.since:
            return []
        steps = self.leave(earlier, "replaced", now) if earlier else []
        steps += self._do(Queued(ticket))
        return steps + self._pair(ticket, now)

    def leave(self, id_: str, reason: str, now: int) -> list[PoolEvent]:
        """A ticket is given up. Whoever it was paired with waits on, and is looked after at once."""
        if id_ not in self.tickets:
            return []
        match = self._in_pair.get(id_)
        others = [other for other in self.pairs[match].tickets if other != id_] if match else []
        steps = self._do(self._broken(match, reason)) if match else []
        steps += self._do(self._gone(id_, reason))
        return steps + [step for other in others for step in self._pair_again(other, now)]

    def _gone(self, id_: str, reason: str) -> TicketRemoved:
        ticket = self.tickets[id_]
        return TicketRemoved(id_, reason, (ticket.tenant, ticket.user))

    def _broken(self, match: str, reason: str) -> PairDissolved:
        pair = self.pairs[match]
        tickets = [self.tickets[id_] for id_ in pair.tickets]
        return PairDissolved(match, reason, [(ticket.tenant, ticket.user) for ticket in tickets], pair.until > 0)

    def confirm(self, match: str, user: tuple[str, str]) -> list[PoolEvent]:
        """One of a pair wants it."""
        id_ = self.by_user.get(user, "")
        if not self.is_in(match, user) or id_ in self._confirmed[match]:
            return []
        return self._do(Confirmed(match, id_))

    def is_in(self, match: str, user: tuple[str, str]) -> bool:
        """Whether the user is one of this pair."""
        return self._in_pair.get(self.by_user.get(user, "")) == match

    def is_confirmed(self, match: str) -> bool:
        """Whether it can be settled."""
        pair = self.pairs.get(match)
        return pair is not None and (not pair.until or len(self._confirmed[match]) == len(pair.tickets))

    def settle(self, match: str) -> list[PoolEvent]:
        """It stands: everybody was told."""
        return self._do(MatchCommitted(match)) if match in self.pairs else []

    def give_back(self, match: str, reason: str) -> list[PoolEvent]:
        """It could not be made to stand, by no fault of theirs: all wait on."""
        return self._do(self._broken(match, reason)) if match in self.pairs else []

    def tick(self, now: int, most: int = maxsize) -> list[PoolEvent]:
        """What the passing of time does: demands loosen, confirmations and tickets expire. At most so many are looked after."""
        steps: list[PoolEvent] = []
        expired = list(islice(self._expired_pairs(now), most))
        for match in expired:
            steps += self._expire_pair(match, now)
        for _ in range(most - len(expired)):
            if not self._is_ticket_due(now):
                break
            steps += self._look_after_next(now)
        return steps

    def is_due(self, now: int) -> bool:
        """Whether a tick has something to do."""
        return self._is_ticket_due(now) or next(self._expired_pairs(now), None) is not None

    def _expired_pairs(self, now: int) -> Iterator[str]:
        return (pair.match for pair in self.pairs.values() if pair.until and pair.until <= now)

    def _is_ticket_due(self, now: int) -> bool:
        return bool(self._again) or bool(self._alarms and self._alarms[0][0] <= now)

    def _look_after_next(self, now: int) -> list[PoolEvent]:
        if self._again:
            return self._pair_again(self._again.popleft(), now)
        return self._wake(heappop(self._alarms)[1], now)

    def _expire_pair(self, match: str, now: int) -> list[PoolEvent]:
        """Whoever has not confirmed is out; the others return."""
        late = [id_ for id_ in self.pairs[match].tickets if id_ not in self._confirmed[match]]
        kept = [id_ for id_ in self.pairs[match].tickets if id_ not in late]
        steps = self._do(self._broken(match, "not confirmed"))
        for id_ in late:
            steps += self._do(self._gone(id_, "not confirmed"))
        return steps + [step for id_ in kept for step in self._pair_again(id_, now)]

    def _wake(self, id_: str, now: int) -> list[PoolEvent]:
        ticket = self.tickets.get(id_)
        if ticket is None:
            return []
        if now - ticket.since >= self.rules(ticket.queue).longest and id_ not in self._in_pair:
            return self._do(self._gone(id_, "expired"))
        self._set_alarm(ticket, now)
        return self._pair_again(id_, now, newest=True)

    def _set_alarm(self, ticket: Ticket, now: int) -> None:
        """When its demands loosen next, or its time is over."""
        rules = self.rules(ticket.queue)
        level = self.level(ticket, now)
        loosens = ticket.since + (level + 1) * rules.relax if level < len(RELAXED) else ticket.since + rules.longest
        heappush(self._alarms, (max(now + 1, min(loosens, ticket.since + rules.longest)), ticket.id))

    def look_again(self, now: int, ids: Iterable[str]) -> list[PoolEvent]:
        """After those that were given back."""
        return [step for id_ in ids for step in self._pair_again(id_, now)]

    def look_after_all(self) -> None:
        """The next ticks look after everybody who waits: for some time nobody did."""
        self._again = deque(self.tickets)

    # --- pairing --------------------------------------------------------------------------------------------------------

    def level(self, ticket: Ticket, now: int) -> int:
        """How much of RELAXED has been given up by waiting."""
        return min(len(RELAXED), max(0, now - ticket.since) // self.rules(ticket.queue).relax)

    def _pair_again(self, id_: str, now: int, *, newest: bool = False) -> list[PoolEvent]:
        ticket = self.tickets.get(id_)
        return self._pair(ticket, now, newest=newest) if ticket and id_ not in self._in_pair else []

    def _pair(self, ticket: Ticket, now: int, *, newest: bool = False) -> list[PoolEvent]:
        """With whom it can be paired now. Who was not found among the oldest may be among the newest, looked at later."""
        if self.paused:
            return []
        group = [ticket]
        rules = self.rules(ticket.queue)
        for other in self._candidates(ticket, now, newest=newest):
            if all(self._would_meet(one, other, now) for one in group):
                group.append(other)
                if len(group) == rules.size:
                    return self._do(self._paired(group, now))
        return []

    def _candidates(self, ticket: Ticket, now: int, *, newest: bool) -> Iterator[Ticket]:
        """From one end of the line, and some from the other: however many stand in front who fit nobody, others are met."""
        tags = self.level(ticket, now) < TAGS
        these = self.lines.others(ticket, tags=tags, newest=newest)
        those = self.lines.others(ticket, tags=tags, newest=not newest)
        return chain(islice(these, MOST_LOOKS - FROM_BEHIND), islice(those, FROM_BEHIND))

    def _would_meet(self, one: Ticket, other: Ticket, now: int) -> bool:
        return accepts(one, other, self.level(one, now)) and accepts(other, one, self.level(other, now))

    def _paired(self, group: list[Ticket], now: int) -> Paired:
        relaxed = {
            one.id: sorted({name for other in group for name in objections(one, other) if other is not one}) for one in group
        }
        confirm = self.rules(group[0].queue).confirm
        until = now + confirm if confirm else 0
        return Paired(self._make_id(), [one.id for one in group], now, in_common(group), relaxed, until)

    # --- the only thing that changes it -----------------------------------------------------------------------------------

    def _do(self, step: PoolEvent) -> list[PoolEvent]:
        self.apply(step)
        return [step]

    def apply(self, step: PoolEvent) -> None:
        """One step, made here just now or read from a journal."""
        match step:
            case Queued(ticket):
                self.tickets[ticket.id] = ticket
                self.by_user[ticket.tenant, ticket.user] = ticket.id
                self.lines.enter(ticket)
                self._set_alarm(ticket, ticket.since)
            case TicketRemoved(id_, reason):
                self._remove(id_)
                if reason not in MAY_RETURN:
                    self._spend(id_)
            case Paired() if step.match not in self.pairs:
                self._bind(step)
            case Confirmed(id_, ticket_id):
                self._confirmed[id_].add(ticket_id)
            case PairDissolved(id_):
                for ticket in self._unbind(id_):
                    self.lines.enter(ticket, first=True)
            case MatchCommitted(id_) if id_ in self.pairs:
                self._remember(self.pairs[id_])
                for ticket in self._unbind(id_):
                    self._remove(ticket.id)
                    self._spend(ticket.id)
            case Reset():
                self._clear()

    def _bind(self, pair: Paired) -> None:
        self.pairs[pair.match] = Paired(*astuple(pair))
        self._confirmed[pair.match] = set()
        for id_ in pair.tickets:
            self._in_pair[id_] = pair.match
            self.lines.leave(self.tickets[id_])

    def _unbind(self, match: str) -> list[Ticket]:
        pair = self.pairs.pop(match)
        self._confirmed.pop(match)
        for id_ in pair.tickets:
            self._in_pair.pop(id_)
        return [self.tickets[id_] for id_ in pair.tickets]

    def is_spent(self, id_: str) -> bool:
        """Whether a ticket was used, or given up for good."""
        return id_ in self._spent

    def _spend(self, id_: str) -> None:
        """It counts no more, whoever may still send it."""
        self._spent[id_] = None
        if len(self._spent) > MOST_SPENT:
            self._spent.popitem(last=False)

    def _remove(self, id_: str) -> None:
        ticket = self.tickets.pop(id_)
        if self.by_user.get((ticket.tenant, ticket.user)) == id_:
            del self.by_user[ticket.tenant, ticket.user]
        self.lines.leave(ticket)
        # The last entry of a heap is a leaf: tickets that are asked for and given up in a row leave no alarms behind.
        while self._alarms and self._alarms[-1][1] not in self.tickets:
            self._alarms.pop()

    def snapshot(self) -> list[PoolEvent]:
        """The shortest journal that leads here: those who wait, the oldest first, then the pairs."""
        queued = [Queued(ticket) for ticket in sorted(self.tickets.values(), key=attrgetter("since"))]
        confirmed = [Confirmed(match, id_) for match, ids in self._confirmed.items() for id_ in sorted(ids)]
        pending = [Pending(*astuple(pair)) for pair in self.pairs.values()]
        return [*queued, *pending, *confirmed]

    # --- what is told to those who wait ---------------------------------------------------------------------------------

    def _remember(self, pair: Paired) -> None:
        for id_ in pair.tickets:
            ticket = self.tickets[id_]
            queue = (ticket.tenant, ticket.queue)
            waits = self._waits.setdefault(queue, [])
            self._waits.move_to_end(queue)
            waits.append(pair.at - ticket.since)
            del waits[:-REMEMBERED]
        while len(self._waits) > MOST_QUEUES:
            self._waits.popitem(last=False)

    def estimate(self, tenant: str, queue: str) -> int | None:
        """Milliseconds that the last ones waited, in the median; None when there were too few to say."""
        waits = sorted(self._waits.get((tenant, queue), ()))
        return waits[len(waits) // 2] if len(waits) >= 4 else None


def replay(steps: Iterable[PoolEvent], queues: Mapping[str, Queue], make_id: Callable[[], str]) -> Pool:
    """The pool that these steps have led to."""
    pool = Pool(queues, make_id)
    for step in steps:
        pool.apply(step)
    return pool
