"""A session without a connection: what it sends, and when it stops."""

from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from chatd.core.config import Config
from chatd.core.identity import Principal
from chatd.gateway.cork import NO_CORK
from chatd.gateway.fast_path import FastPathStream
from chatd.gateway.penalties import FIRST_S, MAX_S, RESET_AFTER_S, Penalties
from chatd.gateway.send_queue import SendQueue
from chatd.gateway.session import PING, Session
from chatd.wire.codec import codecs
from chatd.wire.frames import encode_close


class Written(list[bytes]):
    """A transport that takes every frame at once."""

    cork = NO_CORK

    def write_nowait(self, data: bytes) -> int:
        self.append(data)
        return len(data)


def session_on(written: Written) -> Session:
    penalties = Penalties()
    node = SimpleNamespace(config=Config(), clock=lambda: 0, get={Penalties: penalties}.__getitem__)
    desk: Any = SimpleNamespace(node=node, rows={}, wheel=None)
    transport: Any = written
    nursery: Any = None
    stream = FastPathStream(transport, SendQueue(transport, nursery, 1000, 10))
    stream.is_reading = True
    me = Principal("default", "u", "t", "", "user", 2**60)
    return Session(desk, stream, next(iter(codecs([]).values())), me, "127.0.0.1")


async def test_nothing_is_sent_after_the_close() -> None:
    written = Written()
    session = session_on(written)
    session.send_nowait(b"1")
    session.request_close("slow")
    session.send_nowait(b"2")
    assert written == [b"1", encode_close(4000, "slow")]


async def test_a_drained_session_still_gets_pending_answers() -> None:
    written = Written()
    session = session_on(written)
    session.request_close("going_away", "retry_in_ms=1")
    session.send_nowait(b"answer")
    assert written == [b"answer"]


async def test_frames_before_the_registration_are_discarded() -> None:
    written = Written()
    session = session_on(written)
    with session.silent():
        assert session.send_nowait(b"early")
    session.send_nowait(b"1")
    assert written == [b"1"]


async def test_a_silent_peer_is_dropped_after_two_heartbeats(autojump_clock: MockClock) -> None:
    """Whenever the silence began between two checks."""
    heartbeat = Config().gateway.heartbeat
    for active_s in range(30):
        written = Written()
        session = session_on(written)
        start = trio.current_time()
        last = start + active_s
        while (wait := session.on_heartbeat()) is not None:
            await trio.sleep(wait)
            session._stream.last_activity = min(last, trio.current_time())
        assert trio.current_time() - last == pytest.approx(2 * heartbeat)
        assert written == [PING]


async def test_an_active_peer_is_not_pinged(autojump_clock: MockClock) -> None:
    written = Written()
    session = session_on(written)
    for _ in range(10):
        session._stream.last_activity = trio.current_time()
        wait = session.on_heartbeat()
        assert wait == Config().gateway.heartbeat
        await trio.sleep(wait)
    assert not written


async def test_a_peer_that_waits_for_an_answer_is_not_silent(autojump_clock: MockClock) -> None:
    """During a command nothing is read, pongs neither. After it the peer has two heartbeats again."""
    heartbeat = Config().gateway.heartbeat
    for busy in (1.5, 7.3, 40.0):
        written = Written()
        session = session_on(written)
        start = trio.current_time()
        while (wait := session.on_heartbeat()) is not None:
            await trio.sleep(wait)
            session._stream.is_reading = trio.current_time() >= start + busy * heartbeat
        assert (busy + 1) * heartbeat <= trio.current_time() - start <= (busy + 3) * heartbeat
        assert len(written) >= busy
        assert set(written) == {PING}


def test_repeated_floods_lengthen_the_penalty() -> None:
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


async def test_the_close_for_flooding_has_the_time_to_reconnect() -> None:
    session = session_on(Written())
    session.request_close("flooding")
    assert session.ending is not None
    assert session.ending[1] == f"retry_in_ms={FIRST_S * 1000:.0f}"
    assert session._node.get(Penalties).left(("default", "u"), trio.current_time()) > FIRST_S - 1
