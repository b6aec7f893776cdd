"""Gaps in feeds: since when events are missing, and gaps whose `behind` has to wait for a commit of this node."""

from collections.abc import Callable
from math import inf

import trio

# Tenant, and name of the topic.
Topic = tuple[str, str]
# When the oldest commit of this node in a topic began; infinity if none is under way. Given by tenant and name.
CommitBegan = Callable[[str, str], float]


def no_commits(tenant: str, name: str) -> float:
    return inf


class Gaps:
    """The times of gaps; `Subscriptions` delivers the events."""

    def __init__(self) -> None:
        # The rev before the gap, and when the gap was noticed.
        self.since: dict[Topic, tuple[int, float]] = {}
        # The rev up to which something may be missing, and since when that is known.
        self._deferred: dict[Topic, tuple[int, float]] = {}
        self._commit_began: CommitBegan = no_commits

    def use_commits(self, began: CommitBegan) -> None:
        """Set the function that reports commits of this node in progress."""
        self._commit_began = began

    def note(self, topic: Topic, rev: int) -> None:
        """Note a gap after `rev`."""
        if self.since.get(topic, (-1, 0.0))[0] != rev:
            self.since[topic] = (rev, trio.current_time())

    def clear(self, topic: Topic) -> None:
        if self.since:
            self.since.pop(topic, None)

    def overdue(self, timeout_s: float) -> list[Topic]:
        """Topics in which something is missing for so long that no commit of this node can be the cause."""
        now = trio.current_time()
        return [
            topic
            for topic, (_, since) in self.since.items()
            if since <= now - timeout_s and self._commit_began(*topic) > since
        ]

    def defer(self, topic: Topic, rev: int) -> bool:
        """Defer the `behind` while this node commits in the topic. Returns whether it does."""
        if self._commit_began(*topic) == inf:
            return False
        self._deferred[topic] = (max(rev, self._deferred.get(topic, (0, 0.0))[0]), trio.current_time())
        return True

    def take_deferred(self) -> list[tuple[Topic, int]]:
        """Deferred gaps whose commits have ended."""
        due = [(topic, rev) for topic, (rev, since) in self._deferred.items() if self._commit_began(*topic) > since]
        for topic, _ in due:
            del self._deferred[topic]
        return due
