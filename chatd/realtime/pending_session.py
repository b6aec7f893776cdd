"""Sessions of users that are signing in: what changes between the query of their state and their registration."""

from collections.abc import Iterator
from math import inf
from time import monotonic
from weakref import WeakSet

from chatd.core.identity import UserKey
from chatd.realtime.disconnect_latency import CloseRequest


class PendingSession:
    """A session that is not registered yet.

    `topics` are those that the query found, with their revs; the changes since then are noted here.
    """

    __slots__ = (
        "__weakref__",
        "began",
        "close_requests",
        "key",
        "match",
        "match_delivered",
        "new_memberships",
        "subscribed_count",
        "suppressed",
        "topics",
        "unsubscribed",
    )  # fmt: skip

    def __init__(self, tenant: str, user: str) -> None:
        self.key = (tenant, user)
        # In seconds of the monotonic clock.
        self.began = monotonic()
        self.topics: list[tuple[str, int]] = []
        # How many of the topics the session is subscribed to.
        self.subscribed_count = 0
        # Topics in which a membership began since the query.
        self.new_memberships: set[str] = set()
        # The close, and the credential that it applies to; all if empty.
        self.close_requests: list[tuple[str, str | None, CloseRequest]] = []
        # The match of the user, and whether `match.found` was delivered to them.
        self.match: str | None = None
        self.match_delivered = True
        # Newer than the result of the query: whether ephemeral events are suppressed, and topics that the user has
        # left.
        self.suppressed: dict[str, bool] = {}
        self.unsubscribed: set[str] = set()


class PendingSessions:
    """The pending sessions of this node. Unused ones are forgotten."""

    def __init__(self) -> None:
        self._pending: WeakSet[PendingSession] = WeakSet()

    def begin(self, tenant: str, user: str) -> PendingSession:
        """Begin a pending session. Call it before the query of the user's state."""
        pending = PendingSession(tenant, user)
        self._pending.add(pending)
        return pending

    def end(self, pending: PendingSession) -> None:
        self._pending.discard(pending)

    def __iter__(self) -> Iterator[PendingSession]:
        return iter(self._pending)

    def of_user(self, tenant: str, user: str) -> list[PendingSession]:
        return [pending for pending in self._pending if pending.key == (tenant, user)]

    def users(self) -> set[UserKey]:
        return {pending.key for pending in self._pending}

    def oldest(self) -> float:
        """The time at which the oldest pending session began, by the monotonic clock; infinity if there is none."""
        return min((pending.began for pending in self._pending), default=inf) if self._pending else inf
