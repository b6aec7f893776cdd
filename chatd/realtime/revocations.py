"""How long it takes from the order to close somebody's sockets until the last one here is closed.

The order says when its reason was committed, by the clock of whoever gave it. A peer that does not answer the close is counted
until it is let go (`gateway.close_timeout`), though nothing is said to it, and nothing heard of it, any more.
"""

from collections.abc import Callable

from chatd.core.histogram import Histogram
from chatd.realtime.subscriptions import Session


class Revocation:
    """One order: since when, in milliseconds, and how many sessions it still waits for."""

    __slots__ = ("at", "left")

    def __init__(self, at: int) -> None:
        self.at = at
        self.left = 0


class Revocations:
    """Those that are under way here. `seconds` has those that are done."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.seconds = Histogram()
        self._clock = clock
        self._expected: dict[Session, Revocation] = {}

    def expect(self, session: Session, revocation: Revocation) -> None:
        """This session has to go. The first order counts; one that does not say since when is not measured."""
        if revocation.at and session not in self._expected:
            self._expected[session] = revocation
            revocation.left += 1

    def gone(self, session: Session) -> None:
        revocation = self._expected.pop(session, None)
        if revocation is None:
            return
        revocation.left -= 1
        if not revocation.left:
            # Clocks of machines differ a little.
            self.seconds.observe(max(0, self._clock() - revocation.at) / 1000)
