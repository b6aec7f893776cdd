"""The token bucket."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from chatd.core.rate_limit import TokenBucket

STEPS = st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 5)), max_size=60)


@given(st.floats(0.1, 100), st.floats(1, 100), STEPS)
def test_token_bucket_never_exceeds_burst_and_rate(rate: float, burst: float, steps: list[tuple[float, float]]) -> None:
    bucket, now, taken = TokenBucket(rate, burst), 0.0, 0.0
    for passed, cost in steps:
        now += passed
        if bucket.take(now, cost) == 0:
            taken += cost
        assert taken <= burst + rate * now + 1e-6


@given(st.floats(0.1, 100), st.floats(1, 100), STEPS)
def test_returned_wait_is_sufficient(rate: float, burst: float, steps: list[tuple[float, float]]) -> None:
    bucket, now = TokenBucket(rate, burst), 0.0
    for passed, cost in steps:
        now += passed
        cost = min(cost, burst)
        wait = bucket.take(now, cost)
        if wait:
            now += wait + 1e-6
            assert bucket.take(now, cost) == 0


def test_clock_set_back_and_rate_zero_are_handled() -> None:
    bucket = TokenBucket(1, 1)
    assert bucket.take(100) == 0
    assert bucket.take(50) > 0
    assert bucket.take(101) == 0
    assert TokenBucket(0, 0).take(1) == inf


@given(st.floats(0.1, 100), st.floats(1, 100), STEPS)
def test_lacks_takes_no_tokens(rate: float, burst: float, steps: list[tuple[float, float]]) -> None:
    bucket, asked, now = TokenBucket(rate, burst), TokenBucket(rate, burst), 0.0
    for passed, cost in steps:
        now += passed
        assert asked.lacks(now, cost) == asked.lacks(now, cost)
        assert bucket.take(now, cost) == asked.take(now, cost)
