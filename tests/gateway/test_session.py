"""A session alone: what it lets out, and what not any more."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd.config import Config
from chatd.domain.identity import Principal
from chatd.gateway.session import PING, Session
from chatd.wire.codec import codecs


def session_on(send_nowait: Any) -> Session:
    node = SimpleNamespace(config=Config(), clock=lambda: 0)
    desk: Any = SimpleNamespace(node=node, rows={}, wheel=None)
    lane: Any = SimpleNamespace(send_nowait=send_nowait, last_activity=trio.current_time())
    me = Principal("default", "u", "t", "", "user", 2**60)
    return Session(desk, lane, next(iter(codecs([]).values())), me, "127.0.0.1")


async def test_after_a_message_that_did_not_fit_none_follows() -> None:
    """A later one would be a jump in `seq` that nobody has announced (I4)."""
    written, room = [], [True, False, True, True]

    def send_nowait(frame: bytes, volatile: bool = False, /) -> bool:
        written.append(frame)
        return room.pop(0)

    session = session_on(send_nowait)
    assert session.send_nowait(b"1")
    if not session.send_nowait(b"2"):
        session.close_soon("slow")
    assert session.send_nowait(b"3")
    assert written == [b"1", b"2"]


async def test_a_drained_session_still_gets_the_answers_that_are_under_way() -> None:
    written: list[bytes] = []
    session = session_on(lambda frame, volatile=False: written.append(frame) or True)
    session.close_soon("going_away", "retry_in_ms=1")
    session.send_nowait(b"answer")
    assert written == [b"answer"]


async def test_who_is_silent_is_gone_after_two_heartbeats(autojump_clock: MockClock) -> None:
    """F9: whenever the silence began between two looks."""
    heartbeat = Config().gateway.heartbeat
    for heard in range(30):
        written: list[bytes] = []
        session = session_on(lambda frame, volatile=False, written=written: written.append(frame) or True)  # type: ignore[misc]
        start = trio.current_time()
        last = start + heard
        while (wait := session.beat()) is not None:
            await trio.sleep(wait)
            session._lane.last_activity = min(last, trio.current_time())
        assert trio.current_time() - last == pytest.approx(2 * heartbeat)
        assert written == [PING]


async def test_who_talks_is_looked_at_once_a_heartbeat_and_not_asked(autojump_clock: MockClock) -> None:
    written: list[bytes] = []
    session = session_on(lambda frame, volatile=False: written.append(frame) or True)
    for _ in range(10):
        session._lane.last_activity = trio.current_time()
        wait = session.beat()
        assert wait == Config().gateway.heartbeat
        await trio.sleep(wait)
    assert not written
