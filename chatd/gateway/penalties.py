"""How long a user may not connect again after a connection of theirs was closed with 4029.

The count is by user and not by address, because many users may share one address. It doubles with each flood that follows soon.
"""

from chatd.app.rate_limits import MAX_USERS, Recent

FIRST_S = 10.0
MAX_S = 300.0
# A flood that comes later than this after the last one is the first one again.
FORGOTTEN_AFTER_S = 600.0

User = tuple[str, str]


class Penalty:
    """Of one user, in seconds of Trio's clock."""

    __slots__ = ("length", "until")

    def __init__(self) -> None:
        self.length = 0.0
        self.until = float("-inf")


class Penalties:
    """By tenant and user."""

    def __init__(self) -> None:
        self._users = Recent[User, Penalty](Penalty, MAX_USERS)

    def add(self, user: User, now: float) -> float:
        """Count a flood. Returns the seconds until the user may come back; several connections closed at once count as one."""
        penalty = self._users.of(user)
        if now >= penalty.until:
            is_first = now - penalty.until > FORGOTTEN_AFTER_S
            penalty.length = FIRST_S if is_first else min(2 * penalty.length, MAX_S)
            penalty.until = now + penalty.length
        return penalty.until - now

    def left(self, user: User, now: float) -> float:
        """Seconds until the user may come back; 0 when there is no penalty."""
        penalty = self._users.get(user)
        return max(0.0, penalty.until - now) if penalty is not None else 0.0
