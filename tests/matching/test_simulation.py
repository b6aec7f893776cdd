"""The simulation of an event log under other rules."""

from itertools import count

from chatd.matching.criteria import Accept, Ticket
from chatd.matching.pool import Pool
from chatd.matching.pool_events import Paired, PoolEvent, Queue
from chatd.matching.simulation import recorded, simulate


def event_log_of(relax: int) -> list[tuple[int, PoolEvent]]:
    """Ten users, one second apart, whose `should` no other user satisfies, and one user who cancels."""
    numbers = count()
    pool, event_log = Pool({"": Queue(relax=relax)}, lambda: f"m{next(numbers)}"), []

    def note(now: int, events: list[PoolEvent]) -> None:
        for event in events:
            event_log.append((now, event))
            if isinstance(event, Paired):
                event_log.extend((now, settled) for settled in pool.commit(event.match))

    for now in range(0, 60_000, 250):
        note(now, pool.tick(now))
        number, rest = divmod(now, 1000)
        if rest == 0 and number <= 10:
            wish = Accept(should={"height": {"min": 200}})
            note(now, pool.find(Ticket(f"t{number}", "t", f"u{number}", "q", now, accept=wish), now))
        if now == 11_000:
            note(now, pool.leave("t10", "cancelled", now))
    return event_log


def test_the_same_rules_give_the_same_waits() -> None:
    event_log = event_log_of(8000)
    was, again = recorded(event_log), simulate(event_log, {"": Queue(relax=8000)})
    assert (was.asked, was.met, was.left, was.relaxed) == (11, 10, 1, 1.0)
    assert was == again


def test_other_rules_give_other_waits() -> None:
    event_log = event_log_of(8000)
    was, quick = recorded(event_log), simulate(event_log, {"": Queue(relax=1000)})
    assert quick.met == 10
    assert quick.median_wait < was.median_wait / 2
    assert simulate(event_log, {"": Queue(size=3, relax=1000)}).met == 9


def test_an_empty_event_log_can_be_simulated() -> None:
    assert simulate([], {}).met == recorded([]).asked == 0
