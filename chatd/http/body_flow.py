"""The flow of a request body: it is received only as fast as the view reads it.

Quart receives a body beside the view, into memory, up to its largest size, whether the view reads it or not. A client
could fill the memory while its token is checked, or faster than its file is stored. Here a body of more than
`most_unread` bytes waits in the socket until the view has begun to read. After the response has begun, nothing of it is
kept.
"""

import math

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGIReceiveEvent

# The key in the state of a request.
BODY_FLOW = "body_flow"


class BodyFlow:
    """The `receive` of one request. `most_unread`: the bytes that may be in memory before the view reads them."""

    __slots__ = ("_changed", "_discards", "_left", "_receive")

    def __init__(self, receive: ASGIReceiveCallable, most_unread: int) -> None:
        self._receive = receive
        self._left: float = most_unread
        self._discards = False
        self._changed = trio.Event()

    @property
    def is_held(self) -> bool:
        """Whether the next part of the body waits for the view."""
        return self._left <= 0

    async def receive(self) -> ASGIReceiveEvent:
        while self.is_held:
            await self._changed.wait()
        event = await self._receive()
        if event["type"] == "http.request":
            self._left -= len(event["body"])
            if self._discards:
                event["body"] = b""
        return event

    def take(self, count: int) -> None:
        """The view has read so many bytes, and as many more may come."""
        self._allow(self._left + count)

    def take_all(self) -> None:
        """The view reads the whole body at once; the limit of its size is that of the request."""
        self._allow(math.inf)

    def discard(self) -> None:
        """The view has answered: what else arrives is not kept."""
        self._discards = True
        self._allow(math.inf)

    def _allow(self, left: float) -> None:
        self._left = left
        self._changed.set()
        self._changed = trio.Event()
