"""The sessions of this node, by id and by user."""

from collections import Counter
from collections.abc import Collection, Iterable

from chatd.core.identity import UserKey
from chatd.core.signals import Signals
from chatd.realtime.pending_session import PendingSessions
from chatd.realtime.sessions import Session
from chatd.realtime.signals import UserConnected, UserDisconnected


class Connections:
    """Registered sessions, and `pending` ones. `by_transport`: the number of the registered ones."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._by_user: dict[UserKey, dict[Session, None]] = {}
        self.by_id: dict[str, Session] = {}
        self.by_transport: Counter[str] = Counter()
        self.pending = PendingSessions()

    def add(self, session: Session) -> None:
        self.by_id[session.id] = session
        self.by_transport[session.transport] += 1
        self._by_user.setdefault((session.tenant, session.user), {})[session] = None
        self._signals.send_sync(UserConnected(session.tenant, session.user))

    def remove(self, session: Session) -> bool:
        """Returns whether the session was registered."""
        known = self.by_id.pop(session.id, None) is not None
        self.by_transport[session.transport] -= known
        of_user = self._by_user.get((session.tenant, session.user), {})
        of_user.pop(session, None)
        if not of_user and self._by_user.pop((session.tenant, session.user), None) is not None:
            self._signals.send_sync(UserDisconnected(session.tenant, session.user))
        return known

    def of_user(self, tenant: str, user: str) -> Collection[Session]:
        """The sessions of a user. Copy them before an action that may end one."""
        return self._by_user.get((tenant, user), ())

    def count(self, tenant: str, user: str) -> int:
        return len(self._by_user.get((tenant, user), ()))

    def has_other(self, tenant: str, user: str, session_id: str | None) -> bool:
        """Whether the user has another session."""
        return any(session.id != session_id for session in self.of_user(tenant, user))

    def find(self, tenant: str, user: str | None, session_id: str | None) -> list[Session]:
        """The sessions of a tenant: all, those of a user, or the one with this id."""
        found: Iterable[Session] = self.by_id.values() if user is None else self.of_user(tenant, user)
        if session_id is not None:
            found = filter(None, [self.by_id.get(session_id)])
        return [session for session in found if session.tenant == tenant and user in (None, session.user)]

    def users(self) -> list[UserKey]:
        """Tenants and ids of connected users."""
        return list(self._by_user)

    def user_count(self) -> int:
        return len(self._by_user)
