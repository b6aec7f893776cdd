"""A timer wheel for everything that this process does later: heartbeats, expiries, leases.

A hashed wheel (Varghese and Lauck, 1987, scheme 6): a timer is in the slot of its time, so starting and cancelling take
constant time, and one task serves a hundred thousand connections. In return a timer fires up to one tick late, but
never early.
"""

from collections.abc import Callable

import trio

from chatd.core import log
from chatd.core.histogram import Histogram

LOG = log.get(__name__)


class Timer:
    """A function to call at a time. It returns the seconds until its next call, or None."""

    __slots__ = ("call", "tick")

    def __init__(self, call: Callable[[], float | None], tick: int) -> None:
        self.call: Callable[[], float | None] | None = call
        self.tick = tick

    def cancel(self) -> None:
        self.call = None


class TimerWheel:
    """All timers of the process. `lag`: how late the event loop woke this task."""

    def __init__(self, tick_s: float = 0.25, slots: int = 1024) -> None:
        self._tick_s = tick_s
        self._slots: list[list[Timer]] = [[] for _ in range(slots)]
        self._now = 0
        self.lag = Histogram()

    def schedule(self, delay: float, call: Callable[[], float | None]) -> Timer:
        """Call after `delay` seconds, or up to a tick later."""
        timer = Timer(call, 0)
        self._insert(timer, delay)
        return timer

    def _insert(self, timer: Timer, delay: float) -> None:
        timer.tick = self._now + 1 + max(0, int(delay / self._tick_s))
        self._slots[timer.tick % len(self._slots)].append(timer)

    def advance(self) -> None:
        """Advance one tick: fire the due timers of this slot, and keep those of later rounds."""
        self._now += 1
        slot = self._now % len(self._slots)
        timers, self._slots[slot] = self._slots[slot], []
        for timer in timers:
            if timer.call is None:
                continue
            if timer.tick > self._now:
                self._slots[slot].append(timer)
            else:
                self._fire(timer, timer.call)

    def _fire(self, timer: Timer, call: Callable[[], float | None]) -> None:
        try:
            again = call()
        except Exception:
            LOG.exception("a timer failed")
            return
        if again is not None and timer.call is not None:
            self._insert(timer, again)

    async def run(self) -> None:
        """Advance forever, and catch up on missed ticks."""
        start, done = trio.current_time(), 0
        while True:
            wanted = start + (done + 1) * self._tick_s
            await trio.sleep_until(wanted)
            self.lag.observe(max(0.0, trio.current_time() - wanted))
            due = int((trio.current_time() - start) / self._tick_s)
            while done < due:
                done += 1
                self.advance()

    def statistics(self) -> dict[str, int]:
        return {"timers": sum(len(slot) for slot in self._slots)}
