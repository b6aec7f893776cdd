"""Who may come in, and when the others may come again. In time that only seems to pass."""

from collections import Counter

import pytest
import trio
import trio.testing
from msgspec.structs import replace
from trio.testing import MockClock

from chatd.core.config import Limits
from chatd.gateway.admission import AT_ONCE, LATEST, PATIENCE, Admission, Full, Returns

LIMITS = replace(Limits(), accepts_per_second=100, accepts_per_address=100_000)


async def test_a_few_at_a_time_and_nobody_waits_long(autojump_clock: MockClock) -> None:
    """F11: what is begun is finished in time, however many come. Each takes 0.1 s here, so 160 come in a second."""
    admission, came, refused = Admission(Limits()), list[float](), list[tuple[float, int]]()

    async def visit() -> None:
        try:
            async with admission.turn():
                await trio.sleep(0.1)
                came.append(trio.current_time() - start)
        except Full as full:
            refused.append((trio.current_time() - start, full.retry_after))

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(2000):
            nursery.start_soon(visit)
    assert AT_ONCE / 0.1 * PATIENCE <= len(came) <= AT_ONCE / 0.1 * (PATIENCE + 0.1)
    assert max(came) < PATIENCE + 0.2
    assert all(at < PATIENCE + 0.1 for at, _ in refused)
    assert len(came) + len(refused) == 2000


async def test_who_would_wait_too_long_is_not_even_heard(autojump_clock: MockClock) -> None:
    """To read their request, only to say no in the end, would cost those who are let in."""
    admission = Admission(LIMITS)
    async with trio.open_nursery() as nursery:

        async def visit() -> None:
            async with admission.turn():
                await trio.sleep_forever()

        for number in range(AT_ONCE + AT_ONCE + 50):
            admission.check_rate("192.0.2.1")
            nursery.start_soon(visit)
            await trio.testing.wait_all_tasks_blocked()
            assert number < 150
        with pytest.raises(Full):
            admission.check_rate("192.0.2.1")
        nursery.cancel_scope.cancel()
    admission.check_rate("192.0.2.1")


async def test_a_turn_comes_back_however_it_ends() -> None:
    admission = Admission(Limits())
    for number in range(3 * AT_ONCE):
        with trio.CancelScope() as scope:
            try:
                async with admission.turn():
                    if number % 2:
                        raise KeyError
                    scope.cancel()
                    await trio.sleep_forever()
            except KeyError:
                pass
    async with admission.turn():
        pass


async def test_the_refused_are_told_different_times(autojump_clock: MockClock) -> None:
    """At the rate at which they will be let in."""
    admission, waits = Admission(LIMITS), Counter[int]()
    for _ in range(1200):
        try:
            admission.check_rate("192.0.2.1")
        except Full as full:
            waits[full.retry_after] += 1
    assert set(waits) == set(range(1, 11))
    assert all(99 <= count <= 101 for count in waits.values())


def test_the_times_follow_how_many_really_come_in() -> None:
    returns = Returns(100)
    for second in range(5):
        returns.next(float(second))
        for tick in range(25):
            returns.came_in(second + tick / 25)
    waits = [returns.next(5.0) for _ in range(100)]
    assert waits == sorted(waits)
    assert 4 <= waits[-1] <= 5
    assert max(returns.next(5.0) for _ in range(10_000)) == LATEST


def test_after_a_quiet_time_they_are_fast_again() -> None:
    returns = Returns(100)
    returns.came_in(0.0)
    returns.next(0.5)
    returns.came_in(3600.0)
    assert max(returns.next(3600.5) for _ in range(150)) == 2


async def test_one_address_cannot_use_up_what_is_for_all(autojump_clock: MockClock) -> None:
    """2,500 a second from one address (or /64), and each of another is let in."""
    for flood in ("192.0.2.1", "2001:db8::1"):
        admission, refused = Admission(Limits()), 0
        for turn in range(5000):
            try:
                admission.check_rate(flood if "." in flood else f"2001:db8::{turn % 999 + 1:x}")
            except Full as full:
                refused += 1
                assert 1 <= full.retry_after <= LATEST
            if turn % 50 == 0:
                admission.check_rate("2001:db8:0:1::1")
            await trio.sleep(1 / 2500)
        assert refused == pytest.approx(5000 - 4 * Limits().accepts_per_address, rel=0.02)


async def test_refusals_that_are_answered_are_bounded_by_address() -> None:
    admission = Admission(Limits())
    places = [admission.turned_away("192.0.2.1") for _ in range(Limits().pending_per_address)]
    assert admission.turned_away("192.0.2.1") is None
    assert admission.turned_away("192.0.2.2") is not None
    for place in places:
        assert place is not None
        place.close()
    assert admission.turned_away("192.0.2.1") is not None
