"""CPU time of a match by the number of waiting users: the pool alone, without sockets and databases.

python -m bench.matching

The pool is filled with waiting users that no attempt has examined yet. Then users arrive one by one. The figure is the
CPU time of this process per arrival, including the match and the replacement of matched users.
"""

import argparse
import random
import time
from collections.abc import Callable

from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from chatd.matching.criteria import Accept, Ticket
from chatd.matching.pool import Pool
from chatd.matching.pool_events import Paired, PoolEvent, Queue

SIZES = (100, 1_000, 10_000, 100_000)
# Criteria do not relax during a measurement, except where relaxing is measured.
HOUR = 3_600_000
RULES = {"": Queue(relax=HOUR, longest=10 * HOUR)}
RELAX = 5000
RELAXING = {"": Queue(relax=RELAX, longest=10 * HOUR)}
TAGS = [f"tag{number}" for number in range(1000)]
LANGUAGES = [f"language{number}" for number in range(20)]
Make = Callable[[random.Random, int], Ticket]


def ticket(number: int, **fields: object) -> Ticket:
    return Ticket(f"t{number}", "t", f"u{number}", "q", 0, **fields)  # type: ignore[arg-type]


def anybody(_: random.Random, number: int) -> Ticket:
    return ticket(number)


def with_tags(rng: random.Random, number: int) -> Ticket:
    return ticket(number, tags=tuple(rng.sample(TAGS, 3)))


def within_ranges(rng: random.Random, number: int) -> Ticket:
    """Users aged 18 to 80 who want a partner within five years of their own age."""
    age = rng.randint(18, 80)
    return ticket(number, attributes={"age": age}, accept=Accept(must={"age": {"min": age - 5, "max": age + 5}}))


def with_a_language(rng: random.Random, number: int) -> Ticket:
    """As `ages`, with one of twenty languages, 100 blocked users and 20 previous partners."""
    age, language = rng.randint(18, 80), rng.choice(LANGUAGES)
    must = {"age": {"min": age - 5, "max": age + 5}, "language": language}
    others = [f"u{rng.randrange(10**9)}" for _ in range(120)]
    attributes = {"age": age, "language": language}
    return ticket(
        number,
        attributes=attributes,
        accept=Accept(must=must),
        avoid=frozenset(others[:100]),
        recent=tuple(others[100:]),
    )


def one_of_many(rng: random.Random, number: int) -> Ticket:
    """Each user fits one in 500 others, by a text."""
    club = f"club{rng.randrange(500)}"
    return ticket(number, attributes={"club": club}, accept=Accept(must={"club": club}))


def nobody(rng: random.Random, number: int) -> Ticket:
    """No two users fit."""
    return ticket(number, attributes={"age": 1}, accept=Accept(must={"age": {"min": 2}}))


CROWDS: dict[str, Make] = {
    "anybody": anybody,
    "three of 1000 tags": with_tags,
    "ranges": within_ranges,
    "ranges, language, 100 blocked": with_a_language,
    "one in 500 fits, by a text": one_of_many,
    "nobody fits": nobody,
    "one in two fits nobody": lambda rng, number: nobody(rng, number) if number % 2 else anybody(rng, number),
}


class Crowd:
    """A pool with a given number of waiting users."""

    def __init__(self, make: Make, size: int, rules: dict[str, Queue], seed: int) -> None:
        self._make = make
        self._rng = random.Random(seed)
        self._number = 0
        self.pool = Pool(rules, self._name)
        self.fill(size)

    def _name(self) -> str:
        return f"m{self._number}"

    def fill(self, size: int) -> None:
        """Add users up to this number, without attempts to match them."""
        self.pool.paused = True
        while len(self.pool.tickets) < size:
            self.pool.find(self.next(), 0)
        self.pool.paused = False

    def next(self) -> Ticket:
        self._number += 1
        return self._make(self._rng, self._number)

    def arrive(self, one: Ticket) -> bool:
        """Add one user; return whether they matched. A user without a match is removed."""
        pairs = [step for step in self.pool.find(one, 1) if isinstance(step, Paired)]
        for pair in pairs:
            self.pool.commit(pair.match)
        if not pairs:
            self.pool.leave(one.id, "cancelled", 1)
        return bool(pairs)


def arrivals(make: Make, size: int, count: int) -> tuple[float, float]:
    """Microseconds per arrival, and the share of arrivals that match."""
    crowd, met, used = Crowd(make, size, RULES, size), 0, 0.0
    for _ in range(count):
        one = crowd.next()
        start = time.process_time_ns()
        met += crowd.arrive(one)
        crowd.fill(size)
        used += time.process_time_ns() - start
    return used / count / 1000, met / count


def relaxing(size: int, count: int) -> float:
    """Microseconds per user whose criteria relax, in a pool without a fitting pair."""
    crowd = Crowd(lambda rng, number: replace(nobody(rng, number), since=number), size, RELAXING, size)
    start = time.process_time_ns()
    steps: list[PoolEvent] = crowd.pool.tick(RELAX + count)
    used = time.process_time_ns() - start
    assert not steps
    return used / min(count, size) / 1000


def reporting(size: int) -> float:
    """Microseconds of the owner's report of its queues, which it makes once a second."""
    crowd = Crowd(lambda _, number: ticket(number, attributes={"name": f"{number}"}), size, RULES, size)
    start = time.process_time_ns()
    for _ in range(20):
        crowd.pool.index.longest(100)
    return (time.process_time_ns() - start) / 20 / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arrivals", type=int, default=2000)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of waiting users")
    options = parser.parse_args()
    count, sizes = options.arrivals, options.sizes
    table = Table("CPU us", *(f"{size:,} wait" for size in sizes), "most / least", "arrivals that match")
    for name, make in CROWDS.items():
        found = [arrivals(make, size, count) for size in sizes]
        shares = "  ".join(f"{share:.0%}" for _, share in found)
        table.add_row(f"arrival: {name}", *figures([us for us, _ in found]), shares)
    table.add_row("criteria relax: nobody fits", *figures([relaxing(size, min(sizes)) for size in sizes]), "")
    table.add_row("report of the queues, once a second", *figures([reporting(size) for size in sizes]), "")
    Console(width=160).print(table)


def figures(values: list[float]) -> list[str]:
    return [*(f"{value:.0f}" for value in values), f"{max(values) / min(values):.1f}"]


if __name__ == "__main__":
    main()
