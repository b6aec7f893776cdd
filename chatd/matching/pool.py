"""The match pool: waiting tickets and pairs. Pure: times and ids are arguments.

The pool is event-sourced: a request (`find`, `leave`, `tick`, ...) decides and returns events, and only `apply` changes
the state, so the state is exactly the replay of the event log. Pairs are made on arrival; a tick only serves tickets
whose criteria were relaxed since. A search examines a bounded number of tickets, oldest first, in the smallest index
that must contain a partner; its cost does not depend on the size of the pool.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import chain, islice
from operator import attrgetter
from sys import maxsize

from msgspec.structs import astuple

from chatd.core.identity import UserKey
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

# Tickets that one search examines, and how many of them are taken from the other end of the list.
MAX_CANDIDATES, OTHER_END_CANDIDATES = 256, 64
MAX_USED_TICKETS = 50_000
# Reasons of a removal after which the same ticket may return.
MAY_RETURN = ("held", "disconnected")
# Waiting times per queue from which the estimate is made.
WAIT_SAMPLES = 32
# Queues with samples. Users name queues, so the least recently used one is dropped.
MAX_SAMPLED_QUEUES = 1_000
TAGS = RELAXED.index("tags") + 1


class Pool:
    """All queues of all tenants.

    `queues`: rules by name; an unknown queue has the rules of "". `make_id` returns ids of matches.
    """

    def __init__(self, queues: Mapping[str, Queue], make_id: Callable[[], str]) -> None:
        self._queues = queues
        self._make_id = make_id
        self._wait_samples: OrderedDict[tuple[str, str], list[int]] = OrderedDict()
        self._used: OrderedDict[str, None] = OrderedDict()
        self.paused = False
        self._clear()

    def _clear(self) -> None:
        self.tickets: dict[str, Ticket] = {}
        self.by_user: dict[UserKey, str] = {}
        self.pairs: dict[str, Paired] = {}
        self.index = QueueIndex()
        self._in_pair: dict[str, str] = {}
        self._confirmed: dict[str, set[str]] = {}
        self._wakeups: list[tuple[int, str]] = []
        self._to_pair: deque[str] = deque()

    def rules(self, queue: str) -> Queue:
        return self._queues.get(queue) or self._queues.get("") or DEFAULT

    # --- requests -------------------------------------------------------------------------------------------------

    def find(self, ticket: Ticket, now: int) -> list[PoolEvent]:
        """Add a ticket and pair it if possible. It replaces an earlier ticket of the same user.

        A returning ticket does not replace one that the user has submitted since.
        """
        if ticket.id in self.tickets or self.is_used(ticket.id):
            return []
        earlier = self.by_user.get(ticket.user_key)
        if earlier and self.tickets[earlier].since > ticket.since:
            return []
        events = self.leave(earlier, "replaced", now) if earlier else []
        events += self._emit(Queued(ticket))
        return events + self._pair(ticket, now)

    def leave(self, id_: str, reason: str, now: int) -> list[PoolEvent]:
        """Remove a ticket. Its pair is dissolved; the other tickets of the pair are paired again if possible."""
        if id_ not in self.tickets:
            return []
        match = self._in_pair.get(id_)
        others = [other for other in self.pairs[match].tickets if other != id_] if match else []
        events = self._emit(self._dissolved(match, reason)) if match else []
        events += self._emit(self._removed(id_, reason))
        return events + [event for other in others for event in self._pair_again(other, now)]

    def _removed(self, id_: str, reason: str) -> TicketRemoved:
        ticket = self.tickets[id_]
        return TicketRemoved(id_, reason, ticket.user_key)

    def _dissolved(self, match: str, reason: str) -> PairDissolved:
        pair = self.pairs[match]
        tickets = [self.tickets[id_] for id_ in pair.tickets]
        return PairDissolved(match, reason, [ticket.user_key for ticket in tickets], pair.until > 0)

    def confirm(self, match: str, user: UserKey) -> list[PoolEvent]:
        """Record that a user confirms a proposed pair."""
        id_ = self.by_user.get(user, "")
        if not self.is_in(match, user) or id_ in self._confirmed[match]:
            return []
        return self._emit(Confirmed(match, id_))

    def is_in(self, match: str, user: UserKey) -> bool:
        """Whether the user has a ticket in this pair."""
        return self._in_pair.get(self.by_user.get(user, "")) == match

    def is_confirmed(self, match: str) -> bool:
        """Whether the pair can be committed: all users have confirmed, or need not."""
        pair = self.pairs.get(match)
        return pair is not None and (not pair.until or len(self._confirmed[match]) == len(pair.tickets))

    def commit(self, match: str) -> list[PoolEvent]:
        """Record that the match is in the database."""
        return self._emit(MatchCommitted(match)) if match in self.pairs else []

    def dissolve(self, match: str, reason: str) -> list[PoolEvent]:
        """Record that the match could not be committed. All tickets of the pair wait again."""
        return self._emit(self._dissolved(match, reason)) if match in self.pairs else []

    def tick(self, now: int, limit: int = maxsize) -> list[PoolEvent]:
        """Relax criteria, and expire confirmations and tickets. Serves at most `limit` tickets and pairs."""
        events: list[PoolEvent] = []
        expired = list(islice(self._expired_pairs(now), limit))
        for match in expired:
            events += self._expire_pair(match, now)
        for _ in range(limit - len(expired)):
            if not self._is_ticket_due(now):
                break
            events += self._serve_next(now)
        return events

    def is_due(self, now: int) -> bool:
        """Whether a tick has work."""
        return self._is_ticket_due(now) or next(self._expired_pairs(now), None) is not None

    def _expired_pairs(self, now: int) -> Iterator[str]:
        return (pair.match for pair in self.pairs.values() if pair.until and pair.until <= now)

    def _is_ticket_due(self, now: int) -> bool:
        return bool(self._to_pair) or bool(self._wakeups and self._wakeups[0][0] <= now)

    def _serve_next(self, now: int) -> list[PoolEvent]:
        if self._to_pair:
            return self._pair_again(self._to_pair.popleft(), now)
        return self._wake(heappop(self._wakeups)[1], now)

    def _expire_pair(self, match: str, now: int) -> list[PoolEvent]:
        """Remove the tickets that were not confirmed; the others wait again."""
        late = [id_ for id_ in self.pairs[match].tickets if id_ not in self._confirmed[match]]
        kept = [id_ for id_ in self.pairs[match].tickets if id_ not in late]
        events = self._emit(self._dissolved(match, "not confirmed"))
        for id_ in late:
            events += self._emit(self._removed(id_, "not confirmed"))
        return events + [event for id_ in kept for event in self._pair_again(id_, now)]

    def _wake(self, id_: str, now: int) -> list[PoolEvent]:
        ticket = self.tickets.get(id_)
        if ticket is None:
            return []
        if now - ticket.since >= self.rules(ticket.queue).longest and id_ not in self._in_pair:
            return self._emit(self._removed(id_, "expired"))
        self._schedule_wakeup(ticket, now)
        return self._pair_again(id_, now, newest=True)

    def _schedule_wakeup(self, ticket: Ticket, now: int) -> None:
        """Schedule the next relaxation of the criteria, or the expiry of the ticket."""
        rules = self.rules(ticket.queue)
        level = self.level(ticket, now)
        next_relaxation = (
            ticket.since + (level + 1) * rules.relax if level < len(RELAXED) else ticket.since + rules.longest
        )
        heappush(self._wakeups, (max(now + 1, min(next_relaxation, ticket.since + rules.longest)), ticket.id))

    def pair_again(self, now: int, ids: Iterable[str]) -> list[PoolEvent]:
        """Search partners for the tickets of a dissolved pair."""
        return [event for id_ in ids for event in self._pair_again(id_, now)]

    def pause(self, paused: bool) -> None:
        """While the pool is paused, it makes no pairs; afterwards it searches a partner for every ticket."""
        before, self.paused = self.paused, paused
        if before and not paused:
            self.requeue_all()

    def requeue_all(self) -> None:
        """Let the next ticks search a partner for every ticket, after a pause."""
        self._to_pair = deque(self.tickets)

    # --- pairing --------------------------------------------------------------------------------------------------

    def level(self, ticket: Ticket, now: int) -> int:
        """How many criteria of RELAXED are dropped by now."""
        return min(len(RELAXED), max(0, now - ticket.since) // self.rules(ticket.queue).relax)

    def _pair_again(self, id_: str, now: int, *, newest: bool = False) -> list[PoolEvent]:
        ticket = self.tickets.get(id_)
        return self._pair(ticket, now, newest=newest) if ticket and id_ not in self._in_pair else []

    def _pair(self, ticket: Ticket, now: int, *, newest: bool = False) -> list[PoolEvent]:
        """Pair a ticket if possible.

        `newest`: examine the newest tickets first; the search on arrival examined the oldest.
        """
        if self.paused:
            return []
        group = [ticket]
        rules = self.rules(ticket.queue)
        for other in self._candidates(ticket, now, newest=newest):
            if all(self._accept_each_other(one, other, now) for one in group):
                group.append(other)
                if len(group) == rules.size:
                    return self._emit(self._paired(group, now))
        return []

    def _candidates(self, ticket: Ticket, now: int, *, newest: bool) -> Iterator[Ticket]:
        """Candidates from both ends of the list, so that tickets that fit no other ticket do not block one end."""
        tags = self.level(ticket, now) < TAGS
        first = self.index.candidates(ticket, tags=tags, newest=newest)
        last = self.index.candidates(ticket, tags=tags, newest=not newest)
        return chain(islice(first, MAX_CANDIDATES - OTHER_END_CANDIDATES), islice(last, OTHER_END_CANDIDATES))

    def _accept_each_other(self, one: Ticket, other: Ticket, now: int) -> bool:
        return accepts(one, other, self.level(one, now)) and accepts(other, one, self.level(other, now))

    def _paired(self, group: list[Ticket], now: int) -> Paired:
        relaxed = {
            one.id: sorted({name for other in group for name in objections(one, other) if other is not one})
            for one in group
        }
        confirm = self.rules(group[0].queue).confirm
        until = now + confirm if confirm else 0
        return Paired(self._make_id(), [one.id for one in group], now, in_common(group), relaxed, until)

    # --- changes of the state -------------------------------------------------------------------------------------

    def _emit(self, event: PoolEvent) -> list[PoolEvent]:
        self.apply(event)
        return [event]

    def apply(self, event: PoolEvent) -> None:
        """Apply an event that was decided here or read from the event log."""
        match event:
            case Queued(ticket):
                self.tickets[ticket.id] = ticket
                self.by_user[ticket.user_key] = ticket.id
                self.index.add(ticket)
                self._schedule_wakeup(ticket, ticket.since)
            case TicketRemoved(id_, reason):
                self._remove(id_)
                if reason not in MAY_RETURN:
                    self._mark_used(id_)
            case Paired() if event.match not in self.pairs:
                self._bind(event)
            case Confirmed(id_, ticket_id):
                self._confirmed[id_].add(ticket_id)
            case PairDissolved(id_):
                for ticket in self._unbind(id_):
                    self.index.add(ticket, first=True)
            case MatchCommitted(id_) if id_ in self.pairs:
                self._sample_waits(self.pairs[id_])
                for ticket in self._unbind(id_):
                    self._remove(ticket.id)
                    self._mark_used(ticket.id)
            case Reset():
                self._clear()

    def _bind(self, pair: Paired) -> None:
        self.pairs[pair.match] = Paired(*astuple(pair))
        self._confirmed[pair.match] = set()
        for id_ in pair.tickets:
            self._in_pair[id_] = pair.match
            self.index.remove(self.tickets[id_])

    def _unbind(self, match: str) -> list[Ticket]:
        pair = self.pairs.pop(match)
        self._confirmed.pop(match)
        for id_ in pair.tickets:
            self._in_pair.pop(id_)
        return [self.tickets[id_] for id_ in pair.tickets]

    def is_used(self, id_: str) -> bool:
        """Whether a ticket led to a match, or was removed for good."""
        return id_ in self._used

    def _mark_used(self, id_: str) -> None:
        """Ignore the ticket if a node submits it again."""
        self._used[id_] = None
        if len(self._used) > MAX_USED_TICKETS:
            self._used.popitem(last=False)

    def _remove(self, id_: str) -> None:
        ticket = self.tickets.pop(id_)
        if self.by_user.get(ticket.user_key) == id_:
            del self.by_user[ticket.user_key]
        self.index.remove(ticket)
        # The last entry of a heap is a leaf. Removing it here keeps tickets that come and go from piling up entries.
        while self._wakeups and self._wakeups[-1][1] not in self.tickets:
            self._wakeups.pop()

    def snapshot(self) -> list[PoolEvent]:
        """The shortest event log with this state: tickets, oldest first, then pairs, then confirmations."""
        queued = [Queued(ticket) for ticket in sorted(self.tickets.values(), key=attrgetter("since"))]
        confirmed = [Confirmed(match, id_) for match, ids in self._confirmed.items() for id_ in sorted(ids)]
        pending = [Pending(*astuple(pair)) for pair in self.pairs.values()]
        return [*queued, *pending, *confirmed]

    # --- estimates ------------------------------------------------------------------------------------------------

    def _sample_waits(self, pair: Paired) -> None:
        for id_ in pair.tickets:
            ticket = self.tickets[id_]
            queue = (ticket.tenant, ticket.queue)
            waits = self._wait_samples.setdefault(queue, [])
            self._wait_samples.move_to_end(queue)
            waits.append(pair.at - ticket.since)
            del waits[:-WAIT_SAMPLES]
        while len(self._wait_samples) > MAX_SAMPLED_QUEUES:
            self._wait_samples.popitem(last=False)

    def estimate(self, tenant: str, queue: str) -> int | None:
        """Median waiting time of the last matches in milliseconds; None if there were too few."""
        waits = sorted(self._wait_samples.get((tenant, queue), ()))
        return waits[len(waits) // 2] if len(waits) >= 4 else None


def replay(events: Iterable[PoolEvent], queues: Mapping[str, Queue], make_id: Callable[[], str]) -> Pool:
    """The pool after these events."""
    pool = Pool(queues, make_id)
    for event in events:
        pool.apply(event)
    return pool
