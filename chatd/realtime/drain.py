"""Leaving in good order: nobody new, everybody told, each asked to come back at a moment of its own.

A signal leaves little time: all sessions are closed at once, and told when to come back. An order may give more: then each is
closed at its own moment, and comes back at once, to another node.
"""

import math
import random

import trio
from msgspec import Struct

from chatd.core.config import Drain as Settings
from chatd.realtime.hub import Hub
from chatd.realtime.subscriptions import Session
from chatd.wire.connection_events import MaintenanceMode


class NodeLeaving(Struct, frozen=True):
    """Signal: this process lets nobody in any more; its sessions are still open."""


class NodeLeft(Struct, frozen=True):
    """Signal: all sessions of this process are closed."""


MESSAGE = "The server is about to stop. You will be reconnected."
BATCH = 100
# Seconds that the last ones have after the end of the spread, and between two looks at who came in the last moment.
LAST, LOOK = 5.0, 0.2


class Drain:
    """Whether this process is leaving."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Whoever asks for readiness is told to go elsewhere; and: nobody is let in any more.
        self.announced = False
        self.under_way = False
        self.asked = trio.Event()
        # When all has to be over, requests under way too.
        self.deadline = -math.inf
        self._over: float | None = None
        # Who ordered it, for the log; empty for a signal.
        self.ordered_by = ""

    def ask(self, over: float, ordered_by: str = "") -> None:
        """Somebody wants this process to leave, with its sessions closed one by one within `over` seconds."""
        self._over = over
        self.ordered_by = ordered_by
        self.asked.set()

    async def announce(self) -> None:
        """Readiness is over, and nothing else: until the notice is over, who comes all the same is served as before."""
        self.announced = True
        await trio.sleep(self._settings.notice)

    def begin(self) -> None:
        """From now on nobody is let in."""
        self.announced = self.under_way = True
        self.deadline = trio.current_time() + self.patience

    @property
    def retry_after(self) -> int:
        """Seconds after which to try again."""
        return max(1, round(self._settings.spread if self._over is None else self._over))

    @property
    def patience(self) -> float:
        """Seconds from the beginning to the end."""
        return self._settings.timeout if self._over is None else max(self._settings.timeout, self._over + LAST)

    async def run(self, hub: Hub) -> None:
        """After `begin`: tell everybody and close every session; returns when all are gone, or at the deadline."""
        with trio.move_on_after(self.patience):
            notice = MaintenanceMode(enabled=True, message=MESSAGE, retry_after=float(self.retry_after))
            await hub.tell_everybody(notice)
            if self._over is None:
                await self._close_all(hub)
            else:
                await self._close_one_by_one(hub, self._over)
            while hub.sessions:
                # Whoever was being let in when it began.
                await trio.sleep(LOOK)
                await self._close_all(hub)

    async def _close_all(self, hub: Hub) -> None:
        for number, session in enumerate(list(hub.sessions.values()), start=1):
            close(session, random.uniform(0, self._settings.spread))  # noqa: S311
            if number % BATCH == 0:
                await trio.lowlevel.checkpoint()

    async def _close_one_by_one(self, hub: Hub, over: float) -> None:
        sessions = list(hub.sessions.values())
        random.shuffle(sessions)
        start = trio.current_time()
        moments = sorted(random.uniform(0, over) for _ in sessions)  # noqa: S311
        for moment, session in zip(moments, sessions, strict=True):
            await trio.sleep_until(start + moment)
            if session.id in hub.sessions:
                close(session, 0)


def close(session: Session, seconds: float) -> None:
    """A session that is being closed already stays as it is."""
    session.request_close("going_away", f"retry_in_ms={round(seconds * 1000)}")
