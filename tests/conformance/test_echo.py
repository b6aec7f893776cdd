"""Frames through the production listener and the reactor, kind by kind as RFC 6455 orders them.

`make conformance` runs the suite of Autobahn, which has more cases of the same kinds and needs a Python 2.7.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
import trio

from chatd.bench.connection import split
from chatd.wire.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from tests.conformance.echo import listener
from tests.gateway.test_fast_path import HEAD, frame

Frames = list[tuple[int, bytes]]
TIMEOUT_S = 10
PROTOCOL_ERROR, INVALID_DATA = 1002, 1007
SIZES = (0, 1, 125, 126, 127, 128, 65_535, 65_536, 200_000)
# Bytes in one write: everything, single bytes, and pieces that end within headers.
PIECES = (0, 1, 997)
VALID_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
INVALID_CODES = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535)
INVALID_TEXTS = (
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"abc\xce",
    b"\xe4\xb8",
    b"\xf0\x80\x80\x80",
)


@asynccontextmanager
async def connected() -> AsyncIterator[trio.SocketStream]:
    server, port = listener()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        with trio.fail_after(TIMEOUT_S):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(HEAD)
                answer = b""
                while not answer.endswith(b"\r\n\r\n"):
                    answer += await stream.receive_some(1)
                yield stream
        nursery.cancel_scope.cancel()


async def answers(data: bytes, *, piece: int = 0) -> Frames:
    """All frames of the server, until it ends the connection."""
    async with connected() as stream:
        received = b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, stream, data, piece)
            async for part in stream:
                received += part
        frames, rest = split(received)
        assert rest == b""
        return frames


async def send(stream: trio.SocketStream, data: bytes, piece: int) -> None:
    """The server may end the connection before it has read everything."""
    try:
        for at in range(0, len(data), piece or len(data)):
            await stream.send_all(data[at : at + (piece or len(data))])
    except trio.BrokenResourceError:
        pass


def closing(code: int | None = 1000, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def closed(code: int, reason: bytes = b"") -> tuple[int, bytes]:
    return CLOSE, code.to_bytes(2, "big") + reason


def fragments(opcode: int, parts: Iterable[bytes]) -> bytes:
    *first, last = parts
    opcodes = [opcode, *[CONTINUATION] * len(first)]
    data = b"".join(frame(opcodes[at], part, final=False) for at, part in enumerate(first))
    return data + frame(opcodes[-1], last)


def shortened(frames: Frames) -> list[tuple[int, int | bytes]]:
    """Only the code of a close: its reason is for people."""
    return [(opcode, int.from_bytes(data[:2], "big") if opcode == CLOSE else data) for opcode, data in frames]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_messages_of_all_lengths_are_returned(opcode: int, piece: int) -> None:
    sizes = [size for size in SIZES if piece != 1 or size <= 128]
    data = b"".join(frame(opcode, b"*" * size) for size in sizes)
    assert await answers(data + closing(), piece=piece) == [*((opcode, b"*" * size) for size in sizes), closed(1000)]


@pytest.mark.parametrize("piece", PIECES)
async def test_pings_are_answered_and_pongs_are_ignored(piece: int) -> None:
    payloads = (b"", b"hello", bytes(range(255))[:125])
    data = b"".join(frame(PONG, b"x") + frame(PING, payload) for payload in payloads)
    assert await answers(data + closing(), piece=piece) == [*((PONG, payload) for payload in payloads), closed(1000)]


@pytest.mark.parametrize(
    "bad",
    [
        frame(PING, b"*" * 126),
        frame(PING, b"x", final=False),
        frame(PONG, b"x", final=False),
        frame(CONTINUATION, b"x"),
        frame(CONTINUATION, b"x", final=False),
        frame(TEXT, b"x", masked=False),
        frame(TEXT, b"x", final=False) + frame(TEXT, b"x"),
        frame(TEXT, b"x", final=False) + frame(BINARY, b"x", final=False),
        *(frame(TEXT, b"x", rsv=rsv) for rsv in range(1, 8)),
        *(frame(PING, b"x", rsv=rsv) for rsv in (1, 4)),
        *(frame(opcode, b"x") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    ],
    ids=lambda data: data[:3].hex(),
)
async def test_a_violation_ends_the_connection_after_what_came_before(bad: bytes) -> None:
    found = shortened(await answers(frame(TEXT, b"before") + bad + frame(TEXT, b"after") + frame(PING, b"after")))
    assert found == [(TEXT, b"before"), (CLOSE, PROTOCOL_ERROR)]


@pytest.mark.parametrize("piece", PIECES)
async def test_control_frames_are_answered_within_a_fragmented_message(piece: int) -> None:
    data = frame(TEXT, b"a", final=False) + frame(PING, b"1") + frame(CONTINUATION, b"b", final=False)
    data += frame(PING, b"2") + frame(PONG, b"3") + frame(CONTINUATION, b"c") + frame(BINARY, b"d") + closing()
    expected = [(PONG, b"1"), (PONG, b"2"), (TEXT, b"abc"), (BINARY, b"d"), closed(1000)]
    assert await answers(data, piece=piece) == expected


@pytest.mark.parametrize("size", [1, 64, 1300, 65_536])
async def test_a_message_in_many_fragments_is_returned_whole(size: int) -> None:
    payload = b"*" * (size * 20)
    parts = [payload[at : at + size] for at in range(0, len(payload), size)]
    data = fragments(BINARY, parts) + fragments(TEXT, [b"", *parts, b""]) + closing()
    assert await answers(data) == [(BINARY, payload), (TEXT, payload), closed(1000)]


@pytest.mark.parametrize("piece", PIECES)
async def test_text_in_utf_8_is_returned_however_it_is_cut(piece: int) -> None:
    text = "κόσμε \x00 \U0010ffff 中文 \ufffe é".encode()
    bytewise = [text[at : at + 1] for at in range(len(text))]
    data = frame(TEXT, text) + fragments(TEXT, bytewise) + closing()
    assert await answers(data, piece=piece) == [(TEXT, text), (TEXT, text), closed(1000)]


@pytest.mark.parametrize("text", INVALID_TEXTS, ids=bytes.hex)
async def test_text_that_is_not_utf_8_ends_the_connection(text: bytes) -> None:
    for data in (frame(TEXT, text), fragments(TEXT, [b"a", text]), fragments(TEXT, [text[:1], text[1:] + b"a"])):
        assert shortened(await answers(data + frame(PING, b"after"))) == [(CLOSE, INVALID_DATA)]
    assert await answers(frame(BINARY, text) + closing()) == [(BINARY, text), closed(1000)]


@pytest.mark.parametrize("code", VALID_CODES)
async def test_a_close_is_answered_with_its_code(code: int) -> None:
    for reason in (b"", b"bye", "é".encode() * 61):
        ((opcode, payload),) = await answers(closing(code, reason) + frame(TEXT, b"after") + frame(PING, b"after"))
        assert (opcode, payload[:2]) == (CLOSE, code.to_bytes(2, "big"))


@pytest.mark.parametrize("code", INVALID_CODES)
async def test_a_close_with_an_invalid_code_is_a_violation(code: int) -> None:
    assert shortened(await answers(closing(code))) == [(CLOSE, PROTOCOL_ERROR)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(CLOSE, b"\x03"), PROTOCOL_ERROR),
        (closing(1000, b"*" * 124), PROTOCOL_ERROR),
        (closing(1000, b"\xff"), INVALID_DATA),
    ],
    ids=["one byte", "too long", "not UTF-8"],
)
async def test_a_close_with_an_invalid_payload_is_a_violation(data: bytes, code: int) -> None:
    assert shortened(await answers(data)) == [(CLOSE, code)]


async def test_a_close_without_a_code_is_answered() -> None:
    ((opcode, _),) = await answers(closing(None) + closing(1000))
    assert opcode == CLOSE
