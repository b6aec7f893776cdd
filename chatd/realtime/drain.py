"""Drain: a node stops admitting clients, and requests each connected one to reconnect, each at another time.

A process signal leaves little time: all sessions are closed at once, each with the time at which its client reconnects.
An operator can allow more time: then the sessions are closed one by one, and each client reconnects at once, to another
node.
"""

import math
import random

import trio
from msgspec import Struct

from chatd.core.config import Drain as Settings
from chatd.realtime.hub import Hub
from chatd.realtime.sessions import Session
from chatd.wire.connection_events import MaintenanceMode


class NodeLeaving(Struct, frozen=True):
    """Signal: this process accepts no more clients; its sessions are still open."""


class NodeLeft(Struct, frozen=True):
    """Signal: all sessions of this process are closed."""


MESSAGE = "The server is about to stop. You will be reconnected."
BATCH_SIZE = 100
# Time that the last sessions have after the end of the spread.
LAST_SESSIONS_S = 5.0
# Interval at which late sessions are closed.
POLL_S = 0.2


class Drain:
    """Whether this process drains, and until when."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Readiness probes fail; later also: no client is admitted.
        self.announced = False
        self.under_way = False
        self.requested = trio.Event()
        # The deadline of the drain, requests in progress included.
        self.deadline = -math.inf
        self._over: float | None = None
        # The operator, for the log; empty for a process signal.
        self.ordered_by = ""

    def ask(self, over: float, ordered_by: str = "") -> None:
        """Start a drain that closes the sessions one by one within `over` seconds."""
        self._over = over
        self.ordered_by = ordered_by
        self.requested.set()

    async def announce(self) -> None:
        """Fail readiness probes, and serve as before for `drain.notice` seconds."""
        self.announced = True
        await trio.sleep(self._settings.notice)

    def begin(self) -> None:
        """Accept no more clients."""
        self.announced = self.under_way = True
        self.deadline = trio.current_time() + self.timeout_s

    @property
    def retry_after(self) -> int:
        """Seconds after which a rejected client retries."""
        return max(1, round(self._settings.spread if self._over is None else self._over))

    @property
    def timeout_s(self) -> float:
        """From `begin` to the deadline."""
        settings = self._settings
        return settings.timeout if self._over is None else max(settings.timeout, self._over + LAST_SESSIONS_S)

    async def run(self, hub: Hub) -> None:
        """After `begin`: notify and close all sessions. Returns when all are closed, or at the deadline."""
        with trio.move_on_after(self.timeout_s):
            notice = MaintenanceMode(enabled=True, message=MESSAGE, retry_after=float(self.retry_after))
            await hub.deliver_to_all(notice)
            if self._over is None:
                await self._close_all(hub)
            else:
                await self._close_one_by_one(hub, self._over)
            while hub.connections.by_id:
                # Sessions that were pending when the drain began.
                await trio.sleep(POLL_S)
                await self._close_all(hub)

    async def _close_all(self, hub: Hub) -> None:
        for number, session in enumerate(list(hub.connections.by_id.values()), start=1):
            request_reconnect(session, random.uniform(0, self._settings.spread))  # noqa: S311
            if number % BATCH_SIZE == 0:
                await trio.lowlevel.checkpoint()

    async def _close_one_by_one(self, hub: Hub, over: float) -> None:
        sessions = list(hub.connections.by_id.values())
        random.shuffle(sessions)
        start = trio.current_time()
        delays = sorted(random.uniform(0, over) for _ in sessions)  # noqa: S311
        for delay, session in zip(delays, sessions, strict=True):
            await trio.sleep_until(start + delay)
            if session.id in hub.connections.by_id:
                request_reconnect(session, 0)


def request_reconnect(session: Session, seconds: float) -> None:
    """Close a session, unless it is being closed already."""
    session.request_close("going_away", f"retry_in_ms={round(seconds * 1000)}")
