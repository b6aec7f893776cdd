"""The delay before the next connection attempt: exponential with full jitter (Brooker, "Exponential Backoff And
Jitter", 2015).

The count of failures is reset only after a connection has lasted for a while. Otherwise clients would reconnect every
second to a server that accepts connections and then fails.
"""

from collections.abc import Callable


class Backoff:
    """Times in seconds. `rng` returns numbers from 0 to 1."""

    def __init__(self, rng: Callable[[], float], first: float = 0.5, most: float = 30.0, stable: float = 30.0) -> None:
        self._rng = rng
        self._first = first
        self._most = most
        self._stable = stable
        self._failures = 0
        self._since: float | None = None

    def connected(self, now: float) -> None:
        self._since = now

    def next_wait(self, now: float, requested_s: float | None = None) -> float:
        """Seconds to wait; `requested_s` is the delay that the server requested, if any."""
        if self._since is not None and now - self._since >= self._stable:
            self._failures = 0
        self._since = None
        ceiling = min(self._most, self._first * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return requested_s + self._rng() * self._first if requested_s is not None else self._rng() * ceiling
