"""The way out of a connection: written at once when it can be, queued within bounds when it cannot.

Nobody waits here but trio-websocket with its own control frames. A writer exists only while there is a backlog, and takes
many frames in one system call.
"""

from collections import deque
from itertools import islice

import trio

from chatd.gateway.transport import MOST_BUFFERS, Transport

GONE = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class Outbox:
    """Bounded by bytes and by frames. Volatile frames are refused when it is more than half full."""

    __slots__ = (
        "_drained",
        "_most_bytes",
        "_most_frames",
        "_nursery",
        "_queue",
        "_transport",
        "_write",
        "broken",
        "queued_bytes",
    )

    def __init__(self, transport: Transport, nursery: trio.Nursery, most_bytes: int, most_frames: int) -> None:
        self._transport = transport
        self._write = transport.write_nowait
        self._nursery = nursery
        self._most_bytes = most_bytes
        self._most_frames = most_frames
        self._queue: deque[bytes] | None = None
        self._drained: trio.Event | None = None
        self.queued_bytes = 0
        self.broken = False

    def send_nowait(self, frame: bytes, volatile: bool = False, /) -> bool:
        """Write or queue it; False when it is refused, because the outbox is full or the peer is gone."""
        if self.broken:
            return False
        if self._queue is None:
            return self._write_or_queue(frame)
        if self._is_full(2 if volatile else 1):
            return False
        self._append(self._queue, frame)
        return True

    @property
    def queued_frames(self) -> int:
        return len(self._queue) if self._queue is not None else 0

    def _is_full(self, share: int) -> bool:
        assert self._queue is not None
        return self.queued_bytes * share >= self._most_bytes or len(self._queue) * share >= self._most_frames

    def _write_or_queue(self, frame: bytes) -> bool:
        try:
            written = self._write(frame)
        except GONE:
            self.give_up()
            return False
        if written < len(frame):
            self._queue = deque()
            self._append(self._queue, frame[written:] if written else frame)
            self._nursery.start_soon(self._write_backlog, self._queue)
        return True

    def _append(self, queue: deque[bytes], frame: bytes) -> None:
        queue.append(frame)
        self.queued_bytes += len(frame)

    async def send(self, data: bytes) -> None:
        """For trio-websocket: in its turn among the frames, and waited for. Raises trio.BrokenResourceError."""
        if not self.broken and self._queue is None:
            self._write_or_queue(data)
        elif self._queue is not None:
            self._append(self._queue, data)
        await self.drained()
        if self.broken:
            raise trio.BrokenResourceError("the peer is gone")

    async def drained(self) -> None:
        """Until nothing is queued, or nothing can be written any more."""
        if self._queue is None or self.broken:
            await trio.lowlevel.checkpoint()
            return
        if self._drained is None:
            self._drained = trio.Event()
        await self._drained.wait()

    async def _write_backlog(self, queue: deque[bytes]) -> None:
        """Until the queue is empty. Bounds hold while the peer reads slowly; when it reads not at all, heartbeats end it."""
        try:
            while queue and not self.broken:
                self._consume(queue, await self._transport.write(tuple(islice(queue, MOST_BUFFERS))))
        except GONE:
            self.give_up()
        self._queue = None
        self._wake()

    def _consume(self, queue: deque[bytes], written: int) -> None:
        self.queued_bytes -= written
        while written:
            frame = queue.popleft()
            if len(frame) > written:
                queue.appendleft(frame[written:])
                return
            written -= len(frame)

    def give_up(self) -> None:
        """The peer is gone, or nobody wants to send any more."""
        self.broken = True
        self._wake()

    def _wake(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None
