"""How many files are received at once, in all and of one user, and how much of them is held in memory meanwhile.

Places are many and bytes are few: who sends slowly holds a place for long, and hardly any bytes.
"""

import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from chatd.app.rate_limits import UserLimits
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.http.slots import Bounds, Owner, Slots
from chatd.uploads.settings import UploadSettings

MOST, MOST_OF_ONE, MOST_OF_ADDRESS = 256, 4, 64
# In memory, of all; one address may have a quarter of them.
MOST_BYTES = 134_217_728
SHARE_OF_ADDRESS = 4


class Place:
    """One file on its way."""

    def __init__(self, intake: "Intake", owner: Owner) -> None:
        self._intake = intake
        self._owner = owner
        self.held = 0

    def hold(self, size: int) -> None:
        """So many bytes more are in memory. Raises Refused: `rate_limited`, `unavailable`."""
        self._intake.take_room(self._owner, size)
        self.held += size


class Intake:
    """The places."""

    def __init__(self, settings: UploadSettings) -> None:
        self._most_bytes = max(MOST_BYTES, SHARE_OF_ADDRESS * settings.max_bytes)
        self._limits = UserLimits(settings.user_per_minute / 60, settings.user_per_minute)
        self._slots = Slots("files", Bounds(MOST_OF_ONE, MOST_OF_ADDRESS, MOST))
        self._decoding = Slots("pictures", Bounds(per_user=1, per_address=1, total=MOST))
        self._held: Counter[str] = Counter()

    @asynccontextmanager
    async def decoding(self, owner: Owner) -> AsyncIterator[None]:
        """One at a time of an owner: few pictures are decoded at once, and the others have to wait for those."""
        await self._decoding.wait(owner, math.inf)
        with self._decoding.reserve(owner):
            yield

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return self._held.total()

    @contextmanager
    def place(self, who: Principal, owner: Owner) -> Iterator[Place]:
        """Raises Refused: `rate_limited`, `unavailable`."""
        self._limits.charge(who.tenant, who.user, 1)
        with self._slots.reserve(owner):
            place = Place(self, owner)
            try:
                yield place
            finally:
                self._held[owner.address] -= place.held
                if not self._held[owner.address]:
                    del self._held[owner.address]

    def take_room(self, owner: Owner, size: int) -> None:
        share = self._most_bytes // SHARE_OF_ADDRESS
        if owner.address and self._held[owner.address] + size > share:
            raise Refused("rate_limited", "too many bytes at a time from one address", retry_after=1)
        if self.held + size > self._most_bytes:
            raise Refused("unavailable", "too many files at a time", retry_after=1)
        self._held[owner.address] += size
