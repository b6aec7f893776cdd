"""Admission of connections, and the retries of rejected clients, on a mock clock."""

from collections import Counter

import pytest
import trio
import trio.testing
from msgspec.structs import replace
from trio.testing import MockClock

from chatd.core.config import Limits
from chatd.gateway.admission import (
    AUTH_SLOT_TIMEOUT_S,
    MAX_CONCURRENT_AUTH,
    MAX_RETRY_S,
    Admission,
    Overloaded,
    RetryScheduler,
)

LIMITS = replace(Limits(), accepts_per_second=100, accepts_per_address=100_000)


async def test_few_sign_ins_at_a_time_and_short_waits(autojump_clock: MockClock) -> None:
    """A sign-in that has begun ends in time, however many clients there are.

    Each takes 0.1 s here, so 160 per second.
    """
    admission, admitted, refused = Admission(Limits()), list[float](), list[tuple[float, int]]()

    async def visit() -> None:
        try:
            async with admission.auth_slot():
                await trio.sleep(0.1)
                admitted.append(trio.current_time() - start)
        except Overloaded as overloaded:
            refused.append((trio.current_time() - start, overloaded.retry_after))

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(2000):
            nursery.start_soon(visit)
    assert (
        MAX_CONCURRENT_AUTH / 0.1 * AUTH_SLOT_TIMEOUT_S
        <= len(admitted)
        <= MAX_CONCURRENT_AUTH / 0.1 * (AUTH_SLOT_TIMEOUT_S + 0.1)
    )
    assert max(admitted) < AUTH_SLOT_TIMEOUT_S + 0.2
    assert all(at < AUTH_SLOT_TIMEOUT_S + 0.1 for at, _ in refused)
    assert len(admitted) + len(refused) == 2000


async def test_a_client_that_would_wait_too_long_is_rejected_early(autojump_clock: MockClock) -> None:
    """Reading its request would take time from the clients that are admitted."""
    admission = Admission(LIMITS)
    async with trio.open_nursery() as nursery:

        async def visit() -> None:
            async with admission.auth_slot():
                await trio.sleep_forever()

        for number in range(MAX_CONCURRENT_AUTH + MAX_CONCURRENT_AUTH + 50):
            admission.check_rate("192.0.2.1")
            nursery.start_soon(visit)
            await trio.testing.wait_all_tasks_blocked()
            assert number < 150
        with pytest.raises(Overloaded):
            admission.check_rate("192.0.2.1")
        nursery.cancel_scope.cancel()
    admission.check_rate("192.0.2.1")


async def test_an_auth_slot_is_released_however_it_ends() -> None:
    admission = Admission(Limits())
    for number in range(3 * MAX_CONCURRENT_AUTH):
        with trio.CancelScope() as scope:
            try:
                async with admission.auth_slot():
                    if number % 2:
                        raise KeyError
                    scope.cancel()
                    await trio.sleep_forever()
            except KeyError:
                pass
    async with admission.auth_slot():
        pass


async def test_rejected_clients_get_different_times(autojump_clock: MockClock) -> None:
    """The times are spread at the rate of admission."""
    admission, waits = Admission(LIMITS), Counter[int]()
    for _ in range(1200):
        try:
            admission.check_rate("192.0.2.1")
        except Overloaded as overloaded:
            waits[overloaded.retry_after] += 1
    assert set(waits) == set(range(1, 11))
    assert all(99 <= count <= 101 for count in waits.values())


def test_retry_times_follow_the_admitted_rate() -> None:
    retries = RetryScheduler(100)
    for second in range(5):
        retries.next_retry(float(second))
        for tick in range(25):
            retries.note_accepted(second + tick / 25)
    waits = [retries.next_retry(5.0) for _ in range(100)]
    assert waits == sorted(waits)
    assert 4 <= waits[-1] <= 5
    assert max(retries.next_retry(5.0) for _ in range(10_000)) == MAX_RETRY_S


def test_retries_are_fast_again_after_a_quiet_time() -> None:
    retries = RetryScheduler(100)
    retries.note_accepted(0.0)
    retries.next_retry(0.5)
    retries.note_accepted(3600.0)
    assert max(retries.next_retry(3600.5) for _ in range(150)) == 2


async def test_one_address_cannot_use_up_the_limits(autojump_clock: MockClock) -> None:
    """With 2,500 per second from one address (or /64), every client of another address is admitted."""
    for flood in ("192.0.2.1", "2001:db8::1"):
        admission, refused = Admission(Limits()), 0
        for turn in range(5000):
            try:
                admission.check_rate(flood if "." in flood else f"2001:db8::{turn % 999 + 1:x}")
            except Overloaded as overloaded:
                refused += 1
                assert 1 <= overloaded.retry_after <= MAX_RETRY_S
            if turn % 50 == 0:
                admission.check_rate("2001:db8:0:1::1")
            await trio.sleep(1 / 2500)
        assert refused == pytest.approx(5000 - 4 * Limits().accepts_per_address, rel=0.02)


async def test_answered_rejections_are_bounded_by_address() -> None:
    admission = Admission(Limits())
    places = [admission.rejection_slot("192.0.2.1") for _ in range(Limits().pending_per_address)]
    assert admission.rejection_slot("192.0.2.1") is None
    assert admission.rejection_slot("192.0.2.2") is not None
    for place in places:
        assert place is not None
        place.release()
    assert admission.rejection_slot("192.0.2.1") is not None
