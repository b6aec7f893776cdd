"""The timer wheel."""

from hypothesis import given
from hypothesis import strategies as st

from chatd.realtime.timer_wheel import TimerWheel

TICK = 0.25


@given(st.lists(st.floats(0, 40), min_size=1, max_size=50), st.integers(1, 8))
def test_a_timer_fires_once_never_early_and_at_most_a_tick_late(delays: list[float], slots: int) -> None:
    wheel, now, fired = TimerWheel(TICK, slots), 0.0, {}

    def firing(number: int):  # type: ignore[no-untyped-def]
        def fire() -> None:
            assert number not in fired
            fired[number] = now

        return fire

    for number, delay in enumerate(delays):
        wheel.schedule(delay, firing(number))
    for turn in range(1, 180):
        now = turn * TICK
        wheel.advance()
    assert all(delays[number] <= at <= delays[number] + TICK for number, at in fired.items())
    assert len(fired) == len(delays)


def test_a_timer_repeats_until_it_is_cancelled() -> None:
    wheel, calls = TimerWheel(TICK, 4), []

    def call() -> float:
        calls.append(1)
        return 1.0

    timer = wheel.schedule(0, call)
    for _ in range(11):
        wheel.advance()
    assert len(calls) == 3
    timer.cancel()
    for _ in range(50):
        wheel.advance()
    assert (len(calls), wheel.statistics()) == (3, {"timers": 0})


def test_a_failing_timer_does_not_stop_others() -> None:
    wheel, calls = TimerWheel(TICK, 4), []

    def fail() -> None:
        raise ValueError

    wheel.schedule(0, fail)
    wheel.schedule(0, lambda: calls.append(1))
    wheel.advance()
    assert calls == [1]
