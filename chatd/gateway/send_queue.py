"""The send queue of a connection: a frame is written at once if the socket takes it, and otherwise queued within
bounds.

Senders never wait; only trio-websocket waits, for its own control frames. A writer task exists only while frames are
queued, and writes many of them in one system call.

A full queue turns a slow reader into one that syncs. The queued events of topics are dropped, whole frames only, and
one `behind` per topic takes their place as far as there is room. Frames that a `behind` cannot replace (answers, events
of the user) stay; if an event of the user does not fit, `session.behind` announces it. Only a reader that takes nothing
at all for `stall_s` is closed.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum
from itertools import islice
from typing import NamedTuple, Protocol

import trio

from chatd.gateway.cork import Cork
from chatd.gateway.transport import MAX_BUFFERS, MAX_WRITE_BYTES, Data, Frames

PEER_GONE = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class EventPosition(Protocol):
    """What the queue needs of an event. `rev` is 0 for an event without a number in its topic."""

    @property
    def topic(self) -> str: ...
    @property
    def rev(self) -> int: ...
    @property
    def ephemeral(self) -> bool: ...


class Sink(Protocol):
    """Takes the frames of a queue, see `transport.Transport`."""

    @property
    def cork(self) -> Cork: ...
    @property
    def write_nowait(self) -> Callable[[Data], int]: ...
    @property
    def write(self) -> Callable[[Frames], Awaitable[int]]: ...


class State(Enum):
    """Whether frames are taken. While CLOSED, only trio-websocket can write, and other frames are discarded."""

    OPEN = 1
    CLOSED = 2
    BROKEN = 3


OPEN, CLOSED, BROKEN = State


class GapPosition(NamedTuple):
    """The position of a `behind`, which a later one may replace."""

    topic: str
    rev: int
    ephemeral: bool = False


Entries = deque[tuple[Data, EventPosition | None]]


class SendQueue:
    """Bounded in bytes and frames. More than half full, it takes no ephemeral events."""

    __slots__ = (
        "_changed",
        "_cork",
        "_dropped_revs",
        "_entries",
        "_held",
        "_in_flight",
        "_is_partial",
        "_max_bytes",
        "_max_frames",
        "_nursery",
        "_stall_s",
        "_transport",
        "_write",
        "behind",
        "on_drop",
        "on_error",
        "on_stall",
        "queued_bytes",
        "state",
    )

    def __init__(
        self,
        transport: Sink,
        nursery: trio.Nursery,
        max_bytes: int,
        max_frames: int,
        stall_s: float = float("inf"),
    ) -> None:
        self._transport = transport
        self._write = transport.write_nowait
        self._cork = transport.cork
        # What the cork holds back. It is not queued: it does not outlast a turn.
        self._held: list[Data] = []
        self._nursery = nursery
        self._max_bytes = max_bytes
        self._max_frames = max_frames
        self._stall_s = stall_s
        self._entries: Entries | None = None
        # Entries at the head that cannot be dropped: those being written, and one that is written in part.
        self._in_flight = 0
        self._is_partial = False
        # The last dropped rev of each topic until its `behind` is queued; "" is the topic of the user's own events.
        self._dropped_revs: dict[str, int] = {}
        self._changed: trio.Event | None = None
        self.queued_bytes = 0
        self.state = OPEN
        # Makes the frame of a `behind`, or of `session.behind` for the topic "".
        self.behind: Callable[[str, int], bytes] = no_frame
        # Called with the number of queued events that are dropped at once.
        self.on_drop: Callable[[int], None] = ignore
        # Called when the reader has taken nothing for `stall_s`. Without it, the queue is abandoned.
        self.on_stall: Callable[[], None] | None = None
        # Called if writing fails in another way than by the end of the peer. Without it, the nursery fails.
        self.on_error: Callable[[Exception], None] | None = None

    def send_nowait(self, frame: Data, event: EventPosition | None = None, /) -> bool:
        """Write or queue a frame. Returns False if it is dropped. Answers, which have no `event`, are never dropped."""
        if self.state is not OPEN:
            return self.state is CLOSED
        if self._entries is None:
            return self._hold_back(frame) if self._cork.is_in else self._write_or_queue(frame)
        return self._enqueue(self._entries, frame, event)

    def send_close(self, frame: bytes) -> None:
        """Write or queue a close frame, the last one, also while CLOSED."""
        self.release()
        if self._entries is not None:
            self._append(self._entries, frame, None)
        elif self.state is not BROKEN:
            self._write_or_queue(frame)

    def open(self) -> None:
        if self.state is CLOSED:
            self.state = OPEN

    def close(self) -> None:
        """Discard further frames, except those of trio-websocket."""
        if self.state is OPEN:
            self.state = CLOSED

    @property
    def queued_frames(self) -> int:
        return len(self._entries) if self._entries is not None else 0

    @property
    def is_half_full(self) -> bool:
        """Whether a sender that can wait should wait for room."""
        return self._entries is not None and self.state is not BROKEN and self._is_full(2)

    def _is_full(self, share: int) -> bool:
        return self.queued_bytes * share >= self._max_bytes or self.queued_frames * share >= self._max_frames

    def _hold_back(self, frame: Data) -> bool:
        if not self._held:
            self._cork.add(self)
        self._held.append(frame)
        return True

    def release(self) -> None:
        """Write what the cork has held back."""
        if self._held and self.state is not BROKEN:
            self._write_or_queue(self._held[0] if len(self._held) == 1 else b"".join(self._held))
        self._held = []

    def _write_or_queue(self, frame: Data) -> bool:
        try:
            written = self._write(frame if len(frame) <= MAX_WRITE_BYTES else memoryview(frame)[:MAX_WRITE_BYTES])
        except BlockingIOError:
            written = 0
        except PEER_GONE:
            self.abandon()
            return False
        if written < len(frame):
            self._entries = deque()
            self._is_partial = written > 0
            self._append(self._entries, memoryview(frame)[written:] if written else frame, None)
            self._nursery.start_soon(self._write_entries, self._entries)
        return True

    def _enqueue(self, entries: Entries, frame: Data, event: EventPosition | None) -> bool:
        if event is not None and self._dropped_revs:
            return self._note_dropped(event)
        if self._is_full(2 if event is not None and event.ephemeral else 1):
            if event is not None and event.ephemeral:
                return False
            self._drop_topic_events(entries)
            if event is not None and (self._dropped_revs or self._is_full(1)):
                return self._note_dropped(event)
        self._append(entries, frame, event)
        return True

    def _append(self, entries: Entries, frame: Data, event: EventPosition | None) -> None:
        entries.append((frame, event))
        self.queued_bytes += len(frame)

    # --- overflow -------------------------------------------------------------------------------------------------

    def _note_dropped(self, event: EventPosition) -> bool:
        """Record that an event is dropped, unless it is ephemeral. Returns False, as `send_nowait` does for it."""
        if not event.ephemeral:
            key = event.topic if event.rev else ""
            self._dropped_revs[key] = max(event.rev, self._dropped_revs.get(key, 0))
        return False

    def _drop_topic_events(self, entries: Entries) -> None:
        """Replace the queued events of each topic with one `behind`."""
        held, kept = max(self._in_flight, self._is_partial), list(entries)
        entries.clear()
        for place, (frame, event) in enumerate(kept):
            if place >= held and event is not None and (event.rev or event.ephemeral):
                self._note_dropped(event)
                self.queued_bytes -= len(frame)
            else:
                entries.append((frame, event))
        self.on_drop(len(kept) - len(entries))
        self._queue_gaps(entries)

    def _queue_gaps(self, entries: Entries) -> None:
        """Queue a `behind` for each topic with dropped events, as far as there is room."""
        while self._dropped_revs and not self._is_full(2):
            topic = next(iter(self._dropped_revs))
            rev = self._dropped_revs.pop(topic)
            self._append(entries, self.behind(topic, rev), GapPosition(topic, rev))

    def discard(self) -> None:
        """Drop all frames that are not being written, so that a close frame follows at the boundary of a frame."""
        self._dropped_revs.clear()
        self._held = []
        if self._entries is not None:
            kept = list(islice(self._entries, max(self._in_flight, self._is_partial)))
            self._entries.clear()
            self._entries.extend(kept)
            self.queued_bytes = sum(len(frame) for frame, _ in kept)
        self._wake()

    # --- waiting --------------------------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Queue data of trio-websocket behind the other frames and wait until it is written.

        Raises trio.BrokenResourceError.
        """
        self.release()
        if self.state is not BROKEN and self._entries is None:
            self._write_or_queue(data)
        elif self._entries is not None:
            self._append(self._entries, data, None)
        await self.drained()
        if self.state is BROKEN:
            raise trio.BrokenResourceError("the peer is gone")

    async def drained(self) -> None:
        """Wait until nothing is queued, or the peer is gone."""
        self.release()
        if self._entries is None or self.state is BROKEN:
            await trio.lowlevel.checkpoint()
        while self._entries is not None and self.state is not BROKEN:
            await self._wait_for_change()

    async def wait_for_room(self) -> bool:
        """Wait until the queue is less than half full, or the peer is gone. Returns whether it had to wait."""
        waited = False
        while self.is_half_full:
            await self._wait_for_change()
            waited = True
        return waited

    async def _wait_for_change(self) -> None:
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    # --- the writer -----------------------------------------------------------------------------------------------

    async def _write_entries(self, entries: Entries) -> None:
        """Write until the queue is empty."""
        try:
            while entries and self.state is not BROKEN:
                with trio.move_on_after(self._stall_s) as stall:
                    self._consume(entries, await self._transport.write(self._next_frames))
                    self._queue_gaps(entries)
                    self._wake()
                if stall.cancelled_caught:
                    (self.on_stall or self.abandon)()
        except PEER_GONE:
            self.abandon()
        except Exception as error:
            self.abandon()
            if self.on_error is None:
                raise
            self.on_error(error)
        self._entries = None
        self._wake()

    def _next_frames(self) -> list[Data]:
        """The frames to write now.

        The transport asks once the socket is writable, because the queue may change until then.
        """
        assert self._entries is not None
        frames, free_bytes = list[Data](), MAX_WRITE_BYTES
        for frame, _ in islice(self._entries, MAX_BUFFERS):
            frames.append(frame if len(frame) <= free_bytes else memoryview(frame)[:free_bytes])
            free_bytes -= len(frame)
            if free_bytes <= 0:
                break
        self._in_flight = len(frames)
        return frames

    def _consume(self, entries: Entries, written: int) -> None:
        self._in_flight = 0
        self.queued_bytes -= written
        while written:
            frame, event = entries.popleft()
            self._is_partial = len(frame) > written
            if self._is_partial:
                entries.appendleft((memoryview(frame)[written:], event))
                return
            written -= len(frame)

    def abandon(self) -> None:
        """Write nothing more: the peer is gone, or the connection ends."""
        self.state = BROKEN
        self._wake()


def ignore(count: int) -> None:
    """Do not count dropped events."""


def no_frame(topic: str, rev: int) -> bytes:
    """Placeholder until the session begins; there are no events before."""
    raise AssertionError(topic)
