"""The presence of this node's users: online if one of their sessions is, else away if they have a session, else
offline.

When a session ends, what it contributed counts for a grace period, so that a reconnection changes nothing. A user who
is only online takes no memory here.
"""

from msgspec import Struct

from chatd.core.identity import UserKey
from chatd.realtime.hub import Hub
from chatd.realtime.sessions import Session
from chatd.realtime.signals import UserConnected

# The level of a user is the highest of those that several sessions or nodes report.
OFFLINE, AWAY, ONLINE = 0, 1, 2


class GracePeriod(Struct):
    """The level of a user before a session ended. It counts until the time `until`."""

    until: float
    level: int


class LocalPresence:
    """The levels of this node's users. `changed`: users whose level may have changed since it was cleared. `grace`:
    seconds.
    """

    def __init__(self, hub: Hub, grace: float) -> None:
        self.changed: dict[UserKey, None] = {}
        self._hub = hub
        self._grace = grace
        self._away: dict[UserKey, set[str]] = {}
        # In the order of `until`.
        self._grace_periods: dict[UserKey, GracePeriod] = {}
        hub.signals.on_sync(UserConnected, self._connected)

    def level(self, user: UserKey) -> int:
        period = self._grace_periods.get(user)
        return max(self._session_level(user), period.level if period is not None else OFFLINE)

    def _session_level(self, user: UserKey) -> int:
        sessions = self._hub.connections.count(*user)
        if not sessions:
            return OFFLINE
        return AWAY if len(self._away.get(user, ())) >= sessions else ONLINE

    def set_away(self, user: UserKey, session: str, away: bool) -> None:
        """Set whether a session is away. If the user's level stays as it is, there is nothing to publish."""
        before = self._session_level(user)
        if away:
            self._away.setdefault(user, set()).add(session)
        else:
            self._clear_away(user, session)
        if self._session_level(user) != before:
            self.changed[user] = None

    def _clear_away(self, user: UserKey, session: str) -> bool:
        """Returns whether the session was away."""
        away = self._away.get(user)
        if away is None or session not in away:
            return False
        away.discard(session)
        if not away:
            del self._away[user]
        return True

    def _connected(self, signal: UserConnected) -> None:
        """End the grace period of a user: their new session is online."""
        key = (signal.tenant, signal.user)
        period = self._grace_periods.pop(key, None)
        if (period is None or period.level < ONLINE) and (key in self._away or self._hub.connections.count(*key) == 1):
            self.changed[key] = None

    def on_session_removed(self, session: Session, now: float) -> None:
        user = (session.tenant, session.user)
        was = AWAY if self._clear_away(user, session.id) else ONLINE
        if was > self._session_level(user):
            period = self._grace_periods.pop(user, None)
            self._grace_periods[user] = GracePeriod(
                now + self._grace, max(was, period.level if period is not None else OFFLINE)
            )

    def end_grace_periods(self, now: float) -> list[UserKey]:
        """End those that are over. Returns the users who are offline now."""
        gone = []
        while self._grace_periods:
            user, period = next(iter(self._grace_periods.items()))
            if period.until > now:
                break
            del self._grace_periods[user]
            self.changed[user] = None
            if not self._session_level(user):
                gone.append(user)
        return gone

    def users(self) -> list[UserKey]:
        """Users who are connected or in a grace period."""
        return list(dict.fromkeys([*self._hub.connections.users(), *self._grace_periods]))

    def statistics(self) -> dict[str, int]:
        return {"away": len(self._away), "grace_periods": len(self._grace_periods)}
