"""A match pool with thousands of tickets does not block the event loop."""

from itertools import count

import msgspec
import pytest

from chatd.core.slices import finish
from chatd.matching.criteria import Accept, Ticket
from chatd.matching.event_log import encode_events
from chatd.matching.pairing import MAX_PER_TICK
from chatd.matching.pool import Pool
from chatd.matching.pool_events import PoolEvent, Queue
from tests.abuse.growth import seconds
from tests.abuse.test_event_loop import LIMIT_S, no_collections
from tests.abuse.test_linear import longest_slice

__all__ = ["no_collections"]
TICKETS = 800
ALONE = Accept(must={"age": {"min": 99}, "language": "en"})


def pool_of(tickets: int, accept: Accept) -> Pool:
    numbers = count()
    pool = Pool({"": Queue(confirm=1000)}, lambda: f"m{next(numbers)}")
    for number in range(tickets):
        pool.find(
            Ticket(f"t{number}", "t", f"u{number}", "q", number, (), {"language": "en", "age": 20}, accept), number
        )
    return pool


def slowest_tick(pool: Pool, now: int) -> float:
    """In seconds: of each five ticks in a row the quickest counts."""
    times = []
    while pool.is_due(now) and len(times) < 100:
        times.append(seconds(lambda at: pool.tick(at, MAX_PER_TICK), now))
    return max(min(times[at : at + 5]) for at in range(0, len(times) - 4, 5))


@pytest.mark.usefixtures("no_collections")
def test_a_tick_of_a_full_pool_is_short() -> None:
    """If no pair fits, and if thousands of pairs expire at once."""
    alone = pool_of(TICKETS, ALONE)
    alone.requeue_all()
    assert slowest_tick(alone, 20_000) < LIMIT_S
    paired = pool_of(TICKETS, Accept())
    assert len(paired.pairs) == TICKETS // 2
    assert slowest_tick(paired, 20_000) < LIMIT_S


def test_limited_ticks_together_equal_one_unlimited_tick() -> None:
    whole, parts = pool_of(40, Accept()), pool_of(40, Accept())
    steps, expected = list[PoolEvent](), whole.tick(20_000)
    while parts.is_due(20_000):
        steps += parts.tick(20_000, 3)
    assert sorted(map(repr, steps)) == sorted(map(repr, expected))
    assert not parts.pairs


@pytest.mark.usefixtures("no_collections")
def test_a_snapshot_is_encoded_in_slices() -> None:
    steps: list[PoolEvent] = [*pool_of(2, ALONE).snapshot()] * 5_000
    assert min(longest_slice(encode_events(steps)) for _ in range(3)) < LIMIT_S
    for some in (steps, steps[:1], []):
        assert finish(encode_events(some)) == msgspec.json.encode(some)
