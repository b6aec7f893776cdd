"""How long to wait before the next attempt: exponential with full jitter (Brooker, "Exponential Backoff And Jitter",
2015).

One good moment is no recovery: the count starts anew only after a connection has held for a while, so that a server
that takes everybody in and falls over again is not stormed every second.
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

    def next_wait(self, now: float, asked: float | None = None) -> float:
        """Seconds to wait; `asked` is the delay that the server requested, if any."""
        if self._since is not None and now - self._since >= self._stable:
            self._failures = 0
        self._since = None
        ceiling = min(self._most, self._first * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return asked + self._rng() * self._first if asked is not None else self._rng() * ceiling
