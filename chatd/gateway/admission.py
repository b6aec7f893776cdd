"""How many may come in: in all, from one address, how fast, and how many at the same moment.

When everybody comes back at once, the danger is not the work but doing it for nothing: with a thousand handshakes under way each
takes longer than its peer waits, all of them fail, and all come again. So only a few are signed in at a time, whoever would
have to wait too long for that is told at once to come later, and not all are told the same.
"""

import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import trio

from chatd.app.rate_limits import MAX_ADDRESSES, Recent
from chatd.core.addresses import bucket
from chatd.core.config import Limits
from chatd.core.rate_limit import TokenBucket

# Handshakes that are signed in at the same time, and seconds that the others wait for it.
AT_ONCE = 16
PATIENCE = 1.0
# A refused handshake costs an address as much as so many more connections.
REFUSED_COST = 4
# Seconds within which to come back when there are too many at once, and after which when there is no place.
LATEST = 10
NO_PLACE = 30


class Full(Exception):
    """No place now. `retry_after` in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Places:
    """Counted in all and by key, each with a bound."""

    def __init__(self, most: int, most_by_key: int) -> None:
        self._most = most
        self._most_by_key = most_by_key
        self._by_key: Counter[str] = Counter()
        self.taken = 0

    def has_room(self, key: str) -> bool:
        """For one more under `key`; "" is not bounded by itself."""
        return self.taken < self._most and (not key or self._by_key.get(key, 0) < self._most_by_key)

    @contextmanager
    def one(self, key: str) -> Iterator[None]:
        """A place under `key`."""
        self.taken += 1
        self._by_key[key] += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._by_key[key] -= 1
            if not self._by_key[key]:
                del self._by_key[key]


class Returns:
    """When to come back for those who were refused: one after the other, as fast as others come in at present."""

    def __init__(self, most_per_second: float) -> None:
        self._most = most_per_second
        self.rate = most_per_second
        self._next = self._since = float("-inf")
        self._came = 0
        self._refused = False

    def came_in(self, now: float) -> None:
        self._look(now)
        self._came += 1

    def next(self, now: float) -> int:
        """Seconds until the next free moment, which nobody else is told."""
        self._look(now)
        self._refused = True
        self._next = min(max(self._next, now) + 1 / self.rate, now + LATEST)
        return max(1, math.ceil(self._next - now))

    def full(self, message: str, now: float) -> Full:
        """The refusal for one who has to come back."""
        return Full(message, retry_after=self.next(now))

    def _look(self, now: float) -> None:
        """Once a second: how many came in. If nobody was refused it says nothing of how many could; a bad second is not all."""
        passed = now - self._since
        if passed >= 1:
            came = self._came / passed if self._refused and passed < 2 else self._most
            self.rate = min(self._most, max(came, self.rate / 2, self._most / 20))
            self._since, self._came, self._refused = now, 0, False


class Gate:
    """How fast connections may come, and when those have to come back that are refused. Raises Full."""

    def __init__(self, per_second: float) -> None:
        self._rate = TokenBucket(per_second, 2 * per_second)
        self.returns = Returns(per_second)

    def check(self, now: float, message: str) -> None:
        if self._rate.take(now) > 0:
            raise self.returns.full(message, now)

    def charge(self, now: float, cost: float) -> None:
        """Take as much of it as there is."""
        self._rate.take(now, min(cost, self._rate.tokens(now)))


class Admission:
    """The places of this process. A place is given back however its connection ends.

    Each limit of the process stands behind one of the address, so that no address can use it up for the others.
    `accepted` and `refused` (by code) count handshakes, for whoever watches.
    """

    def __init__(self, limits: Limits) -> None:
        self._gate = Gate(limits.accepts_per_second)
        self._gates = Recent[str, Gate](lambda: Gate(limits.accepts_per_address), MAX_ADDRESSES)
        self._turns = trio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._connections = Places(limits.connections, limits.connections_per_address)
        self._pending = Places(limits.pending_handshakes, limits.pending_per_address)
        self._turned_away = Places(limits.pending_handshakes, limits.pending_per_address)
        self.accepted = 0
        self.refused: Counter[str] = Counter()

    def check_rate(self, address: str) -> None:
        """A connection has come. Raises Full: also when so many wait for their turn that it would not come in time."""
        now = trio.current_time()
        self._gates.of(bucket(address)).check(now, "too many connections of your address at once")
        if self._waiting >= AT_ONCE + self._gate.returns.rate * PATIENCE / 2:
            raise self._full("too many connections at once")
        self._gate.check(now, "too many connections at once")

    def charge(self, address: str) -> None:
        """A handshake of this address was refused after it had been read: it counts as several connections."""
        self._gates.of(bucket(address)).charge(trio.current_time(), REFUSED_COST)

    def turned_away(self, address: str) -> ExitStack | None:
        """A place for a refusal that is answered; None when so many are under way that the connection has to be cut."""
        key, place = bucket(address), ExitStack()
        if not self._turned_away.has_room(key):
            return None
        place.enter_context(self._turned_away.one(key))
        return place

    @contextmanager
    def pending(self, address: str, *, is_proxy: bool) -> Iterator[None]:
        """A handshake that is not finished. Raises Full."""
        key = "" if is_proxy else bucket(address)
        if not self._pending.has_room(key):
            raise self._full("too many handshakes are under way")
        with self._pending.one(key):
            yield

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Being signed in. Raises Full when that cannot be soon."""
        self._waiting += 1
        try:
            with trio.move_on_after(PATIENCE) as patience:
                await self._turns.acquire()
        finally:
            self._waiting -= 1
        if patience.cancelled_caught:
            raise self._full("too many come in at once")
        try:
            yield
            self._gate.returns.came_in(trio.current_time())
        finally:
            self._turns.release()

    def _full(self, message: str) -> Full:
        return self._gate.returns.full(message, trio.current_time())

    @contextmanager
    def connected(self, address: str) -> Iterator[None]:
        """A connection. Raises Full."""
        key = bucket(address)
        if not self._connections.has_room(key):
            raise Full("no place for another connection", retry_after=NO_PLACE)
        with self._connections.one(key):
            yield

    def statistics(self) -> dict[str, int]:
        return {"connections": self._connections.taken, "pending": self._pending.taken, "accepted": self.accepted}
