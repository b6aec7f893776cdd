"""How long sessions last, how many are reconnections, and what memory they take."""

from collections.abc import Callable

import trio

from chatd.app.rate_limits import MAX_USERS, Recent
from chatd.core.histogram import LongHistogram
from chatd.core.identity import UserKey
from chatd.core.ids import made_at
from chatd.core.signals import Signals
from chatd.operations.process import rss_bytes
from chatd.realtime.sessions import TRANSPORTS
from chatd.realtime.signals import SessionOpened, SessionRemoved

# A session that begins within this time after the end of the last one is a reconnection.
RECONNECT_S = 300.0


class EndOfSession:
    """When the last session of a user ended, in seconds of Trio's clock."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = float("-inf")


class SessionStatistics:
    """Those of this node. `seconds`: of ended sessions, by transport."""

    def __init__(self, signals: Signals, clock: Callable[[], int]) -> None:
        self.seconds = {transport: LongHistogram() for transport in TRANSPORTS}
        self.reconnections = 0
        self._clock = clock
        self._ended = Recent[UserKey, EndOfSession](EndOfSession, MAX_USERS)
        self._rss_at_start = rss_bytes()
        signals.on_sync(SessionOpened, self._on_opened)
        signals.on_sync(SessionRemoved, self._on_removed)

    def _on_opened(self, signal: SessionOpened) -> None:
        end = self._ended.get(signal.pending.key)
        if end is not None and trio.current_time() - end.at < RECONNECT_S:
            self.reconnections += 1
        self._ended.discard(signal.pending.key)

    def _on_removed(self, signal: SessionRemoved) -> None:
        session = signal.session
        self.seconds[session.transport].observe(max(0, self._clock() - made_at(session.id)) / 1000)
        self._ended.of((session.tenant, session.user)).at = trio.current_time()

    def memory_per_session(self, rss: int, sessions: int) -> float:
        """In bytes; 0 without sessions."""
        return max(0, rss - self._rss_at_start) / sessions if sessions else 0.0
