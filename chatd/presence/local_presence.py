"""Who of this node's users is there: online when one session is, else away when there is one, else gone.

Whatever was lost with a session is held for the grace, so that a reconnection is no change. A user who is simply online costs
nothing here.
"""

from msgspec import Struct

from chatd.realtime.hub import Hub
from chatd.realtime.sessions import Session
from chatd.realtime.signals import UserConnected

User = tuple[str, str]
# Of several the highest counts.
GONE, AWAY, ONLINE = 0, 1, 2


class Held(Struct):
    """What somebody was before a session ended. It counts until then."""

    until: float
    rank: int


class Attendance:
    """`rank` says it, `changed` gathers who may be something else than before. `grace` in seconds."""

    def __init__(self, hub: Hub, grace: float) -> None:
        self.changed: dict[User, None] = {}
        self._hub = hub
        self._grace = grace
        self._away: dict[User, set[str]] = {}
        # In the order of `until`.
        self._held: dict[User, Held] = {}
        hub.signals.on_sync(UserConnected, self._connected)

    def rank(self, user: User) -> int:
        held = self._held.get(user)
        return max(self._rank_of_sessions(user), held.rank if held is not None else GONE)

    def _rank_of_sessions(self, user: User) -> int:
        sessions = self._hub.connections.count(*user)
        if not sessions:
            return GONE
        return AWAY if len(self._away.get(user, ())) >= sessions else ONLINE

    def set(self, user: User, session: str, away: bool) -> None:
        """One session says whether its user is at it."""
        if away:
            self._away.setdefault(user, set()).add(session)
        else:
            self._forget(user, session)
        self.changed[user] = None

    def _forget(self, user: User, session: str) -> bool:
        """Whether the session was away."""
        away = self._away.get(user)
        if away is None or session not in away:
            return False
        away.discard(session)
        if not away:
            del self._away[user]
        return True

    def _connected(self, signal: UserConnected) -> None:
        """A new session is online; what was held until one came back is not needed any more."""
        key = (signal.tenant, signal.user)
        held = self._held.pop(key, None)
        if (held is None or held.rank < ONLINE) and (key in self._away or self._hub.connections.count(*key) == 1):
            self.changed[key] = None

    def detached(self, session: Session, now: float) -> None:
        """A session has gone."""
        user = (session.tenant, session.user)
        was = AWAY if self._forget(user, session.id) else ONLINE
        if was > self._rank_of_sessions(user):
            held = self._held.pop(user, None)
            self._held[user] = Held(now + self._grace, max(was, held.rank if held is not None else GONE))

    def expire(self, now: float) -> list[User]:
        """Whose grace is over; returns those who have gone."""
        gone = []
        while self._held:
            user, held = next(iter(self._held.items()))
            if held.until > now:
                break
            del self._held[user]
            self.changed[user] = None
            if not self._rank_of_sessions(user):
                gone.append(user)
        return gone

    def everybody(self) -> list[User]:
        """Who is there, or was within the grace."""
        return list(dict.fromkeys([*self._hub.connections.users(), *self._held]))

    def statistics(self) -> dict[str, int]:
        return {"away": len(self._away), "held": len(self._held)}
