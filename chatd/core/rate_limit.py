"""The token bucket (Turner, "New directions in communications", 1986): a rate with a burst, in two numbers of state."""


class TokenBucket:
    """Fills with `rate` tokens a second up to `burst`; it starts full."""

    __slots__ = ("_burst", "_rate", "_seen", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._seen = float("-inf")

    def take(self, now: float, cost: float = 1) -> float:
        """Take `cost` tokens and return 0.0, or take nothing and return the seconds until there are enough."""
        wait = self.lacks(now, cost)
        self._tokens -= 0 if wait else cost
        return wait

    def tokens(self, now: float) -> float:
        """The number of tokens at `now`."""
        self.lacks(now)
        return self._tokens

    def charge(self, now: float, cost: float) -> None:
        """Charge `cost` tokens that are already used; missing tokens become a debt of at most one burst."""
        self.lacks(now)
        self._tokens = max(self._tokens - cost, -self._burst)

    def lacks(self, now: float, cost: float = 1) -> float:
        """The seconds until there are `cost` tokens; nothing is taken."""
        if now > self._seen:
            passed = now - self._seen
            self._tokens = min(self._burst, self._tokens + passed * self._rate) if self._rate else self._tokens
            self._seen = now
        if self._tokens >= cost:
            return 0.0
        return (cost - self._tokens) / self._rate if self._rate else float("inf")
