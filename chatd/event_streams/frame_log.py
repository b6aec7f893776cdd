"""The frames of one session, numbered from 1, until its client has them.

A response can be lost after it was sent, so frames that were sent are kept as well, as far as there is room. The send
queue of the session writes here, and waits while the client has not taken as much as there is room for: then the rules
of `send_queue` apply to slow readers.
"""

from collections import deque
from itertools import islice

import trio

from chatd.gateway.cork import NO_CORK, Cork
from chatd.gateway.transport import Data, Frames


class FrameLog:
    """See `send_queue.Sink`. `taken`: the last frame that the client has, as far as this node knows.

    At most `max_bytes` and `max_frames` are not taken, but for one frame more. The others are kept within the same
    limits.
    """

    __slots__ = (
        "_bytes",
        "_changed",
        "_frames",
        "_is_closed",
        "_max_bytes",
        "_max_frames",
        "_untaken_bytes",
        "last",
        "taken",
    )

    def __init__(self, max_bytes: int, max_frames: int) -> None:
        self._max_bytes = max_bytes
        self._max_frames = max_frames
        self._frames: deque[bytes] = deque()
        self._bytes = self._untaken_bytes = 0
        self._changed: trio.Event | None = None
        self._is_closed = False
        self.taken = 0
        self.last = 0

    @property
    def cork(self) -> Cork:
        return NO_CORK

    @property
    def _first(self) -> int:
        """The number of the oldest frame."""
        return self.last - len(self._frames) + 1

    # --- in -------------------------------------------------------------------------------------------------------

    def write_nowait(self, data: Data) -> int:
        """Take a whole frame. Raises BlockingIOError if the client has to take others first, and ClosedResourceError
        after `close`.
        """
        if self._is_closed:
            raise trio.ClosedResourceError
        if self._is_full:
            raise BlockingIOError
        frame = bytes(data)
        self._frames.append(frame)
        self.last += 1
        self._bytes += len(frame)
        self._untaken_bytes += len(frame)
        self._trim()
        self.wake()
        return len(frame)

    async def write(self, frames: Frames) -> int:
        """Wait for room, and take as many whole frames as fit. Returns their bytes. Raises trio.ClosedResourceError."""
        while self._is_full and not self._is_closed:
            await self.changed()
        written = 0
        for frame in frames():
            # A part of a frame is a view. The first one is whole.
            if isinstance(frame, memoryview) or self._is_full:
                break
            written += self.write_nowait(frame)
        return written

    def close(self) -> None:
        """Take no more frames."""
        self._is_closed = True
        self.wake()

    @property
    def _is_full(self) -> bool:
        return self._untaken_bytes >= self._max_bytes or self.last - self.taken >= self._max_frames

    def _trim(self) -> None:
        while (self._bytes > self._max_bytes or len(self._frames) > self._max_frames) and self._first <= self.taken:
            self._bytes -= len(self._frames.popleft())

    # --- out ------------------------------------------------------------------------------------------------------

    def has(self, after: int) -> bool:
        """Whether all frames after this one are here."""
        return self._first - 1 <= after <= self.last

    def after(self, number: int) -> list[bytes]:
        """The frames after this one."""
        return list(islice(self._frames, number - self._first + 1, None))

    def seek(self, number: int) -> None:
        """The client has the frames up to this one, and no others. Requires `has`."""
        self.taken = number
        self._untaken_bytes = sum(map(len, self.after(number)))
        self._trim()
        self.wake()

    async def changed(self) -> None:
        """Wait for the next change."""
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    def wake(self) -> None:
        """Let those who wait look again."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None
