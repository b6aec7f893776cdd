"""The fast path is invisible: any bytes in any chunks give the same as with trio-websocket alone."""

import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio_websocket import ConnectionClosed, wrap_server_stream
from wsproto.frame_protocol import FrameProtocol

from chatd.core.rate_limit import TokenBucket
from chatd.gateway.commands_in_flight import MAX_PIPELINED
from chatd.gateway.fast_path import PROTOCOL_ERRORS, FastPathStream
from chatd.gateway.frame_rules import FrameRules
from chatd.gateway.handshake import handshake_of
from chatd.gateway.listener import upgrade
from chatd.gateway.reactor import Reactor
from chatd.gateway.send_queue import SendQueue
from chatd.gateway.transport import ReactorTransport, StreamTransport, Transport
from chatd.wire.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, encode_frame
from tests.support import PATIENCE

HEAD = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MOST = 300


def frame(
    opcode: int, payload: bytes, *, final: bool = True, rsv: int = 0, masked: bool = True, wide: int = 0
) -> bytes:
    """Any frame that a client can send, valid or not. `wide`: 2 or 8 bytes of length, needed or not."""
    first = (0x80 if final else 0) | rsv << 4 | opcode
    length = len(payload)
    if wide == 0:
        wide = 0 if length < 126 else 2 if length < 65536 else 8
    second = {0: length, 2: 126, 8: 127}[wide] | (0x80 if masked else 0)
    head = bytes((first, second)) + (length.to_bytes(wide, "big") if wide else b"")
    if not masked:
        return head + payload
    mask = b"\x01\x02\xfe\xff"
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


@dataclass
class Seen:
    """What an observer of both ends sees."""

    messages: list[str | bytes] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    close: int | None = None
    # The error for which trio-websocket has ended the connection, if any.
    verdict: int | None = None
    # Whether the stream has refused a frame by its length.
    announced: bool = False


Serve = Callable[[trio.Nursery, socket.socket, Seen], Awaitable[None]]


async def plain(nursery: trio.Nursery, sock: socket.socket, seen: Seen) -> None:
    """trio-websocket alone."""
    request = await wrap_server_stream(nursery, stream_of(sock), message_queue_size=1, max_message_size=MOST)
    connection = await request.accept()
    try:
        while True:
            seen.messages.append(await connection.get_message())
    except ConnectionClosed as closed:
        seen.verdict = closed.reason.code if closed.reason is not None else None


def through_tasks(kind: Callable[[], str]) -> Serve:
    """The same on the fast path, read by the task of the connection; `kind` of each message: see `KINDS`."""

    async def serve(nursery: trio.Nursery, sock: socket.socket, seen: Seen) -> None:
        await through(nursery, StreamTransport(stream_of(sock)), seen, kind)

    return serve


def through_reactor(kind: Callable[[], str]) -> Serve:
    """The same, received by the reactor."""

    async def serve(nursery: trio.Nursery, sock: socket.socket, seen: Seen) -> None:
        reactor = Reactor()
        nursery.start_soon(reactor.run)
        await through(nursery, ReactorTransport(sock, reactor), seen, kind)

    return serve


# A message is handled by its task, in the turn of the reactor, or begun there in one of two pipelines.
KINDS = ("waits", "at_once", "first pipeline", "second pipeline")
Begun = deque[tuple["Noted", Callable[[], None]]]


class Noted:
    """A message that is noted when it is handled."""

    def __init__(self, nursery: trio.Nursery, seen: Seen, message: str | bytes, kind: str, begun: Begun) -> None:
        self.nursery, self.seen, self.message, self.begun = nursery, seen, message, begun
        self.at_once = kind == "at_once"
        self.pipeline = kind if kind.endswith("pipeline") else None

    async def run(self) -> None:
        if not self.at_once:
            await trio.lowlevel.checkpoint()
        assert not self.begun
        self.seen.messages.append(self.message)

    async def begin(self, done: Callable[[], None]) -> None:
        assert len(self.begun) < MAX_PIPELINED
        assert {message.pipeline for message, _ in self.begun} <= {self.pipeline}
        self.begun.append((self, done))
        if len(self.begun) == 1:
            self.nursery.start_soon(settle, self.begun)


async def settle(begun: Begun) -> None:
    """Settle what was begun, in order, after a while."""
    for _ in range(5):
        await trio.lowlevel.checkpoint()
    while begun:
        message, done = begun.popleft()
        message.seen.messages.append(message.message)
        done()


async def through(nursery: trio.Nursery, transport: Transport, seen: Seen, kind: Callable[[], str]) -> None:
    begun: Begun = deque()
    stream = FastPathStream(transport, SendQueue(transport, nursery, 2**20, 2**20))
    while b"\r\n\r\n" not in stream.peek():
        await stream.read_more()
    stream.consume(len(HEAD))
    stream.head, stream.upgrade = HEAD, partial(upgrade, nursery, stream, MOST)
    stream.send_nowait(handshake_of(HEAD, "127.0.0.1").accepted(None))

    def decode(opcode: int, payload: bytes) -> Noted:
        return Noted(nursery, seen, payload.decode() if opcode == TEXT else payload, kind(), begun)

    def exceeded(close: str) -> None:
        """The session closes the connection."""
        assert close == "too_big"
        seen.announced = True
        raise ConnectionAbortedError

    unlimited = TokenBucket(float("inf"), float("inf"))
    stream.open(FrameRules(decode, exceeded, {TEXT, BINARY}, MOST, 10**9, unlimited))
    await stream.run()


def stream_of(sock: socket.socket) -> trio.SocketStream:
    return trio.SocketStream(trio.socket.from_stdlib_socket(sock))


async def observe(serve: Serve, chunks: list[bytes]) -> Seen:
    """Send the chunks, disconnect, and read what comes back."""
    seen = Seen()
    near, server = socket.socketpair()
    server.setblocking(False)
    client = stream_of(near)
    with trio.fail_after(PATIENCE):
        async with client, trio.open_nursery() as nursery:
            nursery.start_soon(guarded, serve, server, seen)
            await client.send_all(HEAD)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += await client.receive_some()
            back = bytearray(answer.partition(b"\r\n\r\n")[2])
            nursery.start_soon(keep, client, back)
            for chunk in chunks:
                await trio.testing.wait_all_tasks_blocked()
                try:
                    await client.send_all(chunk)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    break
            await trio.testing.wait_all_tasks_blocked()
            with suppress(trio.BrokenResourceError):
                await client.send_eof()
    read_back(bytes(back), seen)
    return seen


async def guarded(serve: Serve, sock: socket.socket, seen: Seen) -> None:
    """As in the listener: an error ends this connection."""
    try:
        async with trio.open_nursery() as nursery:
            await serve(nursery, sock, seen)
            nursery.cancel_scope.cancel()
    except* Exception:
        pass
    finally:
        sock.close()


async def keep(client: trio.abc.ReceiveStream, back: bytearray) -> None:
    try:
        async for part in client:
            back += part
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


def read_back(data: bytes, seen: Seen) -> None:
    protocol = FrameProtocol(client=True, extensions=[])
    protocol.receive_bytes(data)
    for received in protocol.received_frames():
        if received.opcode == PONG:
            seen.pongs.append(bytes(received.payload))
        elif received.opcode == CLOSE:
            seen.close = int(received.payload[0])


payloads = (
    st.binary(max_size=140) | st.text(max_size=40).map(str.encode) | st.binary(min_size=MOST - 2, max_size=MOST + 3)
)
good = st.builds(frame, st.sampled_from([TEXT, BINARY]), payloads)
controls = st.builds(frame, st.sampled_from([PING, PONG, PING, PONG]), st.binary(max_size=20))
closes = st.builds(
    lambda code, why: frame(CLOSE, code.to_bytes(2, "big") + why),
    st.sampled_from([1000, 1001, 4000, 0, 999, 1005, 5000]),
    st.sampled_from([b"", b"bye", b"\xff"]),
)
fragments = st.lists(st.tuples(payloads, st.booleans()), min_size=2, max_size=4).map(
    lambda parts: b"".join(
        frame(
            TEXT if number == 0 and as_text else BINARY if number == 0 else CONTINUATION,
            data,
            final=number == len(parts) - 1,
        )
        + (frame(PING, b"between") if number == 0 else b"")
        for number, (data, as_text) in enumerate(parts)
    )
)
wrong = st.builds(
    frame,
    st.integers(0, 15),
    st.binary(max_size=130),
    final=st.booleans(),
    rsv=st.sampled_from([0, 0, 1, 4]),
    masked=st.sampled_from([True, True, False]),
    wide=st.sampled_from([0, 0, 2, 8]),
)
streams = st.lists(
    st.one_of(good, good, good, controls, fragments, closes, wrong, st.binary(max_size=12)), max_size=8
).map(b"".join)


@st.composite
def chunked(draw: st.DrawFn) -> list[bytes]:
    data = draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    return [part for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if (part := data[start:end])]


@given(chunked(), st.lists(st.sampled_from(KINDS), min_size=1))
@settings(max_examples=int(os.environ.get("LANE_EXAMPLES", "150")), suppress_health_check=list(HealthCheck))
def test_any_bytes_in_any_chunks_give_the_same_result_on_both_paths(chunks: list[bytes], kinds: list[str]) -> None:
    alone = trio.run(observe, plain, chunks)
    for serve in (through_tasks(partial(next, cycle(kinds))), through_reactor(partial(next, cycle(kinds)))):
        assert_the_same(trio.run(observe, serve, chunks), alone)


def assert_the_same(stream: Seen, alone: Seen) -> None:
    if stream.announced:
        # The session closes by the length. trio-websocket alone reads the bytes first, and may find another fault in
        # them; or it closes, and reads a close frame that was sent behind the message; or the peer disconnects before.
        assert stream.messages == alone.messages[: len(stream.messages)]
        assert alone.close == 1009 or alone.verdict in (None, 1002, 1006, 1007, 1009)
        return
    assert (stream.messages, stream.pongs) == (alone.messages, alone.pongs)
    # Where trio-websocket ends the connection without a close frame, the stream sends one.
    assert stream.close == (alone.verdict if alone.close is None and alone.verdict in PROTOCOL_ERRORS else alone.close)


WAYS = {"tasks": through_tasks(lambda: "waits")} | {kind: through_reactor(partial(str, kind)) for kind in KINDS}
ways = pytest.mark.parametrize("serve", WAYS.values(), ids=WAYS)


@ways
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, MOST])
@pytest.mark.parametrize("step", [1, 3, 1000])
async def test_frames_of_any_size_arrive_in_chunks_of_any_size(serve: Serve, size: int, step: int) -> None:
    data = frame(BINARY, os.urandom(size)) + frame(TEXT, b"after")
    chunks = [data[start : start + step] for start in range(0, len(data), step)]
    seen = await observe(serve, chunks)
    assert [len(message) for message in seen.messages] == [size, 5]


@ways
async def test_a_message_after_a_violation_is_not_handled(serve: Serve) -> None:
    too_long = frame(BINARY, bytes(200), final=False) + frame(CONTINUATION, bytes(200))
    for _ in range(10):
        assert (await observe(serve, [too_long + frame(TEXT, b"later")])).messages == []


@ways
async def test_a_short_message_does_not_overtake_a_long_one(serve: Serve) -> None:
    parts = frame(TEXT, b"long", final=False) + frame(CONTINUATION, b" one") + frame(TEXT, b"short")
    assert (await observe(serve, [parts])).messages == ["long one", "short"]


def test_frames_of_the_server_follow_the_rfc() -> None:
    for size in (0, 125, 126, 65535, 65536):
        protocol = FrameProtocol(client=True, extensions=[])
        protocol.receive_bytes(encode_frame(BINARY, b"x" * size))
        assert sum(len(received.payload) for received in protocol.received_frames()) == size
