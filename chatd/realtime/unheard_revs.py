"""The last revs of topics that were delivered while no session of this node was subscribed.

A subscription can become known late: the user's state is being queried, or the control message of another node is on
its way. Then the session has missed events, and gets `behind` up to the rev that is noted here.
"""

from collections.abc import Callable
from math import inf
from time import monotonic

# The latest topics are kept; more of them if pending sessions may need them. SLACK: how many more before they are
# trimmed.
MAX_TOPICS, SLACK = 10_000, 1_000
# Tenant, and name of the topic.
Topic = tuple[str, str]


class UnheardRevs:
    """Revs by topic, the oldest first.

    `needed_since()`: topics noted after this time are kept, by the monotonic clock.
    """

    def __init__(self, needed_since: Callable[[], float]) -> None:
        self._needed_since = needed_since
        self._revs: dict[Topic, tuple[int, float]] = {}
        self._trim_above = MAX_TOPICS

    def note(self, topic: Topic, rev: int) -> None:
        revs = self._revs
        known = revs.pop(topic, None)
        revs[topic] = (rev if known is None or known[0] < rev else known[0], monotonic())
        if len(revs) > self._trim_above:
            self._trim()

    def _trim(self) -> None:
        needed_since = self._needed_since()
        while len(self._revs) > MAX_TOPICS:
            oldest = next(iter(self._revs))
            if self._revs[oldest][1] >= needed_since:
                break
            del self._revs[oldest]
        # While sessions are pending, the oldest of them is searched only now and then.
        self._trim_above = MAX_TOPICS if needed_since == inf else len(self._revs) + SLACK

    def rev(self, topic: Topic) -> int:
        """The noted rev, or 0."""
        return self._revs.get(topic, (0, 0.0))[0]
