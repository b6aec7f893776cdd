"""The send queue of a connection: a frame is written at once when it can be, and queued within bounds when it cannot.

Nobody waits here but trio-websocket with its own control frames. A writer exists only while there is a backlog, and takes
many frames in one system call.

A reader that is too slow for its events becomes a pull client. When the queue is full, the queued events of conversations are
dropped, whole frames only, and each of these conversations gets one `behind` in their place, as far as there is room. What a
`behind` cannot replace (answers, events of the user) stays; when events of the user do not fit, `session.behind` says so. Only a
reader that takes nothing at all for `stall_s` is closed.
"""

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import NamedTuple, Protocol

import trio

from chatd.gateway.transport import MAX_WRITE_BYTES, MOST_BUFFERS, Data, Transport

GONE = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class Mark(Protocol):
    """What the queue has to know of an event. `rev` 0: it has no place in the order of a conversation."""

    @property
    def conversation(self) -> str: ...
    @property
    def rev(self) -> int: ...
    @property
    def volatile(self) -> bool: ...


class Placed(NamedTuple):
    """The mark of a `behind`: it may be replaced by a later one."""

    conversation: str
    rev: int
    volatile: bool = False


Queue = deque[tuple[Data, Mark | None]]


class Outbox:
    """Bounded by bytes and by frames. Volatile events are refused when it is more than half full."""

    __slots__ = (
        "_changed",
        "_in_flight",
        "_is_partial",
        "_missed",
        "_most_bytes",
        "_most_frames",
        "_nursery",
        "_queue",
        "_stall_s",
        "_transport",
        "_write",
        "behind",
        "broken",
        "on_drop",
        "on_stall",
        "queued_bytes",
    )

    def __init__(
        self, transport: Transport, nursery: trio.Nursery, most_bytes: int, most_frames: int, stall_s: float = float("inf")
    ) -> None:
        self._transport = transport
        self._write = transport.write_nowait
        self._nursery = nursery
        self._most_bytes = most_bytes
        self._most_frames = most_frames
        self._stall_s = stall_s
        self._queue: Queue | None = None
        # The first of the queue that cannot be dropped: those that are being written, and one that is written in part.
        self._in_flight = 0
        self._is_partial = False
        # By conversation the last rev that was dropped and is not announced yet; "" for events of the user.
        self._missed: dict[str, int] = {}
        self._changed: trio.Event | None = None
        self.queued_bytes = 0
        self.broken = False
        # A whole frame that says `behind`, or `session.behind` for the conversation "".
        self.behind: Callable[[str, int], bytes] = no_frame
        # How many queued events were dropped at once.
        self.on_drop: Callable[[int], None] = ignore
        self.on_stall: Callable[[], None] = self.give_up

    def send_nowait(self, frame: Data, event: Mark | None = None, /) -> bool:
        """Write or queue it; False when it is dropped. Without the mark of an `event` it is an answer, which always stays."""
        if self.broken:
            return False
        if self._queue is None:
            return self._write_or_queue(frame)
        return self._enqueue(self._queue, frame, event)

    @property
    def queued_frames(self) -> int:
        return len(self._queue) if self._queue is not None else 0

    def _is_full(self, share: int) -> bool:
        return self.queued_bytes * share >= self._most_bytes or self.queued_frames * share >= self._most_frames

    def _write_or_queue(self, frame: Data) -> bool:
        try:
            written = self._write(frame)
        except GONE:
            self.give_up()
            return False
        if written < len(frame):
            self._queue = deque()
            self._is_partial = written > 0
            self._append(self._queue, memoryview(frame)[written:] if written else frame, None)
            self._nursery.start_soon(self._write_backlog, self._queue)
        return True

    def _enqueue(self, queue: Queue, frame: Data, event: Mark | None) -> bool:
        if event is not None and self._missed:
            return self._miss(event)
        if self._is_full(2 if event is not None and event.volatile else 1):
            if event is not None and event.volatile:
                return False
            self._drop_events(queue)
            if event is not None and (self._missed or self._is_full(1)):
                return self._miss(event)
        self._append(queue, frame, event)
        return True

    def _append(self, queue: Queue, frame: Data, event: Mark | None) -> None:
        queue.append((frame, event))
        self.queued_bytes += len(frame)

    # --- too much for the reader ----------------------------------------------------------------------------------------

    def _miss(self, event: Mark) -> bool:
        """Remember that an event was dropped. Nothing is remembered of volatile ones."""
        if not event.volatile:
            key = event.conversation if event.rev else ""
            self._missed[key] = max(event.rev, self._missed.get(key, 0))
        return False

    def _drop_events(self, queue: Queue) -> None:
        """Drop the queued events of conversations, and announce them instead."""
        held, kept = max(self._in_flight, self._is_partial), list(queue)
        queue.clear()
        for place, (frame, event) in enumerate(kept):
            if place >= held and event is not None and (event.rev or event.volatile):
                self._miss(event)
                self.queued_bytes -= len(frame)
            else:
                queue.append((frame, event))
        self.on_drop(len(kept) - len(queue))
        self._announce(queue)

    def _announce(self, queue: Queue) -> None:
        """Queue a `behind` for each conversation that has missed something, as far as there is room."""
        while self._missed and not self._is_full(2):
            conversation = next(iter(self._missed))
            rev = self._missed.pop(conversation)
            self._append(queue, self.behind(conversation, rev), Placed(conversation, rev))

    def discard(self) -> None:
        """Drop everything that is not on its way: what follows is the goodbye, at the end of a whole frame."""
        self._missed.clear()
        if self._queue is not None:
            kept = list(islice(self._queue, max(self._in_flight, self._is_partial)))
            self._queue.clear()
            self._queue.extend(kept)
            self.queued_bytes = sum(len(frame) for frame, _ in kept)
        self._wake()

    # --- waiting --------------------------------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """For trio-websocket: in its turn among the frames, and waited for. Raises trio.BrokenResourceError."""
        if not self.broken and self._queue is None:
            self._write_or_queue(data)
        elif self._queue is not None:
            self._append(self._queue, data, None)
        await self.drained()
        if self.broken:
            raise trio.BrokenResourceError("the peer is gone")

    async def drained(self) -> None:
        """Until nothing is queued, or nothing can be written any more."""
        if self._queue is None or self.broken:
            await trio.lowlevel.checkpoint()
        while self._queue is not None and not self.broken:
            await self._change()

    async def room(self) -> bool:
        """Until the queue is less than half full, or nothing can be written any more. Whether it had to wait for that."""
        waited = False
        while self._is_full(2) and not self.broken:
            await self._change()
            waited = True
        return waited

    async def _change(self) -> None:
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    # --- the writer -----------------------------------------------------------------------------------------------------

    async def _write_backlog(self, queue: Queue) -> None:
        """Until the queue is empty."""
        try:
            while queue and not self.broken:
                with trio.move_on_after(self._stall_s) as patience:
                    self._consume(queue, await self._transport.write(self._next_frames))
                    self._announce(queue)
                    self._wake()
                if patience.cancelled_caught:
                    self.on_stall()
        except GONE:
            self.give_up()
        self._queue = None
        self._wake()

    def _next_frames(self) -> list[Data]:
        """What to write now. It is asked for when something can be written: until then the queue may change."""
        assert self._queue is not None
        frames, room = list[Data](), MAX_WRITE_BYTES
        for frame, _ in islice(self._queue, MOST_BUFFERS):
            frames.append(frame if len(frame) <= room else memoryview(frame)[:room])
            room -= len(frame)
            if room <= 0:
                break
        self._in_flight = len(frames)
        return frames

    def _consume(self, queue: Queue, written: int) -> None:
        self._in_flight = 0
        self.queued_bytes -= written
        while written:
            frame, event = queue.popleft()
            self._is_partial = len(frame) > written
            if self._is_partial:
                queue.appendleft((memoryview(frame)[written:], event))
                return
            written -= len(frame)

    def give_up(self) -> None:
        """The peer is gone, or nobody wants to send any more."""
        self.broken = True
        self._wake()


def ignore(count: int) -> None:
    """Nobody counts."""


def no_frame(conversation: str, rev: int) -> bytes:
    """Before the session begins there are no events."""
    raise AssertionError(conversation)
