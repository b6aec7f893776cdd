"""Which sessions of this node look at whom, and what the other nodes say of those.

Only of users whom somebody here looks at anything is kept. `to_tell` gathers those of whom something may have to be told.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct, field

from chatd.presence.local_presence import GONE, ONLINE, Attendance, User
from chatd.realtime.sessions import Session

# So often in a row a node must be missing from the board until it is believed: a board that was lost is written anew meanwhile.
MISSES = 2


class Target(NamedTuple):
    """A user whom a session watches, by user id or, in a match, by `alias`. One session may watch a user by both."""

    user: User
    alias: str | None = None

    @property
    def shown_as(self) -> str:
        return self.alias or self.user[1]


# A session, and the alias by which it looks.
Looker = tuple[str, str | None]


class Watched(Struct):
    """A user whom somebody looks at: the ranks at other nodes with the number of the word that said so, and what each looker
    was told; None while the first answer is under way. `known`: the board was read. `told_at` in seconds.
    """

    elsewhere: dict[str, tuple[int, int]] = field(default_factory=dict)
    lookers: dict[Looker, int | None] = field(default_factory=dict)
    known: bool = False
    told_at: float = 0.0


class Lookers:
    """`name` is this node's."""

    def __init__(self, attendance: Attendance, name: str) -> None:
        self.watched: dict[User, Watched] = {}
        self.to_tell: dict[User, None] = {}
        # Grows with each word of another node: what was asked before it came must not replace it.
        self.words = 0
        self._attendance = attendance
        self._name = name
        self._looks: dict[str, list[Target]] = {}
        self._sayers: set[str] = set()
        self._missing: dict[str, int] = {}

    # --- who looks ------------------------------------------------------------------------------------------------------

    def look(self, session: str, targets: Sequence[Target]) -> None:
        """The session looks at these from now on, and at nobody else."""
        before = self._looks.pop(session, [])
        for target in targets:
            self.watched.setdefault(target.user, Watched()).lookers[session, target.alias] = None
        self._drop(session, set(before).difference(targets))
        if targets:
            self._looks[session] = list(targets)

    def forget(self, session: Session) -> None:
        self._drop(session.id, self._looks.pop(session.id, ()))

    def _drop(self, session: str, targets: Iterable[Target]) -> None:
        for user, alias in targets:
            watched = self.watched[user]
            watched.lookers.pop((session, alias), None)
            if not watched.lookers:
                del self.watched[user]
                self.to_tell.pop(user, None)

    def note_told(self, session: str, target: Target, shown: int, rank: int) -> None:
        """What the session sees now, when the user was of this rank."""
        user, looker = target.user, (session, target.alias)
        watched = self.watched.get(user)
        if watched is not None and looker in watched.lookers:
            watched.lookers[looker] = shown
            if self.rank(user) != rank:
                self.to_tell[user] = None

    # --- what is known --------------------------------------------------------------------------------------------------

    def rank(self, user: User) -> int:
        """The highest of all nodes, as far as it is known here."""
        watched = self.watched.get(user)
        elsewhere = [rank for rank, _ in watched.elsewhere.values()] if watched is not None else []
        return max(self._attendance.rank(user), *elsewhere) if elsewhere else self._attendance.rank(user)

    def mark(self, users: Iterable[User]) -> None:
        """Something about these may have changed."""
        for user in users:
            if user in self.watched:
                self.to_tell[user] = None

    def hear(self, node: str, user: User, rank: int) -> None:
        """What another node says."""
        watched = self.watched.get(user)
        if watched is not None:
            self.words += 1
            self._say(user, watched, node, min(rank, ONLINE))

    def _say(self, user: User, watched: Watched, node: str, rank: int) -> None:
        before = self.rank(user)
        self._sayers.add(node)
        watched.elsewhere[node] = (rank, self.words)
        if self.rank(user) != before:
            self.to_tell[user] = None

    def learn(self, found: Mapping[str, Mapping[User, int]], users: Sequence[User], words: int) -> None:
        """What was on the board; `words` as it was when the board was asked."""
        for user in users:
            watched = self.watched.get(user)
            if watched is not None:
                watched.known = True
                for node, ranks in found.items():
                    rank, said = watched.elsewhere.get(node, (GONE, 0))
                    if node != self._name and said <= words and ranks.get(user, GONE) != rank:
                        self._say(user, watched, node, ranks.get(user, GONE))

    def nodes_are(self, nodes: set[str]) -> None:
        """Those on the board. What the others have said counts no more."""
        self._missing = {node: self._missing.get(node, 0) + 1 for node in self._sayers - nodes}
        for node in [node for node, misses in self._missing.items() if misses >= MISSES]:
            for user, watched in self.watched.items():
                if node in watched.elsewhere:
                    self._say(user, watched, node, GONE)
                    del watched.elsewhere[node]
            self._sayers.discard(node)

    # --- telling --------------------------------------------------------------------------------------------------------

    def due(self, now: float, pause: float) -> list[User]:
        """Of whom something is to be told now: at most once in `pause` seconds for each."""
        due = [user for user in self.to_tell if now - self.watched[user].told_at >= pause]
        for user in due:
            del self.to_tell[user]
            self.watched[user].told_at = now
        return due

    def statistics(self) -> dict[str, int]:
        return {"watching": len(self._looks), "watched": len(self.watched)}
