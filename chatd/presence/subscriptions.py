"""Which sessions of this node are subscribed to the presence of which users, and what other nodes report of those
users.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct, field

from chatd.core.identity import UserKey
from chatd.presence.local_presence import OFFLINE, ONLINE, LocalPresence
from chatd.realtime.sessions import Session

# A node that is missing in this many consecutive heartbeats counts as removed: a store that was lost is written again
# in between.
MAX_MISSES = 2


class Target(NamedTuple):
    """A user whom a session watches, by user id or, in a match, by `alias`. One session may watch a user by both."""

    user: UserKey
    alias: str | None = None

    @property
    def shown_as(self) -> str:
        return self.alias or self.user[1]


# A session, and the alias by which it watches.
Subscriber = tuple[str, str | None]


class WatchedUser(Struct):
    """A user whom sessions of this node watch.

    `remote`: by node the reported level, and the version of the report. `subscribers`: the level that each was sent,
    None before the first answer. `known`: the store was read. `sent_at`: when updates were last sent, in seconds.
    """

    remote: dict[str, tuple[int, int]] = field(default_factory=dict)
    subscribers: dict[Subscriber, int | None] = field(default_factory=dict)
    known: bool = False
    sent_at: float = 0.0


class PresenceSubscriptions:
    """The watched users. `name`: of this node. `changed`: watched users whose subscribers may need an update."""

    def __init__(self, local: LocalPresence, name: str) -> None:
        self.watched: dict[UserKey, WatchedUser] = {}
        self.changed: dict[UserKey, None] = {}
        # Grows with each report of another node: levels that were read before it must not replace it.
        self.version = 0
        self._local = local
        self._name = name
        self._targets: dict[str, list[Target]] = {}
        self._reporters: set[str] = set()
        self._misses: dict[str, int] = {}

    # --- sessions -------------------------------------------------------------------------------------------------

    def subscribe(self, session: str, targets: Sequence[Target]) -> None:
        """Subscribe the session to these targets only."""
        before = self._targets.pop(session, [])
        for target in targets:
            self.watched.setdefault(target.user, WatchedUser()).subscribers[session, target.alias] = None
        self._drop(session, set(before).difference(targets))
        if targets:
            self._targets[session] = list(targets)

    def unsubscribe(self, session: Session) -> None:
        self._drop(session.id, self._targets.pop(session.id, ()))

    def _drop(self, session: str, targets: Iterable[Target]) -> None:
        for user, alias in targets:
            watched = self.watched[user]
            watched.subscribers.pop((session, alias), None)
            if not watched.subscribers:
                del self.watched[user]
                self.changed.pop(user, None)

    def note_sent(self, session: str, target: Target, shown: int, level: int) -> None:
        """Note that the session was sent `shown` when the user had this level."""
        user, subscriber = target.user, (session, target.alias)
        watched = self.watched.get(user)
        if watched is not None and subscriber in watched.subscribers:
            watched.subscribers[subscriber] = shown
            if self.level(user) != level:
                self.changed[user] = None

    # --- levels ---------------------------------------------------------------------------------------------------

    def level(self, user: UserKey) -> int:
        """The highest level on all nodes, as far as this node knows."""
        watched = self.watched.get(user)
        remote = [level for level, _ in watched.remote.values()] if watched is not None else []
        return max(self._local.level(user), *remote) if remote else self._local.level(user)

    def mark_changed(self, users: Iterable[UserKey]) -> None:
        """Send updates of these users, as far as they are watched."""
        for user in users:
            if user in self.watched:
                self.changed[user] = None

    def on_report(self, node: str, user: UserKey, level: int) -> None:
        """Apply the report of another node."""
        watched = self.watched.get(user)
        if watched is not None:
            self.version += 1
            self._set_level(user, watched, node, min(level, ONLINE))

    def _set_level(self, user: UserKey, watched: WatchedUser, node: str, level: int) -> None:
        before = self.level(user)
        self._reporters.add(node)
        watched.remote[node] = (level, self.version)
        if self.level(user) != before:
            self.changed[user] = None

    def apply_levels(self, found: Mapping[str, Mapping[UserKey, int]], users: Sequence[UserKey], version: int) -> None:
        """Apply the levels that the store had, by node. `version`: its value before the store was read."""
        for user in users:
            watched = self.watched.get(user)
            if watched is not None:
                watched.known = True
                for node, levels in found.items():
                    level, reported = watched.remote.get(node, (OFFLINE, 0))
                    if node != self._name and reported <= version and levels.get(user, OFFLINE) != level:
                        self._set_level(user, watched, node, levels.get(user, OFFLINE))

    def set_nodes(self, nodes: set[str]) -> None:
        """Forget the reports of nodes that are not among these."""
        self._misses = {node: self._misses.get(node, 0) + 1 for node in self._reporters - nodes}
        for node in [node for node, misses in self._misses.items() if misses >= MAX_MISSES]:
            for user, watched in self.watched.items():
                if node in watched.remote:
                    self._set_level(user, watched, node, OFFLINE)
                    del watched.remote[node]
            self._reporters.discard(node)

    # --- updates --------------------------------------------------------------------------------------------------

    def take_due(self, now: float, interval_s: float) -> list[UserKey]:
        """Take the changed users of whom updates are due: at most one per user and interval."""
        due = [user for user in self.changed if now - self.watched[user].sent_at >= interval_s]
        for user in due:
            del self.changed[user]
            self.watched[user].sent_at = now
        return due

    def statistics(self) -> dict[str, int]:
        return {"watching": len(self._targets), "watched": len(self.watched)}
