"""The fast path: a stream below trio-websocket that handles whole data frames, pings and pongs itself.

Most connections never need more, so trio-websocket is made only at the first frame that is not one of these: a
fragment, a close frame, or an error. From then on it owns the protocol: fragmentation, the closing handshake, errors.
It calls `receive_some`, which reads each frame header and does one of three things with the frame:

* Plain (final, of an opcode that the session takes, no reserved bit, masked, shortest length, complete, within the
  limit, outside of a fragmented message), or a ping or pong: it is handled in the same task. trio-websocket never sees
  it.
* Valid, but not plain (fragments): exactly its bytes are returned to trio-websocket.
* Invalid (reserved bits or opcodes, no mask, a length that is not minimal, a stray continuation), a close frame, or
  anything after it: all bytes from there on are returned to trio-websocket, which handles the error or the close.

Order of the two paths: `_run_slow_path` handles the messages of trio-websocket. After the final frame of such a
message, the stream gives no later message to the session until the earlier one is handled.

The stream enforces two limits that trio-websocket does not have, because it sees every header: frames per message, and
control frames per second. A violation is reported once through `exceeded`, and everything after it is dropped.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from time import perf_counter

import trio
from trio_websocket import CloseReason, ConnectionClosed, WebSocketConnection

from chatd.gateway.commands_in_flight import Call, CommandsInFlight
from chatd.gateway.frame_rules import FrameRules
from chatd.gateway.send_queue import PEER_GONE, SendQueue, ignore, no_frame
from chatd.gateway.transport import Transport
from chatd.wire.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FINAL,
    PING,
    PONG,
    TEXT,
    Header,
    encode_close,
    encode_frame,
    read_header,
    shortened,
    unmask,
)

FLUSH_TIMEOUT_S = 3.0
# Close codes of violations for which trio-websocket ends the connection without a close frame.
PROTOCOL_ERRORS = {1002, 1003, 1007, 1009}
# Time that the peer has to read the close frame.
LINGER_S = 1.0
# Time for which messages that arrived together are handled before other tasks run.
TURN_S = 0.001
# Interval at which data of a muted peer is read and dropped, up to READ_SIZE bytes of it.
MUTED_POLL_S = 0.1
CLOSE_BYTE = bytes((FINAL | CLOSE,))
# First bytes of pings and pongs.
HEARTBEATS = (FINAL | PING, FINAL | PONG)


Upgrade = Callable[[], Awaitable[WebSocketConnection]]


class FastPathStream(trio.abc.Stream):
    """The stream of one connection. After the handshake `open` it, and `run` it until the connection ends.

    `upgrade` lets trio-websocket do the handshake on this stream, with `head` as the request; its answer is dropped,
    because the peer has got one. `head` and `upgrade` are set before `run`.
    """

    __slots__ = (
        "_close_sent",
        "_connection",
        "_data",
        "_eof",
        "_frames",
        "_in_flight",
        "_muted",
        "_passthrough",
        "_pending",
        "_position",
        "_preface",
        "_protocol_error_read",
        "_queue",
        "_raw",
        "_rules",
        "_skipping",
        "_slow_path_busy",
        "_transport",
        "_turn_ends",
        "_upgraded",
        "head",
        "is_reading",
        "last_activity",
        "read_at",
        "send_nowait",
        "upgrade",
    )

    def __init__(self, transport: Transport, queue: SendQueue) -> None:
        self._transport = transport
        self._queue = queue
        # See `SendQueue.send_nowait`.
        self.send_nowait = queue.send_nowait
        self._rules: FrameRules | None = None
        self._data: bytes | bytearray = b""
        self._position = 0
        self._eof = False
        self._raw = False
        self._skipping = False
        self._muted = False
        self._turn_ends = 0.0
        self._close_sent = False
        self._protocol_error_read: trio.Event | None = None
        self._passthrough = 0
        self._frames = 0
        self._connection: WebSocketConnection | None = None
        # What trio-websocket reads first: the head, and after the handshake the bytes for which it was made.
        self._preface: tuple[bytes, ...] = ()
        self._upgraded: trio.Event | None = None
        self.head = b""
        self.upgrade: Upgrade = no_upgrade
        # Bytes that the reactor has left to the task of the connection.
        self._pending: Call | None = None
        self._in_flight = CommandsInFlight()
        self._slow_path_busy: trio.Event | None = None
        self.last_activity = trio.current_time()
        # When the messages being handled were read, or when the peer made room for their answers.
        self.read_at = self.last_activity
        # Whether the stream waits for the peer. If not, the peer may be waiting for an answer, and its silence means
        # nothing.
        self.is_reading = False

    # --- in -------------------------------------------------------------------------------------------------------

    def open(self, rules: FrameRules) -> None:
        """Start the fast path, after the handshake."""
        self._rules = rules
        self._queue.behind, self._queue.on_drop = rules.behind, rules.dropped
        self._queue.on_stall = partial(rules.exceeded, "slow")

    def consume(self, size: int) -> None:
        """Drop bytes that were received: the head of the request."""
        self._take_bytes(size)

    async def run(self) -> None:
        """Handle what the peer sends until the connection ends."""
        first = await self.receive_some()
        if first:
            await self._run_slow_path(await self._make_connection(first))

    async def _make_connection(self, first: bytes) -> WebSocketConnection:
        """Make trio-websocket, which reads `first` after the handshake."""
        self._preface, self._upgraded = (self.head, first), trio.Event()
        with trio.CancelScope(shield=True):
            # It does not wait for the peer.
            connection = self._connection = await self.upgrade()
        self._upgraded.set()
        return connection

    async def read_more(self) -> bool:
        """Wait for bytes from the peer and buffer them. Returns False at the end. Raises trio.BrokenResourceError.

        Complete plain frames whose commands wait for nothing are handled in between.
        """
        if self._eof:
            return False
        self.is_reading = True
        try:
            data = await self._transport.read(self._handle_received)
        except PEER_GONE as error:
            raise trio.BrokenResourceError("the peer is gone") from error
        self.is_reading = False
        if data is not None:
            self._eof = not data
            self._buffer(data)
        return not self._eof

    def _buffer(self, data: bytes) -> None:
        self.last_activity = self.read_at = trio.current_time()
        if self._position >= len(self._data):
            self._data, self._position = data, 0
        else:
            self._append(data)

    async def _handle_received(self, data: bytes) -> bool:
        """In the turn of the reactor: buffer bytes, and handle what waits for nothing.

        Returns False if anything is left for the task of the connection. It comes before all that follows it.
        """
        self._buffer(data)
        return await self._handle_ready()

    async def _handle_ready(self) -> bool:
        """Handle complete plain frames that wait for nothing. Returns whether nothing is left."""
        rules = self._rules
        if rules is None or self._raw or self._muted or self._passthrough or self._slow_path_busy is not None:
            return False
        ends = 0.0
        while self._position < len(self._data):
            header = read_header(self._data, self._position)
            if header is None or header.end > len(self._data) or self._queue.is_half_full:
                return False
            if header.first in HEARTBEATS and header.valid and not self._skipping:
                self._handle_heartbeat(header, rules)
                continue
            if not self._is_plain(header, rules):
                return False
            payload = unmask(self._data, header)
            if header.first & 0x0F == TEXT and not is_utf8(payload):
                return False
            self._position = header.end
            call = rules.decode(header.opcode, payload)
            if call is not None and not await self._in_flight.start(call):
                self._pending = call
                return False
            if self._position < len(self._data):
                now = perf_counter()
                ends = ends or now + TURN_S
                if now >= ends:
                    return False
        self._data, self._position = b"", 0
        return True

    def _append(self, data: bytes) -> None:
        """Append in place, in time proportional to the new data: a peer may send its bytes one by one."""
        if isinstance(self._data, bytearray):
            del self._data[: self._position]
        else:
            self._data = bytearray(self._data[self._position :])
        self._data += data
        self._position = 0

    def peek(self) -> bytes | bytearray:
        """Return what was received and not consumed yet."""
        return self._data[self._position :] if self._position else self._data

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return bytes for trio-websocket. Handles plain frames until there are some."""
        if self._preface:
            if len(self._preface) == 1 and self._upgraded is not None:
                await self._upgraded.wait()
            preface, self._preface = self._preface[0], self._preface[1:]
            return preface
        while True:
            if self._muted:
                await self._discard_input()
            taken = await self._take()
            if not taken and await self.read_more():
                continue
            # What trio-websocket gets may end the connection.
            await self._in_flight.wait_until_settled()
            if not taken:
                self._raw = True
                taken = self._take_bytes(len(self._data))
            if taken or self._eof:
                return taken

    async def _take(self) -> bytes:
        """Return bytes for trio-websocket, or b"" if more must arrive first."""
        while self._pending is not None or self._position < len(self._data):
            if self._pending is not None:
                call, self._pending = self._pending, None
                await self._in_flight.run(call)
                await self._yield_turn()
            elif self._raw:
                return self._take_bytes(len(self._data))
            elif self._passthrough:
                taken = self._take_bytes(self._passthrough)
                self._passthrough -= len(taken)
                if not self._skipping:
                    return taken
            elif not await self._handle_ready() and not await self._prepare_next():
                return b""
        return b""

    async def _prepare_next(self) -> bool:
        """Do what `_handle_ready` has stopped for: wait, or classify a frame that is not plain.

        Returns False if more must arrive first.
        """
        rules, header = self._rules, read_header(self._data, self._position)
        if self._pending is not None or rules is None:
            return True
        if header is None:
            self._raw = self._is_invalid_head()
            return self._raw
        is_heartbeat = header.first in HEARTBEATS and header.valid and not self._skipping
        if not is_heartbeat and not self._is_plain(header, rules):
            await self._classify(header, rules)
        elif header.end > len(self._data):
            return False
        elif self._queue.is_half_full:
            await self._queue.wait_for_room()
            self.read_at = trio.current_time()
        elif is_heartbeat:
            self._handle_heartbeat(header, rules)
        elif header.first & 0x0F == TEXT and not is_utf8(unmask(self._data, header)):
            # trio-websocket refuses it (RFC 6455, 8.1).
            self._raw = True
        elif self._slow_path_busy is not None:
            await self._slow_path_busy.wait()
        else:
            await self._yield_turn()
        return True

    async def _yield_turn(self) -> None:
        """Let other tasks run if more data is buffered and the turn of this connection is over."""
        if self._position < len(self._data) and perf_counter() >= self._turn_ends:
            await trio.lowlevel.checkpoint()
            self._turn_ends = perf_counter() + TURN_S

    def mute(self) -> None:
        """Ignore all further data of the peer and read it slowly, so that refusing costs less than flooding."""
        self._muted = True
        self._data, self._position, self._passthrough = b"", 0, 0
        self._pending = None

    async def _discard_input(self) -> None:
        """Read and drop until the peer disconnects."""
        while await self.read_more():
            self._data, self._position = b"", 0
            await trio.sleep(MUTED_POLL_S)

    def _take_bytes(self, count: int) -> bytes:
        taken = bytes(self._data[self._position : self._position + count])
        self._position += len(taken)
        if self._position >= len(self._data):
            self._data, self._position = b"", 0
        return taken

    def _is_invalid_head(self) -> bool:
        """Whether the first bytes of an incomplete header are invalid, whatever follows."""
        head = self._data[self._position : self._position + 2]
        return bool(head[:1] and head[0] & 0x70) or bool(head[1:] and not head[1] & 0x80)

    def _is_plain(self, header: Header, rules: FrameRules) -> bool:
        return (
            header.first & 0xF0 == FINAL
            and header.first & 0x0F in rules.opcodes
            and header.masked
            and header.minimal
            and header.length <= rules.max_message
            and not self._frames
            and not self._skipping
        )

    def _handle_heartbeat(self, header: Header, rules: FrameRules) -> None:
        """Answer a ping, and drop a pong (RFC 6455, section 5.5.2)."""
        payload = unmask(self._data, header)
        self._position = header.end
        if rules.control.take(trio.current_time()) > 0:
            self._exceed("flooding", rules)
        elif header.opcode == PING and not self._close_sent:
            self._queue.send_nowait(encode_frame(PONG, payload))

    async def _classify(self, header: Header, rules: FrameRules) -> None:
        """Pass through this frame, which is not plain, or everything from here on."""
        if not header.valid or self._is_out_of_place(header):
            self._raw = True
            return
        if self._slow_path_busy is not None and not header.is_control:
            await self._slow_path_busy.wait()
        self._passthrough = header.end - self._position
        if header.opcode == CLOSE:
            self._raw = True
        elif not header.is_control:
            self._count_fragment(header, rules)

    def _is_out_of_place(self, header: Header) -> bool:
        """Whether it continues nothing, or starts a message inside a fragmented one (RFC 6455, section 5.4)."""
        return not header.is_control and (header.opcode == CONTINUATION) != bool(self._frames)

    def _count_fragment(self, header: Header, rules: FrameRules) -> None:
        self._frames += 1
        if self._frames > rules.max_frames or header.length > rules.max_message:
            self._exceed("too_big", rules)
        elif header.final:
            self._frames = 0
            self._slow_path_busy = trio.Event()

    def _exceed(self, close: str, rules: FrameRules) -> None:
        if not self._skipping:
            self._skipping = True
            rules.exceeded(close)

    async def _run_slow_path(self, connection: WebSocketConnection) -> None:
        """Handle the messages that trio-websocket assembles, until the connection ends."""
        assert self._rules is not None
        try:
            while True:
                await self._handle_slow(await connection.get_message(), self._rules)
                self._release_slow_path()
        except ConnectionClosed as closed:
            await self._send_protocol_error(closed.reason)
        finally:
            self._raw = True
            self._release_slow_path()

    async def _send_protocol_error(self, reason: CloseReason | None) -> None:
        """Send the close frame for a violation, which trio-websocket does not send (RFC 6455, section 7.1.7)."""
        if reason is None or self._close_sent or reason.code not in PROTOCOL_ERRORS:
            await self._in_flight.wait_until_settled()
            return
        self._protocol_error_read = trio.Event()
        try:
            await self._in_flight.wait_until_settled()
            self._queue.send_close(encode_close(reason.code, reason.reason or ""))
            if not self._queue.queued_bytes:
                # Nothing follows a close frame.
                self._queue.abandon()
            with trio.move_on_after(LINGER_S):
                await self.linger()
        finally:
            self._protocol_error_read.set()

    async def _handle_slow(self, message: str | bytes, rules: FrameRules) -> None:
        opcode = TEXT if isinstance(message, str) else BINARY
        if opcode not in rules.opcodes:
            rules.exceeded("protocol_error")
        else:
            if await self._queue.wait_for_room():
                self.read_at = trio.current_time()
            call = rules.decode(opcode, message.encode() if isinstance(message, str) else message)
            if call is not None:
                await self._in_flight.run(call)

    def _release_slow_path(self) -> None:
        if self._slow_path_busy is not None:
            self._slow_path_busy.set()
            self._slow_path_busy = None

    # --- out ------------------------------------------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send data of trio-websocket, in its place among the frames."""
        if data[:4] == b"HTTP":
            # The answer of trio-websocket to the handshake.
            return
        self._close_sent = self._close_sent or data[:1] == CLOSE_BYTE
        await self._queue.send(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await self._queue.drained()

    def open_output(self) -> None:
        """See `SendQueue.open`."""
        self._queue.open()

    def close_output(self, *, discard: bool = False) -> None:
        """Discard further frames, except those of trio-websocket; with `discard` also those that are queued."""
        self._queue.close()
        if discard:
            self._queue.discard()

    def send_close(self, code: int, reason: str) -> None:
        """Send the close frame now, if trio-websocket is not there to do it."""
        if self._connection is None and not self._close_sent:
            self._close_sent = True
            self._queue.send_close(encode_close(code, reason))

    async def close(self, code: int, reason: str, timeout_s: float) -> None:
        """Close with a code, and wait at most `timeout_s` for the close frame of the peer."""
        with trio.move_on_after(timeout_s), suppress(trio.BrokenResourceError):
            if self._connection is not None:
                await self._connection.aclose(code, shortened(reason))
                return
            self.send_close(code, reason)
            await self._queue.drained()
            await self._read_to_close()

    async def _read_to_close(self) -> None:
        """Read and drop frames up to a close frame, or the end."""
        self._raw, left = True, 0
        while True:
            dropped = min(left, len(self._data) - self._position)
            self._take_bytes(dropped)
            left -= dropped
            header = None if left else read_header(self._data, self._position)
            if header is not None and header.opcode == CLOSE and not self._muted:
                return
            if header is not None:
                left = header.end - self._position
            elif not await self.read_more():
                return
            elif self._muted:
                self._take_bytes(len(self._data))
                await trio.sleep(MUTED_POLL_S)

    async def aclose(self) -> None:
        """Write what is queued, for at most FLUSH_TIMEOUT_S, then close the transport."""
        try:
            with trio.move_on_after(FLUSH_TIMEOUT_S):
                await self._queue.drained()
                if self._protocol_error_read is not None:
                    await self._protocol_error_read.wait()
        finally:
            self._queue.abandon()
            await self._transport.aclose()

    async def abandon(self) -> None:
        """Close the transport at once."""
        self._queue.abandon()
        await self._transport.aclose()

    def break_reference_cycles(self) -> None:
        """Forget the session and trio-websocket, which refer to this stream, so that all of them are freed at once.

        The garbage collector would find them long after, and stop the event loop to do so. Call it when no task of the
        connection runs any more.
        """
        self._rules = self._pending = self._connection = None
        self.upgrade = no_upgrade
        self._queue.behind, self._queue.on_drop, self._queue.on_stall = no_frame, ignore, None

    async def linger(self) -> None:
        """Flush the queue, then read and drop until the peer has read it and disconnects."""
        self._raw = True
        await self._queue.drained()
        self._transport.finish()
        with suppress(trio.BrokenResourceError):
            while await self.read_more():
                self._take_bytes(len(self._data))

    def statistics(self) -> dict[str, int]:
        return {
            "queued_bytes": self._queue.queued_bytes,
            "queued_frames": self._queue.queued_frames,
            "buffered_bytes": len(self._data) - self._position,
        }


async def no_upgrade() -> WebSocketConnection:
    """Placeholder for `upgrade` until the handshake is done."""
    raise AssertionError


def is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
