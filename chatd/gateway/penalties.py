"""The time that a user may not reconnect after a connection was closed for flooding (4029).

Penalties are by user and not by address, because many users may share one address. Each flood that follows soon doubles
it.
"""

from chatd.app.rate_limits import MAX_USERS, Recent

FIRST_S = 10.0
MAX_S = 300.0
# Time after a penalty when the next flood counts as the first one.
RESET_AFTER_S = 600.0

User = tuple[str, str]


class Penalty:
    """The penalty of one user, in seconds of Trio's clock."""

    __slots__ = ("length", "until")

    def __init__(self) -> None:
        self.length = 0.0
        self.until = float("-inf")


class Penalties:
    """Penalties by tenant and user."""

    def __init__(self) -> None:
        self._users = Recent[User, Penalty](Penalty, MAX_USERS)

    def add(self, user: User, now: float) -> float:
        """Count a flood; connections closed at the same time are one.

        Returns the seconds until the user may reconnect.
        """
        penalty = self._users.of(user)
        if now >= penalty.until:
            is_first = now - penalty.until > RESET_AFTER_S
            penalty.length = FIRST_S if is_first else min(2 * penalty.length, MAX_S)
            penalty.until = now + penalty.length
        return penalty.until - now

    def left(self, user: User, now: float) -> float:
        """Seconds until the user may reconnect; 0 without a penalty."""
        penalty = self._users.get(user)
        return max(0.0, penalty.until - now) if penalty is not None else 0.0
