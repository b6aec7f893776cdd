"""How long sessions last, and which of them are reconnections."""

from trio.testing import MockClock

from chatd.core.histogram import LONG_BOUNDS
from chatd.core.ids import uuid7
from chatd.core.signals import Signals
from chatd.operations.session_statistics import RECONNECT_S, SessionStatistics
from chatd.realtime.pending_session import PendingSession
from chatd.realtime.signals import SessionOpened, SessionRemoved
from tests.operations.test_metrics import one, scrape
from tests.realtime.test_hub import Session
from tests.support import Daemon, poll_until


async def test_sessions_are_measured_by_transport(autojump_clock: MockClock) -> None:
    signals, now_ms = Signals(), 10**12
    found = SessionStatistics(signals, lambda: now_ms)
    for seconds in (0.5, 20, 100_000):
        signals.send_sync(SessionRemoved(Session(uuid7(now_ms - int(seconds * 1000)), "ann", transport="sse")))
    histogram = found.seconds["sse"]
    assert histogram.counts == [1, 0, 1, *[0] * (len(LONG_BOUNDS) - 3), 1]
    assert histogram.sum == 100_020.5
    assert found.seconds["websocket"].count == 0


async def test_a_session_soon_after_another_is_a_reconnection(mock_clock: MockClock) -> None:
    signals, session = Signals(), Session(uuid7(0), "ann", tenant="t")
    found = SessionStatistics(signals, lambda: 0)
    for pause, expected in ((None, 0), (1.0, 1), (RECONNECT_S + 1, 1), (RECONNECT_S - 1, 2)):
        if pause is not None:
            signals.send_sync(SessionRemoved(session))
            mock_clock.jump(pause)
        signals.send_sync(SessionOpened(PendingSession("t", "ann")))
        signals.send_sync(SessionOpened(PendingSession("other", "ann")))
        assert found.reconnections == expected
    assert found.memory_per_session(10**15, 0) == 0
    assert 0 < found.memory_per_session(10**15, 1000) < 10**12


async def test_messages_and_statements_are_measured(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        for text in ("four", "sixsix"):
            await alice.send(conversation, text)
            await bob.event("message.new")
        now = await scrape(daemon)
        assert now[one("chatd_message_characters_total")] == 10
        assert now[one("chatd_message_delivery_seconds_count")] == 2
        assert 0 < now[one("chatd_message_delivery_seconds_sum")] < 60
        assert now[one("chatd_postgres_use_seconds_count")] == now[one("chatd_postgres_wait_seconds_count")] > 0
        assert now[one("chatd_session_memory_bytes")] >= 0
    ended = one("chatd_session_seconds_count", transport="websocket")
    await poll_until(lambda: scrape(daemon), lambda now: now[ended] == 2)
