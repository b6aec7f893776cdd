"""A journal of the match pool run once more, under the same rules or others: how long people would have waited. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from msgspec import Struct

from chatd.matching.criteria import Ticket
from chatd.matching.pool import Pool
from chatd.matching.pool_events import MatchCommitted, Paired, PoolEvent, Queue, Queued, Reset, TicketRemoved

TICK = 250
# Tickets that end like this are followed by another one of the same user, or by a match.
STILL_THERE = ("held", "replaced", "matched")
Timed = tuple[int, PoolEvent]


class Summary(Struct):
    """Times in milliseconds. `relaxed`: the share of people who did not get all they had asked for."""

    asked: int
    met: int
    left: int
    median_wait: int
    p95_wait: int
    longest_wait: int
    relaxed: float
    in_common: float


class Account:
    """Who asked, who met, who left."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}
        self._pairs: dict[str, Paired] = {}
        self._waits: list[int] = []
        self._met = self._left = self._relaxed = 0
        self._common = 0

    def note(self, steps: Iterable[PoolEvent]) -> None:
        for step in steps:
            match step:
                case Queued(ticket):
                    self._tickets.setdefault(ticket.id, ticket)
                case Paired():
                    self._pairs[step.match] = step
                case MatchCommitted(match) if match in self._pairs:
                    self._note_match(self._pairs[match])
                case TicketRemoved(_, reason) if reason not in STILL_THERE:
                    self._left += 1

    def _note_match(self, pair: Paired) -> None:
        tickets = [self._tickets[id_] for id_ in pair.tickets if id_ in self._tickets]
        self._waits += [max(0, pair.at - ticket.since) for ticket in tickets]
        self._met += len(tickets)
        self._relaxed += sum(bool(pair.relaxed.get(ticket.id)) for ticket in tickets)
        self._common += len(tickets) * len(pair.matched_on)

    def summary(self) -> Summary:
        waits, met = sorted(self._waits), max(1, self._met)
        return Summary(
            asked=len(self._tickets),
            met=self._met,
            left=self._left,
            median_wait=percentile(waits, 0.5),
            p95_wait=percentile(waits, 0.95),
            longest_wait=percentile(waits, 1.0),
            relaxed=self._relaxed / met,
            in_common=self._common / met,
        )


def percentile(values: Sequence[int], share: float) -> int:
    """The nearest rank, of sorted values; 0 of none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0


def as_it_was(journal: Iterable[Timed]) -> Summary:
    """What the journal itself says."""
    account = Account()
    account.note(step for _, step in journal)
    return account.summary()


def under(journal: Iterable[Timed], queues: Mapping[str, Queue]) -> Summary:
    """What would have been: people ask and give up at the same moments, and the pool decides anew."""
    numbers = count()
    pool, account, now = Pool(queues, lambda: f"match-{next(numbers)}"), Account(), None

    def take(steps: list[PoolEvent]) -> None:
        account.note(steps)
        for step in steps:
            if isinstance(step, Paired):
                account.note(pool.commit(step.match))

    for at, step in journal:
        now = at if now is None else now
        while now + TICK <= at:
            now += TICK
            take(pool.tick(now))
        match step:
            case Queued(ticket):
                take(pool.find(ticket, at))
            case TicketRemoved(id_, reason) if reason != "expired":
                take(pool.leave(id_, reason, at))
            case Reset():
                continue
    return account.summary()
