"""When to stop asking somebody who does not answer. Times in seconds, of whatever clock."""

FAILURES = 5
PAUSE = 10.0


class Circuit:
    """After so many failures in a row it is open: nobody asks for a while, then one tries, and its answer counts for all."""

    def __init__(self, failures: int = FAILURES, pause: float = PAUSE) -> None:
        self._most = failures
        self._pause = pause
        self._failures = 0
        self._until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether it has failed too often, and not answered since."""
        return self._failures >= self._most

    def may_ask(self, now: float) -> bool:
        """Whether to ask now. Who is told so while it is open is the one who tries."""
        if not self.is_open:
            return True
        if now < self._until:
            return False
        self._until = now + self._pause
        return True

    def failed(self, now: float) -> bool:
        """True when this is the failure that opened it."""
        self._failures += 1
        if self.is_open:
            self._until = max(self._until, now + self._pause)
        return self._failures == self._most

    def answered(self) -> bool:
        """True when it was open."""
        was_open = self.is_open
        self._failures = 0
        return was_open
