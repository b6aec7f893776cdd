"""Admission of connections: limits in total, per address, per second, and on concurrent sign-ins.

When all clients reconnect at once, work must not be wasted: with a thousand handshakes under way each takes longer than
its client waits, all fail, and all clients retry. So only a few handshakes are signed in at a time, a client that would
wait too long is rejected at once, and each rejected client gets another time to retry.
"""

import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from chatd.app.rate_limits import MAX_ADDRESSES, Recent
from chatd.core.addresses import bucket
from chatd.core.config import Limits
from chatd.core.rate_limit import TokenBucket

# Handshakes that are signed in at the same time, and the time that others wait for a slot.
MAX_CONCURRENT_AUTH = 16
AUTH_SLOT_TIMEOUT_S = 1.0
# Rejected connections that are answered at the same time, for each unfinished handshake that is allowed: they cost
# less, and one that is closed without an answer does not know when to retry.
REJECTIONS_PER_HANDSHAKE = 4
# A rejected handshake counts as this many more connections of its address.
REJECTION_COST = 4
# The latest time to retry after an overload, and the time to retry when all connections are in use.
MAX_RETRY_S = 10
FULL_RETRY_S = 30


class Overloaded(Exception):
    """The connection cannot be admitted now. `retry_after` in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SlotCounter:
    """Counts slots in use, in total and by key, up to a limit for each."""

    def __init__(self, max_total: int, max_per_key: int) -> None:
        self._max_total = max_total
        self._max_per_key = max_per_key
        self._by_key: Counter[str] = Counter()
        self.taken = 0

    def has_room(self, key: str) -> bool:
        """Whether `key` can take another slot. The key "" has no limit of its own."""
        return self.taken < self._max_total and (not key or self._by_key.get(key, 0) < self._max_per_key)

    def reserve(self, key: str) -> "Slot":
        self.taken += 1
        self._by_key[key] += 1
        return Slot(self, key)

    def release(self, key: str) -> None:
        """Call it through `Slot.release`."""
        self.taken -= 1
        self._by_key[key] -= 1
        if not self._by_key[key]:
            del self._by_key[key]


class Slot:
    """A slot in use, until `release` or the end of a `with` block. Small, because each connection keeps one."""

    __slots__ = ("_counter", "_key")

    def __init__(self, counter: SlotCounter, key: str) -> None:
        self._counter: SlotCounter | None = counter
        self._key = key

    def release(self) -> None:
        """Only the first call does something."""
        counter, self._counter = self._counter, None
        if counter is not None:
            counter.release(self._key)

    def __enter__(self) -> "Slot":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class RetryScheduler:
    """Spreads the retries of rejected clients, at the rate at which connections are admitted at present."""

    def __init__(self, max_per_second: float) -> None:
        self._max_rate = max_per_second
        self.rate = max_per_second
        self._next = self._since = float("-inf")
        self._admitted = 0
        self._has_rejected = False

    def note_accepted(self, now: float) -> None:
        self._update_rate(now)
        self._admitted += 1

    def next_retry(self, now: float) -> int:
        """Reserve the next free time to retry. Returns the seconds until then."""
        self._update_rate(now)
        self._has_rejected = True
        self._next = min(max(self._next, now) + 1 / self.rate, now + MAX_RETRY_S)
        return max(1, math.ceil(self._next - now))

    def overloaded(self, message: str, now: float) -> Overloaded:
        """The refusal for a client that has to retry."""
        return Overloaded(message, retry_after=self.next_retry(now))

    def _update_rate(self, now: float) -> None:
        """Once a second, adapt the rate to what was admitted, which shows the capacity only if others were rejected."""
        passed = now - self._since
        if passed >= 1:
            admitted = self._admitted / passed if self._has_rejected and passed < 2 else self._max_rate
            # One slow second halves the rate at most.
            self.rate = min(self._max_rate, max(admitted, self.rate / 2, self._max_rate / 20))
            self._since, self._admitted, self._has_rejected = now, 0, False


class RateGate:
    """Limits connections per second, and schedules the retries of the others."""

    def __init__(self, per_second: float) -> None:
        self._rate = TokenBucket(per_second, 2 * per_second)
        self.retries = RetryScheduler(per_second)

    def check(self, now: float, message: str) -> None:
        """Count a connection. Raises Overloaded."""
        if self._rate.take(now) > 0:
            raise self.retries.overloaded(message, now)

    def charge(self, now: float, cost: float) -> None:
        """Take `cost`, or what is left."""
        self._rate.take(now, min(cost, self._rate.tokens(now)))


class Admission:
    """The limits of this process. Each is checked after the limit of the address, so that no address can use it up.

    `accepted` and `refused` (by code) count handshakes.
    """

    def __init__(self, limits: Limits) -> None:
        self._gate = RateGate(limits.accepts_per_second)
        self._gates = Recent[str, RateGate](lambda: RateGate(limits.accepts_per_address), MAX_ADDRESSES)
        self._auth_slots = trio.Semaphore(MAX_CONCURRENT_AUTH)
        self._waiting = 0
        self._connections = SlotCounter(limits.connections, limits.connections_per_address)
        self._pending = SlotCounter(limits.pending_handshakes, limits.pending_per_address)
        max_rejections = limits.pending_handshakes * REJECTIONS_PER_HANDSHAKE
        self._rejections = SlotCounter(max_rejections, limits.pending_per_address)
        self.accepted = 0
        self.refused: Counter[str] = Counter()

    def check_rate(self, address: str) -> None:
        """Count a new connection.

        Raises Overloaded, also if so many wait for an `auth_slot` that this one would time out.
        """
        now = trio.current_time()
        self._gates.of(bucket(address)).check(now, "too many connections from your address")
        if self._waiting >= MAX_CONCURRENT_AUTH + self._gate.retries.rate * AUTH_SLOT_TIMEOUT_S / 2:
            raise self._overloaded("too many connections at once")
        self._gate.check(now, "too many connections at once")

    def charge(self, address: str) -> None:
        """Charge the address for a handshake that was rejected after it had been read."""
        self._gates.of(bucket(address)).charge(trio.current_time(), REJECTION_COST)

    def rejection_slot(self, address: str, *, is_proxy: bool = False) -> Slot | None:
        """A slot for an answered rejection.

        Returns None if all are in use: the connection is then closed unanswered.
        """
        key = "" if is_proxy else bucket(address)
        return self._rejections.reserve(key) if self._rejections.has_room(key) else None

    def pending(self, address: str, *, is_proxy: bool) -> Slot:
        """A slot for an unfinished handshake. Raises Overloaded."""
        key = "" if is_proxy else bucket(address)
        if not self._pending.has_room(key):
            raise self._overloaded("too many handshakes are under way")
        return self._pending.reserve(key)

    @asynccontextmanager
    async def auth_slot(self) -> AsyncIterator[None]:
        """Hold a slot for a sign-in. Raises Overloaded if none is free in time."""
        try:
            self._auth_slots.acquire_nowait()
        except trio.WouldBlock:
            await self._wait_for_auth_slot()
        try:
            yield
            self._gate.retries.note_accepted(trio.current_time())
        finally:
            self._auth_slots.release()

    async def _wait_for_auth_slot(self) -> None:
        self._waiting += 1
        try:
            with trio.move_on_after(AUTH_SLOT_TIMEOUT_S) as timeout:
                await self._auth_slots.acquire()
        finally:
            self._waiting -= 1
        if timeout.cancelled_caught:
            raise self._overloaded("too many sign-ins at once")

    def _overloaded(self, message: str) -> Overloaded:
        return self._gate.retries.overloaded(message, trio.current_time())

    def connected(self, address: str) -> Slot:
        """A slot for a connection. Raises Overloaded."""
        key = bucket(address)
        if not self._connections.has_room(key):
            raise Overloaded("too many connections: try again later", retry_after=FULL_RETRY_S)
        return self._connections.reserve(key)

    def statistics(self) -> dict[str, int]:
        return {"connections": self._connections.taken, "pending": self._pending.taken, "accepted": self.accepted}
