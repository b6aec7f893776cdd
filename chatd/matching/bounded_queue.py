"""A queue whose sender never waits. The reader learns of an overflow, and recovers what was dropped."""

from typing import Generic, TypeVar

import trio

T = TypeVar("T")


class BoundedQueue(Generic[T]):
    """Holds at most `capacity` items.

    Items beyond that are dropped; when the queue is empty again, `overflow` is read instead.
    """

    def __init__(self, capacity: int, overflow: T) -> None:
        self._send, self._receive = trio.open_memory_channel[T](capacity)
        self._overflow = overflow
        self._has_dropped = False

    def put(self, item: T) -> None:
        try:
            self._send.send_nowait(item)
        except trio.WouldBlock:
            self._has_dropped = True

    async def get(self) -> T:
        """The next item, or `overflow`. Several tasks may read."""
        if self._has_dropped and self.is_empty:
            self._has_dropped = False
            return self._overflow
        return await self._receive.receive()

    @property
    def is_empty(self) -> bool:
        return not self._receive.statistics().current_buffer_used
