"""The queue of events for the app: an async iterator of bounded size.

The connection continues while the app is busy, so nothing waits here. Events that do not fit are returned to the
timeline as lost, and synced from the server after the app has read the queue: they arrive late, but none is lost.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import trio

from chatd.client.own_events import OWN_EVENTS
from chatd.client.types import EVENTS
from chatd.client.wire_base import Event, Unknown, by_tag, typed

MOST = 5000
KINDS = by_tag((*EVENTS, *OWN_EVENTS))
Body = dict[str, Any]
# Events that are never dropped: they are rare, and a sync does not repeat them.
ALWAYS = ("conversation.gone", "conversation.reset", "session.changed", "profiles.behind")


class EventQueue:
    """The events for the app: `async for event in client.events`, for one reader at a time.

    `client.state` reports the state of the client itself.
    """

    def __init__(self, lost: Callable[[Body], None], most: int = MOST) -> None:
        self._queue: deque[Body] = deque()
        self._lost = lost
        self._most = most
        self._filled = trio.Event()
        self._emptied = trio.Event()

    def put(self, event: Body) -> None:
        if len(self._queue) < self._most or event["t"] in ALWAYS:
            self._queue.append(event)
            self._filled.set()
        elif "conversation" in event or event["t"] == "user.updated":
            self._lost(event)

    def untaken(self) -> list[Body]:
        """The events that the app has not taken yet, in order."""
        return list(self._queue)

    async def room(self) -> None:
        """Wait until the app has taken enough events for more to fit."""
        while len(self._queue) > self._most // 2:
            self._emptied = trio.Event()
            await self._emptied.wait()

    def __aiter__(self) -> "EventQueue":
        return self

    async def __anext__(self) -> Event | Unknown:
        while not self._queue:
            self._filled = trio.Event()
            await self._filled.wait()
        self._emptied.set()
        event: Event | Unknown = typed(self._queue.popleft(), KINDS)
        return event
