"""A circuit breaker: stop calling a server that does not answer. Times are in seconds of any clock."""

MAX_FAILURES = 5
PAUSE_S = 10.0


class Circuit:
    """Opens after `max_failures` failures in a row.

    After `pause_s` one trial call is allowed; its result closes or reopens the circuit.
    """

    def __init__(self, *, max_failures: int = MAX_FAILURES, pause_s: float = PAUSE_S) -> None:
        self._max_failures = max_failures
        self._pause_s = pause_s
        self._failures = 0
        self._until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open."""
        return self._failures >= self._max_failures

    def may_ask(self, now: float) -> bool:
        """Whether to call the server now. While the circuit is open, only the caller that makes the trial call gets
        True.
        """
        if not self.is_open:
            return True
        if now < self._until:
            return False
        self._until = now + self._pause_s
        return True

    def failed(self, now: float) -> bool:
        """Note a failure. Returns whether it opened the circuit."""
        self._failures += 1
        if self.is_open:
            self._until = max(self._until, now + self._pause_s)
        return self._failures == self._max_failures

    def answered(self) -> bool:
        """Note a success. Returns whether the circuit was open."""
        was_open = self.is_open
        self._failures = 0
        return was_open
