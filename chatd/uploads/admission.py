"""How many files are received at the same time, in total and per user, and how many bytes of them are in memory.

There are many slots and few bytes: a slow client occupies a slot for long, and hardly any memory.
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

MAX_FILES, MAX_FILES_PER_USER, MAX_FILES_PER_ADDRESS = 256, 4, 64
# Bytes in memory, in total; files from one address may use a quarter.
MAX_BYTES = 134_217_728
ADDRESS_DIVISOR = 4


class Slot:
    """One file that is being received. `held`: its bytes in memory."""

    def __init__(self, slots: "UploadSlots", owner: Owner) -> None:
        self._slots = slots
        self._owner = owner
        self.held = 0

    def reserve_bytes(self, size: int) -> None:
        """Count more bytes in memory. Raises Refused: `rate_limited`, `unavailable`."""
        self._slots.reserve_bytes(self._owner, size)
        self.held += size

    def release_bytes(self, size: int) -> None:
        """Count fewer bytes in memory."""
        self._slots.release_bytes(self._owner, size)
        self.held -= size


class UploadSlots:
    """The slots of this node."""

    def __init__(self, settings: UploadSettings) -> None:
        self._max_bytes = max(MAX_BYTES, ADDRESS_DIVISOR * settings.max_bytes)
        self._limits = UserLimits(settings.user_per_minute / 60, settings.user_per_minute)
        self._files = Slots("files", Bounds(MAX_FILES_PER_USER, MAX_FILES_PER_ADDRESS, MAX_FILES))
        self._decoding = Slots("pictures", Bounds(per_user=1, per_address=1, total=MAX_FILES))
        self._held: Counter[str] = Counter()

    @asynccontextmanager
    async def decoding(self, owner: Owner) -> AsyncIterator[None]:
        """Wait for a turn to decode an image. Each owner has one at a time, because few images are decoded at once."""
        await self._decoding.wait(owner, math.inf)
        with self._decoding.reserve(owner):
            yield

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return self._held.total()

    def count(self, who: Principal) -> None:
        """Count one more upload of a user. Raises Refused: `rate_limited`."""
        self._limits.charge(who.tenant, who.user, 1)

    @contextmanager
    def reserve(self, owner: Owner) -> Iterator[Slot]:
        """Hold a slot for one file. Raises Refused: `rate_limited`, `unavailable`."""
        with self._files.reserve(owner):
            slot = Slot(self, owner)
            try:
                yield slot
            finally:
                self.release_bytes(owner, slot.held)

    def release_bytes(self, owner: Owner, size: int) -> None:
        self._held[owner.address] -= size
        if not self._held[owner.address]:
            del self._held[owner.address]

    def reserve_bytes(self, owner: Owner, size: int) -> None:
        share = self._max_bytes // ADDRESS_DIVISOR
        if owner.address and self._held[owner.address] + size > share:
            raise Refused("rate_limited", "too many bytes are being uploaded from one address", retry_after=1)
        if self.held + size > self._max_bytes:
            raise Refused("unavailable", "too many files are being uploaded", retry_after=1)
        self._held[owner.address] += size
