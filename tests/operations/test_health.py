"""Conditions that log their transitions, and the guard of the services."""

import logging
from collections.abc import Callable
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from chatd.core.errors import Refused
from chatd.core.health import MAX_PAUSE_S, Condition, Health, cause_of, keep
from tests.support import PATIENCE

Lines = Callable[[], list[tuple[str, str]]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """Level and message of each line so far."""
    caplog.set_level(logging.DEBUG)
    return lambda: [(record.levelname, record.getMessage()) for record in caplog.records]


async def test_each_transition_is_logged_once_and_a_reminder_once_a_minute(
    autojump_clock: MockClock, lines: Lines
) -> None:
    condition = Condition("disk")
    condition.recover()
    for _ in range(6000):
        condition.fail(OSError(28, "No space left on device"))
        await trio.sleep(0.03)
    condition.recover()
    condition.recover()
    messages = [message for _, message in lines()]
    assert messages == ["disk failed", "disk still failing", "disk still failing", "disk recovered"]


async def test_cause_is_the_text_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    condition = Condition("redis")
    try:
        raise Refused("unavailable", "Redis is away") from ConnectionRefusedError(111, "Connection refused")
    except Refused as refused:
        condition.fail(ExceptionGroup("two", [ExceptionGroup("deep", [refused])]), node="one")
    record = caplog.records[0]
    assert vars(record)["cause"] == "ConnectionRefusedError: [Errno 111] Connection refused"
    assert vars(record)["node"] == "one"


def test_cause_is_taken_from_the_exception() -> None:
    assert cause_of("no answer") == "no answer"
    assert cause_of(TimeoutError()) == "TimeoutError"
    assert cause_of(Refused("unavailable", "away")) == "Refused: unavailable: away"


async def test_a_credential_in_a_cause_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    Condition("jwks").fail(ValueError("https://x.test/?token=abcdef failed"))
    assert "abcdef" not in vars(caplog.records[0])["cause"]


async def test_alternating_results_are_one_failure(autojump_clock: MockClock, lines: Lines) -> None:
    condition = Condition("writes", quiet_s=10)
    for _ in range(100):
        condition.fail("disk full")
        await trio.sleep(0.1)
        condition.recover()
    assert len(lines()) == 1
    await trio.sleep(10)
    condition.recover()
    assert lines()[-1] == ("INFO", "writes recovered")


async def test_failed_service_is_restarted_and_recovers(autojump_clock: MockClock, lines: Lines) -> None:
    health, runs = Health(), []

    async def serve() -> None:
        runs.append(trio.current_time())
        if len(runs) <= 12:
            raise KeyError(f"b{len(runs)}")
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        health.start(nursery, "reader", serve)
        await trio.sleep(1)
        assert [condition.name for condition in health.failing] == ["reader"]
        assert health.failing[0].cause.startswith("KeyError")
        await trio.sleep(300)
        assert health.failing == []
        nursery.cancel_scope.cancel()
    pauses = [after - before for before, after in pairwise(runs)]
    assert pauses == sorted(pauses)
    assert max(pauses) == MAX_PAUSE_S
    logged = lines()
    assert logged[0] == ("ERROR", "reader failed")
    assert logged[-1] == ("INFO", "reader recovered")
    assert {message for _, message in logged[1:-1]} == {"reader still failing"}


@pytest.mark.parametrize("period", [0.0, 1.0, 5.0, 10.0])
async def test_a_service_that_fails_once_in_a_period_is_one_failure(
    autojump_clock: MockClock, lines: Lines, period: float
) -> None:
    """Running between two failures is no recovery."""

    async def serve() -> None:
        await trio.sleep(period)
        raise ValueError("no such column")

    with trio.move_on_after(200):
        await keep(Condition("bans"), serve)
    assert {message for _, message in lines()} == {"bans failed", "bans still failing"}
    assert len(lines()) <= 4


async def test_children_of_a_service_end_with_it_and_siblings_go_on(autojump_clock: MockClock) -> None:
    health, beats = Health(), []

    async def child() -> None:
        raise ExceptionGroup("several", [ValueError("a"), KeyError("b")])

    async def parent() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            await trio.sleep_forever()

    async def sibling() -> None:
        while True:
            await trio.sleep(1)
            beats.append(1)

    async with trio.open_nursery() as nursery:
        health.start(nursery, "parent", parent)
        health.start(nursery, "sibling", sibling)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert len(beats) >= 58


async def test_a_service_that_returns_has_ended() -> None:
    health, runs = Health(), []

    async def serve() -> None:
        runs.append(1)

    async with trio.open_nursery() as nursery:
        health.start(nursery, "writer", serve)
    assert runs == [1]


async def test_a_failure_at_the_moment_of_cancellation_ends_quietly() -> None:
    async def serve() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("while it stops")

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            Health().start(nursery, "stubborn", serve)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


async def test_watch_notes_and_suppresses_exceptions(lines: Lines) -> None:
    condition = Condition("step")
    with condition.watch():
        raise Refused("unavailable", "away")
    assert lines() == [("WARNING", "step failed")]
    with condition.watch():
        pass
    assert not condition.failing
    with condition.watch():
        raise ZeroDivisionError
    assert lines()[-1] == ("ERROR", "step failed")
