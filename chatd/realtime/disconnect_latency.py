"""Measures the time from a commit that closes sessions, such as a ban, until the last of these sessions is closed.

The request contains the time at which its reason was committed, by the clock of the node that committed it. A peer that
does not answer the close frame is counted until `gateway.close_timeout`, although nothing is sent to it or read from it
any more.
"""

from collections.abc import Callable

from chatd.core.histogram import Histogram
from chatd.realtime.sessions import Session


class CloseRequest:
    """When its reason was committed, in milliseconds (0 if unknown), and how many sessions it still waits for."""

    __slots__ = ("at", "left")

    def __init__(self, at: int) -> None:
        self.at = at
        self.left = 0


class DisconnectLatency:
    """The requests under way on this node. `seconds` has the completed ones."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.seconds = Histogram()
        self._clock = clock
        self._expected: dict[Session, CloseRequest] = {}

    def expect(self, session: Session, request: CloseRequest) -> None:
        """Measure until this session is closed. The first request of a session counts."""
        if request.at and session not in self._expected:
            self._expected[session] = request
            request.left += 1

    def note_closed(self, session: Session) -> None:
        request = self._expected.pop(session, None)
        if request is None:
            return
        request.left -= 1
        if not request.left:
            # The clocks of machines differ a little.
            self.seconds.observe(max(0, self._clock() - request.at) / 1000)
