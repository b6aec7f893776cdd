"""How many files are received at once, in all and of one user, and how much of them is held in memory meanwhile.

Places are many and bytes are few: who sends slowly holds a place for long, and hardly any bytes.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from chatd.config import Uploads
from chatd.domain.identity import Principal
from chatd.errors import Refused
from chatd.node.limits import UserLimits

MOST, MOST_OF_ONE = 256, 4
MOST_BYTES = 134_217_728


class Place:
    """One file on its way."""

    def __init__(self, intake: "Intake") -> None:
        self._intake = intake
        self.held = 0

    def hold(self, size: int) -> None:
        """So many bytes more are in memory. Raises Refused: `unavailable`."""
        self._intake.check_room(size)
        self._intake.held += size
        self.held += size


class Intake:
    """The places."""

    def __init__(self, settings: Uploads) -> None:
        self._most_bytes = max(MOST_BYTES, 4 * settings.max_bytes)
        self._limits = UserLimits(settings.user_per_minute / 60, settings.user_per_minute)
        self._under_way: Counter[tuple[str, str]] = Counter()
        self.held = 0

    @contextmanager
    def place(self, who: Principal) -> Iterator[Place]:
        """Raises Refused: `rate_limited`, `unavailable`."""
        key = (who.tenant, who.user)
        self._limits.take(who.tenant, who.user, 1)
        if self._under_way[key] >= MOST_OF_ONE:
            raise Refused("rate_limited", f"{MOST_OF_ONE} files at a time", retry_after=1)
        if self._under_way.total() >= MOST:
            raise too_many()
        self._under_way[key] += 1
        place = Place(self)
        try:
            yield place
        finally:
            self.held -= place.held
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]

    def check_room(self, size: int) -> None:
        if self.held + size > self._most_bytes:
            raise too_many()


def too_many() -> Refused:
    return Refused("unavailable", "too many files at a time", retry_after=1)
