"""Leaving in good order: nobody new, everybody told, each asked to come back at a moment of its own."""

import random

import trio

from chatd.config import Drain as Settings
from chatd.node.hub import Hub
from chatd.wire.events import MaintenanceMode

MESSAGE = "The server is about to stop. You will be reconnected."
BATCH = 100


class Drain:
    """Whether this process is leaving."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.under_way = False
        self.asked = trio.Event()
        self._spread = settings.spread

    def ask(self, over: float) -> None:
        """Somebody wants this process to leave, with its people coming back within `over` seconds."""
        self._spread = over
        self.asked.set()

    @property
    def retry_after(self) -> int:
        """Seconds after which to try again."""
        return max(1, round(self._spread))

    async def run(self, hub: Hub) -> None:
        """Tell everybody and close every session; returns when all are gone, or at the deadline."""
        self.under_way = True
        with trio.move_on_after(self._settings.timeout):
            notice = MaintenanceMode(enabled=True, message=MESSAGE, retry_after=float(self.retry_after))
            await hub.tell_everybody(notice)
            await self._close_all(hub)
            while hub.sessions:
                await trio.sleep(0.02)

    async def _close_all(self, hub: Hub) -> None:
        for number, session in enumerate(list(hub.sessions.values()), start=1):
            moment = random.uniform(0, self._spread)  # noqa: S311
            session.close_soon("going_away", f"retry_in_ms={round(moment * 1000)}")
            if number % BATCH == 0:
                await trio.lowlevel.checkpoint()
