"""Events on their way to the app: an async iterator with a bound.

The connection must go on while the app is busy, so nothing waits here. What does not fit is given back to the timeline as
lost, and synced from the server once the app has caught up: it comes late, but it comes.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from chatd.client.link import Disconnected
from chatd.client.reply import Reply
from chatd.errors import Refused

MOST = 5000


class EventQueue:
    """`async for event in client.events`. For one reader at a time."""

    def __init__(self, lost: Callable[[dict[str, Any]], None], catch_up: Callable[[], Awaitable[None]]) -> None:
        self._queue: deque[Reply] = deque()
        self._lost = lost
        self._catch_up = catch_up
        self._has_lost = False
        self._filled = trio.Event()

    def put(self, event: Reply) -> None:
        if len(self._queue) < MOST:
            self._queue.append(event)
            self._filled.set()
        elif "rev" in event and "conversation" in event:
            self._has_lost = True
            self._lost(event)

    def __aiter__(self) -> "EventQueue":
        return self

    async def __anext__(self) -> Reply:
        while not self._queue:
            if self._has_lost:
                await self._fetch_lost()
                continue
            self._filled = trio.Event()
            await self._filled.wait()
        return self._queue.popleft()

    async def _fetch_lost(self) -> None:
        self._has_lost = False
        try:
            await self._catch_up()
        except (Disconnected, Refused):
            self._has_lost = True
            await trio.sleep(1)
