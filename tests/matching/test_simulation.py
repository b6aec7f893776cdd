"""A journal under other rules."""

from itertools import count

from chatd.matching.criteria import Accept, Ticket
from chatd.matching.pool import Pool
from chatd.matching.pool_events import Paired, PoolEvent, Queue
from chatd.matching.simulation import as_it_was, under


def journal_of(relax: int) -> list[tuple[int, PoolEvent]]:
    """Ten people one second apart, each of whom would rather meet somebody who is not there, and one who gives up."""
    numbers = count()
    pool, journal = Pool({"": Queue(relax=relax)}, lambda: f"m{next(numbers)}"), []

    def note(now: int, steps: list[PoolEvent]) -> None:
        for step in steps:
            journal.append((now, step))
            if isinstance(step, Paired):
                journal.extend((now, settled) for settled in pool.commit(step.match))

    for now in range(0, 60_000, 250):
        note(now, pool.tick(now))
        number, rest = divmod(now, 1000)
        if rest == 0 and number <= 10:
            wish = Accept(should={"height": {"min": 200}})
            note(now, pool.find(Ticket(f"t{number}", "t", f"u{number}", "q", now, accept=wish), now))
        if now == 11_000:
            note(now, pool.leave("t10", "cancelled", now))
    return journal


def test_the_same_rules_give_the_same_waits() -> None:
    journal = journal_of(8000)
    was, again = as_it_was(journal), under(journal, {"": Queue(relax=8000)})
    assert (was.asked, was.met, was.left, was.relaxed) == (11, 10, 1, 1.0)
    assert was == again


def test_other_rules_give_others() -> None:
    journal = journal_of(8000)
    was, quick = as_it_was(journal), under(journal, {"": Queue(relax=1000)})
    assert quick.met == 10
    assert quick.median_wait < was.median_wait / 2
    assert under(journal, {"": Queue(size=3, relax=1000)}).met == 9


def test_an_empty_journal() -> None:
    assert under([], {}).met == as_it_was([]).asked == 0
