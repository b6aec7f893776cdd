"""Replays an event log of the match pool under the same or other rules, to compare waiting times. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from msgspec import Struct

from chatd.matching.criteria import Ticket
from chatd.matching.pool import Pool
from chatd.matching.pool_events import MatchCommitted, Paired, PoolEvent, Queue, Queued, Reset, TicketRemoved

TICK_MS = 250
# Reasons of removals that another ticket of the user or a match follows.
CONTINUES = ("held", "replaced", "matched")
Timed = tuple[int, PoolEvent]


class Summary(Struct):
    """Waiting times in milliseconds.

    `relaxed`: share of matched users with relaxed criteria. `in_common`: mean per matched user.
    """

    asked: int
    met: int
    left: int
    median_wait: int
    p95_wait: int
    longest_wait: int
    relaxed: float
    in_common: float


class Tally:
    """Counts tickets, matches and removals."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}
        self._pairs: dict[str, Paired] = {}
        self._waits: list[int] = []
        self._met = self._left = self._relaxed = 0
        self._common = 0

    def note(self, events: Iterable[PoolEvent]) -> None:
        for event in events:
            match event:
                case Queued(ticket):
                    self._tickets.setdefault(ticket.id, ticket)
                case Paired():
                    self._pairs[event.match] = event
                case MatchCommitted(match) if match in self._pairs:
                    self._note_match(self._pairs[match])
                case TicketRemoved(_, reason) if reason not in CONTINUES:
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
    """The nearest-rank percentile of sorted values; 0 if there are none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0


def recorded(event_log: Iterable[Timed]) -> Summary:
    """The summary of an event log."""
    tally = Tally()
    tally.note(event for _, event in event_log)
    return tally.summary()


def simulate(event_log: Iterable[Timed], queues: Mapping[str, Queue]) -> Summary:
    """Replay the arrivals and cancellations of an event log under these rules, and summarize the outcome."""
    numbers = count()
    pool, tally, now = Pool(queues, lambda: f"match-{next(numbers)}"), Tally(), None

    def take(events: list[PoolEvent]) -> None:
        tally.note(events)
        for event in events:
            if isinstance(event, Paired):
                tally.note(pool.commit(event.match))

    for at, event in event_log:
        now = at if now is None else now
        while now + TICK_MS <= at:
            now += TICK_MS
            take(pool.tick(now))
        match event:
            case Queued(ticket):
                take(pool.find(ticket, at))
            case TicketRemoved(id_, reason) if reason != "expired":
                take(pool.leave(id_, reason, at))
            case Reset():
                continue
    return tally.summary()
