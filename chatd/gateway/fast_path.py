"""The lane: a stream under trio-websocket that whole data frames pass by.

trio-websocket stays the owner of the protocol (handshake, ping and pong, fragmentation, close, errors) and never knows.
It calls `receive_some`; the lane looks at each frame header that arrives and does one of three things with the frame:

* Plain (final, of a fast opcode, no reserved bit, masked, shortest length, complete, within the limit, no fragmented message
  under way): unmasked and handed to the session at once, in this very task. trio-websocket never sees it.
* Valid, but not plain (control frames, fragments): exactly its bytes are returned to trio-websocket.
* Invalid (reserved bits or opcodes, no mask, a length that is not minimal, a stray continuation), or anything after a close
  frame: everything is returned from there on, for good, so that trio-websocket gives the verdict.

Decided after data has arrived, never before waiting for it: trio-websocket is already inside `receive_some` when the
handshake ends. Bytes that were handed over are never looked at again.

Order between the two ways: a message that went the long way is handled by whoever waits in `pump`. The lane knows that it
handed over a final data frame, and hands no later message to the session until that one has been handled.

Two limits that trio-websocket does not have are kept here, because here every header is seen: frames per message, and
control frames per second. What exceeds them is reported once through `exceeded`, and dropped with everything after it.
"""

from contextlib import suppress
from functools import partial
from time import perf_counter

import trio
from trio_websocket import CloseReason, ConnectionClosed, WebSocketConnection

from chatd.gateway.limits import Rules
from chatd.gateway.send_queue import GONE, Outbox
from chatd.gateway.transport import Transport
from chatd.wire.frames import BINARY, CLOSE, CONTINUATION, FINAL, TEXT, Header, encode_frame, read_header, unmask

FLUSH_TIMEOUT = 3.0
# Errors of the protocol that trio-websocket finds and ends the connection for, without a word to the peer.
VERDICTS = {1002, 1003, 1007, 1009}
# Time that a peer has to read such a close.
LINGER_S = 1.0
# Messages that came together are handled for so long before other tasks have their turn.
TURN_S = 0.001
# What a muted peer sends is thrown away this often, up to READ_SIZE bytes of it.
MUTED_PAUSE_S = 0.1


CLOSE_BYTE = bytes((FINAL | CLOSE,))


class Lane(trio.abc.Stream):
    """Give it to `wrap_server_stream`; after the handshake `open` it, then `pump` until the connection ends."""

    __slots__ = (
        "_at",
        "_close_sent",
        "_data",
        "_eof",
        "_frames",
        "_handing_over",
        "_long_way",
        "_muted",
        "_opened",
        "_outbox",
        "_raw",
        "_rules",
        "_skipping",
        "_transport",
        "_turn_ends",
        "_verdict_read",
        "is_reading",
        "last_activity",
        "read_at",
        "send_nowait",
    )

    def __init__(self, transport: Transport, outbox: Outbox) -> None:
        self._transport = transport
        self._outbox = outbox
        # A whole frame; False when it is dropped. See Outbox.
        self.send_nowait = outbox.send_nowait
        self._rules: Rules | None = None
        self._data: bytes | bytearray = b""
        self._at = 0
        self._eof = False
        self._raw = False
        self._skipping = False
        self._muted = False
        self._turn_ends = 0.0
        self._close_sent = False
        self._verdict_read: trio.Event | None = None
        self._handing_over = 0
        self._opened: trio.Event | None = trio.Event()
        self._frames = 0
        self._long_way: trio.Event | None = None
        self.last_activity = trio.current_time()
        # When the messages that are being handled were read, or when the peer made room for their answers.
        self.read_at = self.last_activity
        # Whether it waits for the peer. If not, the peer waits for an answer, and its silence says nothing.
        self.is_reading = False

    # --- in -------------------------------------------------------------------------------------------------------------

    def open(self, rules: Rules) -> None:
        """The handshake is done: from here on the lane looks at frames."""
        assert self._opened is not None
        self._rules = rules
        self._outbox.behind, self._outbox.on_drop = rules.behind, rules.dropped
        self._outbox.on_stall = partial(rules.exceeded, "slow")
        self._opened.set()
        self._opened = None

    def replace_head(self, size: int, head: bytes) -> None:
        """Let trio-websocket read `head` instead of the first `size` bytes; what follows waits until the lane is open."""
        self._data, self._at = head + bytes(self._data[self._at + size :]), 0
        self._handing_over = len(head)

    async def read_more(self) -> bool:
        """Wait for bytes from the peer and keep them; False at the end. Raises trio.BrokenResourceError."""
        if self._eof:
            return False
        self.is_reading = True
        try:
            data = await self._transport.read()
        except GONE as error:
            raise trio.BrokenResourceError("the peer is gone") from error
        self.is_reading = False
        self._eof = not data
        self.last_activity = self.read_at = trio.current_time()
        if self._at >= len(self._data):
            self._data, self._at = data, 0
        else:
            self._append(data)
        return not self._eof

    def _append(self, data: bytes) -> None:
        """In place, in time proportional to what is new: a peer may send its bytes one by one."""
        if isinstance(self._data, bytearray):
            del self._data[: self._at]
        else:
            self._data = bytearray(self._data[self._at :])
        self._data += data
        self._at = 0

    def peek(self) -> bytes | bytearray:
        """What was received and not consumed yet."""
        return self._data[self._at :] if self._at else self._data

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """For trio-websocket: bytes that are its business, sooner or later."""
        while True:
            if self._muted:
                await self._throw_away()
            if self._opened is not None and not self._handing_over:
                await self._opened.wait()
            taken = await self._take()
            if taken:
                return taken
            if not await self.read_more():
                self._raw = True
                rest = self._take_bytes(len(self._data))
                if rest or self._eof:
                    return rest

    async def _take(self) -> bytes:
        """Bytes to hand over; nothing when more must arrive first."""
        while self._at < len(self._data):
            if self._raw:
                return self._take_bytes(len(self._data))
            if self._handing_over:
                taken = self._take_bytes(self._handing_over)
                self._handing_over -= len(taken)
                if not self._skipping:
                    return taken
                continue
            assert self._rules is not None
            header = read_header(self._data, self._at)
            if header is None:
                return self._take_hopeless()
            if self._is_plain(header, self._rules):
                if header.end > len(self._data):
                    return b""
                if await self._handle_plain(header, self._rules):
                    await self._take_turns()
                    continue
            await self._classify(header, self._rules)
        return b""

    async def _take_turns(self) -> None:
        """Let other tasks run, when more has come and the turn of this connection is over."""
        if self._at < len(self._data) and perf_counter() >= self._turn_ends:
            await trio.lowlevel.checkpoint()
            self._turn_ends = perf_counter() + TURN_S

    def mute(self) -> None:
        """Nothing of this peer is looked at any more, and little of it is read: refusing is to cost less than flooding."""
        self._muted = True
        self._data, self._at, self._handing_over = b"", 0, 0

    async def _throw_away(self) -> None:
        """Until the peer hangs up."""
        while await self.read_more():
            self._data, self._at = b"", 0
            await trio.sleep(MUTED_PAUSE_S)

    def _take_bytes(self, count: int) -> bytes:
        taken = bytes(self._data[self._at : self._at + count])
        self._at += len(taken)
        if self._at >= len(self._data):
            self._data, self._at = b"", 0
        return taken

    def _take_hopeless(self) -> bytes:
        """An incomplete header: nothing can be said, unless its first bytes are wrong whatever follows."""
        first, rest = self._data[self._at], self._data[self._at + 1 : self._at + 2]
        if first & 0x70 or (rest and not rest[0] & 0x80):
            self._raw = True
            return self._take_bytes(len(self._data))
        return b""

    def _is_plain(self, header: Header, rules: Rules) -> bool:
        return (
            header.first & 0xF0 == FINAL
            and header.first & 0x0F in rules.opcodes
            and header.masked
            and header.minimal
            and header.length <= rules.max_message
            and not self._frames
            and not self._skipping
        )

    async def _handle_plain(self, header: Header, rules: Rules) -> bool:
        """Hand a whole plain frame to the session; False when it is for trio-websocket to refuse (RFC 6455, section 8.1)."""
        payload = unmask(self._data, header)
        if header.first & 0x0F == TEXT and not is_utf8(payload):
            self._raw = True
            return False
        if self._long_way is not None:
            await self._long_way.wait()
        self._take_bytes(header.end - self._at)
        await self._hand_over(rules, header.opcode, payload)
        return True

    async def _hand_over(self, rules: Rules, opcode: int, payload: bytes) -> None:
        """A message to the session, when there is room for its answer."""
        if self._outbox.queued_bytes and await self._outbox.room():
            self.read_at = trio.current_time()
        await rules.receive(opcode, payload)

    async def _classify(self, header: Header, rules: Rules) -> None:
        """Not plain: hand over just this frame, or everything."""
        if not header.valid or self._is_out_of_place(header):
            self._raw = True
            return
        if self._long_way is not None and not header.is_control:
            await self._long_way.wait()
        self._handing_over = header.end - self._at
        if header.is_control:
            self._count_control(header, rules)
        else:
            self._count_fragment(header, rules)

    def _is_out_of_place(self, header: Header) -> bool:
        """A continuation of nothing, or a new message inside a fragmented one (RFC 6455, section 5.4)."""
        return not header.is_control and (header.opcode == CONTINUATION) != bool(self._frames)

    def _count_control(self, header: Header, rules: Rules) -> None:
        if header.opcode == CLOSE:
            self._raw = True
        elif rules.control.take(trio.current_time()) > 0:
            self._exceed("flooding", rules)

    def _count_fragment(self, header: Header, rules: Rules) -> None:
        self._frames += 1
        if self._frames > rules.max_frames or header.length > rules.max_message:
            self._exceed("too_big", rules)
        elif header.final:
            self._frames = 0
            self._long_way = trio.Event()

    def _exceed(self, close: str, rules: Rules) -> None:
        if not self._skipping:
            self._skipping = True
            rules.exceeded(close)

    async def pump(self, connection: WebSocketConnection) -> None:
        """Handle the messages that went the long way, until the connection ends."""
        assert self._rules is not None
        try:
            while True:
                await self._handle_long(await connection.get_message(), self._rules)
                self._long_way_is_free()
        except ConnectionClosed as closed:
            await self._send_verdict(closed.reason)
        finally:
            self._raw = True
            self._long_way_is_free()

    async def _send_verdict(self, reason: CloseReason | None) -> None:
        """Close with the code of what trio-websocket has found, for which it would only hang up (RFC 6455, section 7.1.7)."""
        if reason is None or self._close_sent or reason.code not in VERDICTS:
            return
        self._verdict_read = trio.Event()
        try:
            self._outbox.send_nowait(encode_frame(CLOSE, reason.code.to_bytes(2, "big") + (reason.reason or "").encode()[:120]))
            if not self._outbox.queued_bytes:
                # Nothing follows a close.
                self._outbox.give_up()
            with trio.move_on_after(LINGER_S):
                await self.linger()
        finally:
            self._verdict_read.set()

    async def _handle_long(self, message: str | bytes, rules: Rules) -> None:
        opcode = TEXT if isinstance(message, str) else BINARY
        if opcode not in rules.opcodes:
            rules.exceeded("protocol_error")
        else:
            await self._hand_over(rules, opcode, message.encode() if isinstance(message, str) else message)

    def _long_way_is_free(self) -> None:
        if self._long_way is not None:
            self._long_way.set()
            self._long_way = None

    # --- out ------------------------------------------------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """For trio-websocket: in turn with the frames."""
        self._close_sent = self._close_sent or data[:1] == CLOSE_BYTE
        await self._outbox.send(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await self._outbox.drained()

    def discard(self) -> None:
        """Drop what waits to be written. See Outbox."""
        self._outbox.discard()

    async def aclose(self) -> None:
        """Write what is queued, for a while, then let go of the transport."""
        try:
            with trio.move_on_after(FLUSH_TIMEOUT):
                await self._outbox.drained()
                if self._verdict_read is not None:
                    await self._verdict_read.wait()
        finally:
            self._outbox.give_up()
            await self._transport.aclose()

    async def linger(self) -> None:
        """Let the answer go out, and throw away what still comes in, until the peer has read it."""
        await self._outbox.drained()
        self._transport.finish()
        with suppress(trio.BrokenResourceError):
            while await self.read_more():
                self._take_bytes(len(self._data))

    def statistics(self) -> dict[str, int]:
        return {
            "queued_bytes": self._outbox.queued_bytes,
            "queued_frames": self._outbox.queued_frames,
            "buffered_bytes": len(self._data) - self._at,
        }


def is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
