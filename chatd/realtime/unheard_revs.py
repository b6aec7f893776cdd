"""How far conversations were told of which nobody was known to hear them here.

That somebody does may become known late: their conversations are being looked up, or another node's order to let them hear it is
still on its way. Then they have missed something, and are told so.
"""

from collections.abc import Callable
from math import inf
from time import monotonic

# Conversations that are remembered, the last ones; more where sessions begin that may need them. How many more until it is looked
# at which of them are needed.
MOST, SLACK = 10_000, 1_000
Key = tuple[str, str]


class Passed:
    """Revs by tenant and conversation, the oldest first. `needed_since`: those that were noted later are kept."""

    def __init__(self, needed_since: Callable[[], float]) -> None:
        self._needed_since = needed_since
        self._revs: dict[Key, tuple[int, float]] = {}
        self._trimmed_above = MOST

    def note(self, key: Key, rev: int) -> None:
        self._revs[key] = (max(rev, self._revs.pop(key, (0, 0.0))[0]), monotonic())
        if len(self._revs) > self._trimmed_above:
            self._trim()

    def _trim(self) -> None:
        needed_since = self._needed_since()
        while len(self._revs) > MOST:
            oldest = next(iter(self._revs))
            if self._revs[oldest][1] >= needed_since:
                break
            del self._revs[oldest]
        # While sessions begin, the oldest of them is looked for now and then only.
        self._trimmed_above = MOST if needed_since == inf else len(self._revs) + SLACK

    def rev(self, key: Key) -> int:
        """0 when nothing passed that is remembered."""
        return self._revs.get(key, (0, 0.0))[0]
