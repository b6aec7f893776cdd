"""A session alone: what it lets out, and what not any more."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd.core.config import Config
from chatd.core.identity import Principal
from chatd.gateway.penalties import FIRST_S, FORGOTTEN_AFTER_S, MAX_S, Penalties
from chatd.gateway.session import PING, Session
from chatd.wire.codec import codecs


def session_on(send_nowait: Any) -> Session:
    node = SimpleNamespace(config=Config(), clock=lambda: 0)
    desk: Any = SimpleNamespace(node=node, rows={}, wheel=None, penalties=Penalties())
    lane: Any = SimpleNamespace(
        send_nowait=send_nowait, last_activity=trio.current_time(), is_reading=True, discard=lambda: None, mute=lambda: None
    )
    me = Principal("default", "u", "t", "", "user", 2**60)
    return Session(desk, lane, next(iter(codecs([]).values())), me, "127.0.0.1")


async def test_after_the_goodbye_nothing_follows() -> None:
    written: list[bytes] = []
    session = session_on(lambda frame, event=None: written.append(frame) or True)
    session.send_nowait(b"1")
    session.close_soon("slow")
    session.send_nowait(b"2")
    assert written == [b"1"]


async def test_a_drained_session_still_gets_the_answers_that_are_under_way() -> None:
    written: list[bytes] = []
    session = session_on(lambda frame, event=None: written.append(frame) or True)
    session.close_soon("going_away", "retry_in_ms=1")
    session.send_nowait(b"answer")
    assert written == [b"answer"]


async def test_who_is_silent_is_gone_after_two_heartbeats(autojump_clock: MockClock) -> None:
    """F9: whenever the silence began between two looks."""
    heartbeat = Config().gateway.heartbeat
    for heard in range(30):
        written: list[bytes] = []
        session = session_on(lambda frame, event=None, written=written: written.append(frame) or True)  # type: ignore[misc]
        start = trio.current_time()
        last = start + heard
        while (wait := session.beat()) is not None:
            await trio.sleep(wait)
            session._lane.last_activity = min(last, trio.current_time())
        assert trio.current_time() - last == pytest.approx(2 * heartbeat)
        assert written == [PING]


async def test_who_talks_is_looked_at_once_a_heartbeat_and_not_asked(autojump_clock: MockClock) -> None:
    written: list[bytes] = []
    session = session_on(lambda frame, event=None: written.append(frame) or True)
    for _ in range(10):
        session._lane.last_activity = trio.current_time()
        wait = session.beat()
        assert wait == Config().gateway.heartbeat
        await trio.sleep(wait)
    assert not written


async def test_who_waits_for_an_answer_is_not_silent(autojump_clock: MockClock) -> None:
    """E9: while a command is under way nothing is read, so pongs are not heard. After it the peer has two heartbeats again."""
    heartbeat = Config().gateway.heartbeat
    for busy in (1.5, 7.3, 40.0):
        written: list[bytes] = []
        session = session_on(lambda frame, event=None, written=written: written.append(frame) or True)  # type: ignore[misc]
        start = trio.current_time()
        while (wait := session.beat()) is not None:
            await trio.sleep(wait)
            session._lane.is_reading = trio.current_time() >= start + busy * heartbeat
        assert (busy + 1) * heartbeat <= trio.current_time() - start <= (busy + 3) * heartbeat
        assert len(written) >= busy
        assert set(written) == {PING}


def test_who_floods_again_has_to_stay_away_for_longer() -> None:
    penalties, now, me, other = Penalties(), 1000.0, ("t", "me"), ("t", "other")
    waits = []
    for _ in range(8):
        waits.append(penalties.add(me, now))
        assert penalties.add(me, now + 1) == waits[-1] - 1
        assert penalties.left(me, now + waits[-1] / 2) == waits[-1] / 2
        assert penalties.left(other, now) == 0
        now += waits[-1]
        assert penalties.left(me, now) == 0
    assert waits == sorted(waits)
    assert (waits[0], waits[1], waits[-1]) == (FIRST_S, 2 * FIRST_S, MAX_S)
    assert penalties.add(me, now + FORGOTTEN_AFTER_S + 1) == FIRST_S


async def test_the_close_for_flooding_says_when_to_come_back() -> None:
    session = session_on(lambda frame, event=None: True)
    session.close_soon("flooding")
    assert session.ending is not None
    assert session.ending[1] == f"retry_in_ms={FIRST_S * 1000:.0f}"
    assert session._desk.penalties.left(("default", "u"), trio.current_time()) > FIRST_S - 1
