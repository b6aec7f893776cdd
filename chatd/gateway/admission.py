"""How many may come in: in all, from one address, and how fast. Counters only, no waiting."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from chatd.config import Limits
from chatd.domain.addresses import bucket
from chatd.domain.rate_limit import TokenBucket


class Full(Exception):
    """No place now. `retry_after` in seconds."""

    def __init__(self, message: str, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Places:
    """Counted in all and by key, each with a bound."""

    def __init__(self, most: int, most_by_key: int) -> None:
        self._most = most
        self._most_by_key = most_by_key
        self._by_key: Counter[str] = Counter()
        self.taken = 0

    @contextmanager
    def one(self, key: str, full: Full) -> Iterator[None]:
        """A place under `key`; "" is not bounded by itself. Raises `full`."""
        if self.taken >= self._most or (key and self._by_key[key] >= self._most_by_key):
            raise full
        self.taken += 1
        self._by_key[key] += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._by_key[key] -= 1
            if not self._by_key[key]:
                del self._by_key[key]


class Admission:
    """The places of this process. A place is given back however its connection ends.

    `accepted` and `refused` (by code) count handshakes, for whoever watches.
    """

    def __init__(self, limits: Limits) -> None:
        self._rate = TokenBucket(limits.accepts_per_second, 2 * limits.accepts_per_second)
        self._connections = Places(limits.connections, limits.connections_per_address)
        self._pending = Places(limits.pending_handshakes, limits.pending_per_address)
        self.accepted = 0
        self.refused: Counter[str] = Counter()

    @contextmanager
    def pending(self, address: str, *, is_proxy: bool) -> Iterator[None]:
        """A handshake that is not finished. Raises Full."""
        if self._rate.take(trio.current_time()) > 0:
            raise Full("too many connections at once", retry_after=1)
        with self._pending.one("" if is_proxy else bucket(address), Full("too many handshakes are under way")):
            yield

    @contextmanager
    def connected(self, address: str) -> Iterator[None]:
        """A connection. Raises Full."""
        with self._connections.one(bucket(address), Full("no place for another connection", retry_after=30)):
            yield

    def statistics(self) -> dict[str, int]:
        return {"connections": self._connections.taken, "pending": self._pending.taken, "accepted": self.accepted}
