"""Conditions that log their transitions, and the guard that keeps background services running.

A `Condition` is one thing that works or does not: a server, a service, a disk. It logs once when it fails, with the
cause, once when it recovers, and a reminder at most once a minute in between. `Health` holds the conditions of a
node, for readiness.

A service is a task that runs as long as the daemon. `Health.start` runs it; when it raises, the cause is logged, the
service is run again after a back-off, and the daemon serves on.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from logging import ERROR, INFO, WARNING, Logger
from typing import Any

import trio

from chatd.core import log
from chatd.core.errors import Refused

LOG = log.get(__name__)
REMINDER_S = 60.0
# Values that `Sparse` distinguishes. If there are more within a minute, each is logged as new.
MAX_VALUES = 1000
# Seconds before a service that failed is run again: doubled with each failure in a row.
FIRST_PAUSE_S, MAX_PAUSE_S = 0.25, 15.0
# Seconds that a service has to run after a failure before it counts as well: twice as long as the run that failed,
# within these.
MIN_TRIAL_S, MAX_TRIAL_S = 2.0, 15.0


def cause_of(error: object) -> str:
    """The text of the library or server that raised the error: the innermost cause of a chain or a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, BaseException) and error.__cause__ is not None:
        return cause_of(error.__cause__)
    if isinstance(error, BaseException):
        return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return str(error)


class Condition:
    """One thing that works or fails. `quiet_s`: seconds without a failure after which a success counts as recovery.

    With a longer `quiet_s`, successes and failures that alternate are one failure, logged once.
    """

    __slots__ = ("_failed_at", "_log", "_logged_at", "_quiet_s", "cause", "failures", "name", "since")

    def __init__(self, name: str, *, quiet_s: float = 0.0, logger: Logger = LOG) -> None:
        self.name = name
        self.cause = ""
        self.failures = 0
        # When it began to fail, in seconds of Trio's clock; None while it works.
        self.since: float | None = None
        self._failed_at = self._logged_at = float("-inf")
        self._quiet_s = quiet_s
        self._log = logger

    @property
    def failing(self) -> bool:
        return self.since is not None

    def fail(self, cause: object, *, level: int = WARNING, trace: BaseException | None = None, **extra: Any) -> None:
        """Note a failure.

        Logs the first one, and a reminder once a minute. `trace`: an exception whose traceback is logged.
        """
        now = self._failed_at = trio.current_time()
        self.failures += 1
        self.cause = log.clean(cause_of(cause))
        if self.since is None:
            self.since, self._logged_at = now, now
            self._log.log(level, f"{self.name} failed", exc_info=trace, extra={"cause": self.cause, **extra})
        elif now - self._logged_at >= REMINDER_S:
            self._logged_at = now
            counts = {"for_s": round(now - self.since), "failures": self.failures}
            self._log.log(level, f"{self.name} still failing", extra={"cause": self.cause, **counts, **extra})

    def recover(self) -> None:
        """Note a success. Logs the end of a failure."""
        if self.since is None:
            return
        now = trio.current_time()
        if now - self._failed_at >= self._quiet_s:
            counts = {"after_s": round(now - self.since, 1), "failures": self.failures}
            self._log.log(INFO, f"{self.name} recovered", extra=counts)
            self.since, self.failures, self.cause = None, 0, ""

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Note whether the block fails. The exception is suppressed; unless it is a Refused, it is logged with its
        traceback.
        """
        try:
            yield
        except Refused as refused:
            self.fail(refused)
        except Exception as error:
            self.fail(error, level=ERROR, trace=error)
        else:
            self.recover()


class Sparse:
    """Logs events that peers cause, at most once a minute for each value of a field, with their number since."""

    def __init__(self, logger: Logger, field: str) -> None:
        self._log = logger
        self._field = field
        # By value: when it was logged last, and how often it happened since.
        self._seen: dict[str, tuple[float, int]] = {}

    def log(self, message: str, value: str) -> None:
        now = trio.current_time()
        logged_at, count = self._seen.get(value, (float("-inf"), 0))
        if now - logged_at < REMINDER_S:
            self._seen[value] = (logged_at, count + 1)
            return
        self._seen.pop(value, None)
        while len(self._seen) >= MAX_VALUES:
            del self._seen[next(iter(self._seen))]
        self._seen[value] = (now, 0)
        self._log.info(message, extra={self._field: value, "times_since": count})


class Health:
    """The conditions of one node."""

    def __init__(self) -> None:
        self.conditions: dict[str, Condition] = {}

    def add(self, condition: Condition) -> Condition:
        self.conditions[condition.name] = condition
        return condition

    @property
    def failing(self) -> list[Condition]:
        return [condition for condition in self.conditions.values() if condition.failing]

    def start(self, nursery: trio.Nursery, name: str, run: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Run a service in the nursery until the nursery is cancelled or the service returns."""
        nursery.start_soon(keep, self.add(Condition(name)), run, *args, name=f"service {name}")


async def keep(condition: Condition, run: Callable[..., Awaitable[None]], *args: Any) -> None:
    """Run a service; when it raises, run it again after a back-off. Returns when it returns."""
    pause_s, trial_s = FIRST_PAUSE_S, MIN_TRIAL_S
    while True:
        began = trio.current_time()
        try:
            await _run_on_trial(condition, trial_s, run, *args)
            return
        except* Exception as error:
            condition.fail(error, level=ERROR, trace=error)
        lasted_s = trio.current_time() - began
        trial_s = min(max(2 * lasted_s, MIN_TRIAL_S), MAX_TRIAL_S)
        pause_s = FIRST_PAUSE_S if lasted_s > MAX_TRIAL_S else min(2 * pause_s, MAX_PAUSE_S)
        await trio.sleep(pause_s)


async def _run_on_trial(condition: Condition, trial_s: float, run: Callable[..., Awaitable[None]], *args: Any) -> None:
    """Run a service; after `trial_s` seconds without a failure it counts as well."""
    async with trio.open_nursery() as nursery:
        if condition.failing:
            nursery.start_soon(_recover_after, trial_s, condition)
        await run(*args)
        condition.recover()
        nursery.cancel_scope.cancel()


async def _recover_after(seconds: float, condition: Condition) -> None:
    await trio.sleep(seconds)
    condition.recover()
