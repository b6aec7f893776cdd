"""A session alone: what it lets out, and what not any more."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd.core.config import Config
from chatd.core.identity import Principal
from chatd.core.ids import uuid7
from chatd.gateway.penalties import FIRST_S, MAX_S, RESET_AFTER_S, Penalties
from chatd.gateway.send_queue import GapPosition
from chatd.gateway.session import MOST_HIDDEN, PING, Session
from chatd.matching.aliases.aliases import Mask
from chatd.wire.codec import codecs


def session_on(send_nowait: Any, mask: Mask | None = None) -> Session:
    node = SimpleNamespace(config=Config(), clock=lambda: 0)
    desk: Any = SimpleNamespace(node=node, rows={}, wheel=None, penalties=Penalties())
    stream: Any = SimpleNamespace(
        send_nowait=send_nowait, last_activity=trio.current_time(), is_reading=True, discard=lambda: None, mute=lambda: None
    )
    me = Principal("default", "u", "t", "", "user", 2**60)
    return Session(desk, stream, next(iter(codecs([]).values())), me, "127.0.0.1", mask)


async def test_after_the_goodbye_nothing_follows() -> None:
    written: list[bytes] = []
    session = session_on(lambda frame, event=None: written.append(frame) or True)
    session.send_nowait(b"1")
    session.request_close("slow")
    session.send_nowait(b"2")
    assert written == [b"1"]


async def test_a_drained_session_still_gets_the_answers_that_are_under_way() -> None:
    written: list[bytes] = []
    session = session_on(lambda frame, event=None: written.append(frame) or True)
    session.request_close("going_away", "retry_in_ms=1")
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
        while (wait := session.on_heartbeat()) is not None:
            await trio.sleep(wait)
            session._stream.last_activity = min(last, trio.current_time())
        assert trio.current_time() - last == pytest.approx(2 * heartbeat)
        assert written == [PING]


async def test_who_talks_is_looked_at_once_a_heartbeat_and_not_asked(autojump_clock: MockClock) -> None:
    written: list[bytes] = []
    session = session_on(lambda frame, event=None: written.append(frame) or True)
    for _ in range(10):
        session._stream.last_activity = trio.current_time()
        wait = session.on_heartbeat()
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
        while (wait := session.on_heartbeat()) is not None:
            await trio.sleep(wait)
            session._stream.is_reading = trio.current_time() >= start + busy * heartbeat
        assert (busy + 1) * heartbeat <= trio.current_time() - start <= (busy + 3) * heartbeat
        assert len(written) >= busy
        assert set(written) == {PING}


async def test_a_session_that_hides_nobody_writes_to_the_lane_itself() -> None:
    """With or without the option: what it costs is paid only while there is somebody to hide."""
    written: list[tuple[bytes, Any]] = []

    def send_nowait(frame: bytes, event: Any = None, /) -> bool:
        written.append((frame, event))
        return True

    assert session_on(send_nowait).send_nowait is send_nowait
    mask = Mask()
    session = session_on(send_nowait, mask)
    assert session.send_nowait is send_nowait
    somebody, alias = uuid7(1), uuid7(2)
    mask.hide([(somebody, alias)])
    event = GapPosition("c", 1)
    session.send_nowait(f"<{somebody}>".encode(), event)
    assert written == [(f"<{alias}>".encode(), event)]
    mask.reveal([somebody])
    assert session.send_nowait is send_nowait


async def test_a_session_that_has_ended_stays_silent_whoever_is_hidden_then() -> None:
    written: list[bytes] = []
    mask = Mask()
    session = session_on(lambda frame, event=None: written.append(frame) or True, mask)
    session.request_close("slow")
    mask.hide([(uuid7(1), uuid7(2))])
    assert session.send_nowait(b"late")
    assert written == []


async def test_a_session_that_has_met_too_many_has_to_come_back() -> None:
    mask = Mask()
    session = session_on(lambda frame, event=None: True, mask)
    mask.hide([(uuid7(number), uuid7(number)) for number in range(MOST_HIDDEN)])
    assert session.ending is None
    mask.hide([(uuid7(1), uuid7(2))])
    assert session.ending is not None
    assert (session.ending[0].name, session.ending[0].may_return) == ("going_away", True)


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
    assert penalties.add(me, now + RESET_AFTER_S + 1) == FIRST_S


async def test_the_close_for_flooding_says_when_to_come_back() -> None:
    session = session_on(lambda frame, event=None: True)
    session.request_close("flooding")
    assert session.ending is not None
    assert session.ending[1] == f"retry_in_ms={FIRST_S * 1000:.0f}"
    assert session._deps.penalties.left(("default", "u"), trio.current_time()) > FIRST_S - 1
