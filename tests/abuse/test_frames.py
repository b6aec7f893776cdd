"""Bad frames end their own connection, in time, and no other."""

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import uuid4

import pytest
import trio
from msgspec.structs import replace

from chatd.core.config import Config
from tests.support import PATIENCE, Daemon, dropped, running, shared
from tests.wire_client import SOMEBODY, Raw, upgrade

daemon = shared

frame = Raw.frame_of
PING_COMMAND = b'[1,{"t":"ping","ts":1}]'
# Messages between two requests that ask whether the reader is too slow: a request costs more than a message.
AT_A_TIME = 10


@pytest.fixture(autouse=True)
async def canary(daemon: Daemon) -> AsyncIterator[None]:
    async with daemon.pair() as (alice, bob, conversation):
        yield
        await alice.send(conversation, "still here")
        assert (await bob.event("message.new"))["message"]["text"] == "still here"


CLOSED = [
    pytest.param(frame(b"x", masked=False), {1002}, id="B1 not masked"),
    pytest.param(frame(b"x", rsv=1), {1002}, id="B1 rsv3"),
    pytest.param(frame(b"x", rsv=2), {1002}, id="B1 rsv2"),
    pytest.param(frame(b"x", rsv=4), {1002}, id="B1 rsv1, B10 deflate"),
    pytest.param(frame(b"x", opcode=3), {1002}, id="B1 opcode 3"),
    pytest.param(frame(b"x", opcode=0xB), {1002}, id="B1 opcode 11"),
    pytest.param(frame(b"x" * 126, opcode=9), {1002}, id="B2 long ping"),
    pytest.param(frame(b"x", opcode=9, final=False), {1002}, id="B2 fragmented ping"),
    pytest.param(b"\x81\xff" + b"\xff" * 8, {1002}, id="B3 top bit of the length"),
    pytest.param(b"\x81\xfe\x00\x05" + bytes(4) + b"hello", {1002}, id="B3 length not minimal"),
    pytest.param(frame(b"", final=False) + frame(b"", opcode=0, final=False) * 5000, {1009}, id="B4 empty fragments"),
    pytest.param(frame(b"x", final=False) + frame(b"x", opcode=0, final=False) * 500, {1009}, id="B4 tiny fragments"),
    pytest.param(frame(b"\xff\xfe"), {1007}, id="B7 not utf-8"),
    pytest.param(frame(b"x", opcode=2), {4400}, id="B7 binary on json"),
    pytest.param(frame(b"\x00\x00", opcode=8), {1002}, id="B8 code 0"),
    pytest.param(frame(b"\x03\xe7", opcode=8), {1002}, id="B8 code 999"),
    pytest.param(frame(b"\x03\xed", opcode=8), {1002}, id="B8 code 1005"),
    pytest.param(frame(b"\x03", opcode=8), {1002}, id="B8 half a code"),
    pytest.param(frame(b"\x03\xe8\xff", opcode=8), {1007}, id="B8 reason not utf-8"),
    pytest.param(frame(b"\x03\xe8", opcode=8) + frame(PING_COMMAND) * 100, {1000}, id="B8 frames after close"),
    pytest.param(frame(b" " * 65537), {1009}, id="B9 too long"),
    pytest.param(frame(b" " * 40000, final=False) + frame(b" " * 40000, opcode=0), {1009}, id="B9 too long in parts"),
    *(
        pytest.param(
            bytes((first, 0xFF)) + size.to_bytes(8, "big") + bytes(4),
            {1009},
            id=f"B9 {first:x}, {size} bytes announced",
        )
        for first in (0x81, 0x01, 0x82)
        for size in (65537, 2**30, 2**62)
    ),
    pytest.param(
        frame(b"[", final=False) + b"\x80\xff\x7f" + b"\xff" * 7 + bytes(4), {1009}, id="B9 announced by a fragment"
    ),
    pytest.param(frame(b"{}"), {4400}, id="no array"),
    pytest.param(frame(b"[-1,{}]"), {4400}, id="negative id"),
    pytest.param(frame(b"[4294967296,{}]"), {4400}, id="id too large"),
    pytest.param(frame(b"[1,{},2]"), {4400}, id="array of three"),
    pytest.param(frame(b""), {4400}, id="empty"),
]


@pytest.mark.parametrize(("data", "codes"), CLOSED)
async def test_a_bad_frame_ends_the_connection(daemon: Daemon, data: bytes, codes: set[int | None]) -> None:
    async with Raw.session(daemon) as raw:
        await raw.send(data)
        with trio.fail_after(PATIENCE):
            assert await raw.close_code() in codes


@pytest.mark.parametrize(("codec", "opcode"), [("json", 2), ("msgpack", 1)])
@pytest.mark.parametrize("payload", [b"", b"x", b'[1,{"t":"ping","ts":1}]', b"x" * 15_000])
@pytest.mark.parametrize("parts", [1, 3])
async def test_a_frame_of_the_wrong_type_is_closed_with_4400(
    daemon: Daemon, codec: str, opcode: int, payload: bytes, parts: int
) -> None:
    """Whole or in fragments, of any length."""
    async with Raw.session(daemon, codec) as raw:
        fragments = [frame(payload, opcode=opcode, final=parts == 1)]
        fragments += [frame(payload, opcode=0, final=part == parts - 1) for part in range(1, parts)]
        await raw.send(b"".join(fragments))
        assert await raw.close_code() == 4400


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_a_close_of_the_client_is_answered_with_its_code(daemon: Daemon, code: int) -> None:
    async with Raw.session(daemon) as raw:
        await raw.send(frame(code.to_bytes(2, "big"), opcode=8))
        assert await raw.close_code() == code


async def test_endless_frame_is_closed_after_silence(config: Config) -> None:
    """A length of 2^63-1, and no payload."""
    impatient = replace(config, gateway=replace(config.gateway, heartbeat=0.4))
    async with running(impatient) as daemon, Raw.session(daemon) as raw:
        await raw.send(b"\x81\xff\x7f" + b"\xff" * 7 + bytes(4))
        with trio.fail_after(PATIENCE):
            assert await raw.close_code() in (None, 1009)


@pytest.mark.parametrize("opcode", [9, 10])
async def test_a_flood_of_pings_is_closed(daemon: Daemon, opcode: int) -> None:
    async with Raw.session(daemon, user=str(uuid4())) as raw:
        await raw.send(frame(b"x", opcode=opcode) * 5000)
        with trio.fail_after(PATIENCE):
            assert await raw.close_code() in (4029, None)


async def test_a_flood_of_commands_is_refused_and_then_closed(config: Config) -> None:
    """First `rate_limited` with a time, then 4029."""
    limits = replace(config.limits, commands_per_second=5.0, commands_burst=10)
    async with running(replace(config, limits=limits)) as daemon, Raw.session(daemon) as raw:
        await raw.send(frame(b'[1,{"t":"conversation.list"}]') * 8)
        answers = [(await raw.frame())[1] for _ in range(8)]
        assert [b'"conversations"' in answer for answer in answers] == [True] * 5 + [False] * 3
        assert all(b'"rate_limited"' in answer and b'"retry_after"' in answer for answer in answers[5:])
        await raw.send(frame(PING_COMMAND) * 5000)
        with trio.fail_after(PATIENCE):
            assert await raw.close_code() in (4029, None)


async def test_only_the_user_who_floods_has_to_wait_before_reconnecting(config: Config) -> None:
    """The penalty applies to the user, and the server reads little of what follows."""
    limits = replace(config.limits, commands_per_second=5.0, commands_burst=10)
    async with running(replace(config, limits=limits)) as daemon:
        async with Raw.session(daemon) as raw, trio.open_nursery() as nursery:
            taken = 0

            async def flood() -> None:
                nonlocal taken
                with suppress(trio.BrokenResourceError):
                    while True:
                        await raw.stream.send_all(frame(PING_COMMAND) * 1000)
                        taken += 1000

            nursery.start_soon(flood)
            with trio.fail_after(PATIENCE):
                assert await raw.close_code() == 4029
            before = taken
            await trio.sleep(0.5)
            # Ten times READ_SIZE per second, and the buffers of the system.
            assert (taken - before) * len(frame(PING_COMMAND)) < 8_000_000
            nursery.cancel_scope.cancel()
        async with Raw.to(daemon) as again:
            await again.send(upgrade(daemon))
            answer = await again.read_to_end()
            assert answer.startswith(b"HTTP/1.1 429 ")
            assert b"Retry-After: " in answer
        async with daemon.person() as other:
            assert await other.is_served()


async def test_ping_during_the_close_is_harmless(daemon: Daemon) -> None:
    """The server has sent its close frame; pings and data still arrive."""
    for _ in range(20):
        async with Raw.session(daemon) as raw:
            await raw.send(frame(b"{}"))
            assert await raw.close_code() == 4400
            await raw.send(frame(b"late", opcode=9) * 10 + frame(PING_COMMAND) + frame(b"\x11\x30", opcode=8))
            await raw.read_to_end()


async def test_connections_reset_in_the_middle_of_a_frame_leave_no_session(daemon: Daemon) -> None:
    for _ in range(100):
        async with Raw.session(daemon) as raw:
            await raw.send(frame(PING_COMMAND)[:9])
            raw.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_no_compression_is_negotiated(daemon: Daemon) -> None:
    async with Raw.to(daemon) as raw:
        await raw.send(upgrade(daemon, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=8"))
        assert b"extensions" not in (await raw.read(b"\r\n\r\n")).lower()


async def test_pings_and_fragments_follow_the_rfc(daemon: Daemon) -> None:
    async with Raw.session(daemon) as raw:
        await raw.send(
            frame(PING_COMMAND[:9], final=False) + frame(b"hey", opcode=9) + frame(PING_COMMAND[9:], opcode=0)
        )
        first, second = await raw.frame(), await raw.frame()
        assert {first[0], second[0]} == {0x8A, 0x81}
        assert {b"hey"} == {payload for first, payload in (first, second) if first == 0x8A}


async def test_stalled_reader_is_closed_without_delaying_others(config: Config) -> None:
    """The send queue is bounded, no sender waits, and the close frame follows a complete frame."""
    settings = replace(config.gateway, outbox_bytes=65536, outbox_frames=50, stall_timeout=1.0, close_timeout=20.0)
    async with running(replace(config, gateway=settings)) as daemon, daemon.person() as alice, Raw.to(daemon) as raw:
        raw.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        await raw.send(upgrade(daemon))
        await raw.read(b"\r\n\r\n")
        slow = (await alice.call("conversation.open", user=SOMEBODY)).conversation.id
        while await dropped(daemon) < 1:
            for _ in range(AT_A_TIME):
                await alice.send(slow, "x" * 15000)
        # Longer than the timeout of a stall.
        await trio.sleep(1.5)
        assert await alice.is_served()
        assert await raw.close_code() == 4000


async def test_reader_that_stops_reading_is_closed(config: Config) -> None:
    settings = replace(config.gateway, outbox_bytes=65536, outbox_frames=50, stall_timeout=0.5, close_timeout=0.5)
    async with running(replace(config, gateway=settings)) as daemon, daemon.person() as alice, Raw.to(daemon) as raw:
        raw.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await raw.send(upgrade(daemon))
        await raw.read(b"\r\n\r\n")
        slow = (await alice.call("conversation.open", user=SOMEBODY)).conversation.id
        with trio.fail_after(3 * PATIENCE):
            while await sessions(daemon) > 1:
                for _ in range(AT_A_TIME):
                    await alice.send(slow, "x" * 15000)
        assert await alice.is_served()


async def test_commands_wait_while_their_answers_are_not_read(config: Config) -> None:
    """A client that asks for more than it reads is not disconnected: it gets answers as fast as it reads."""
    small = replace(config, gateway=replace(config.gateway, outbox_bytes=65536, outbox_frames=50, stall_timeout=60.0))
    async with running(small) as daemon, daemon.person() as alice, Raw.to(daemon) as raw:
        raw.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        await raw.send(upgrade(daemon))
        await raw.read(b"\r\n\r\n")
        await raw.frame()
        conversation = (await alice.call("conversation.open", user=SOMEBODY)).conversation.id
        for _ in range(20):
            await alice.send(conversation, "x" * 15000)
        ask = b'{"t":"message.history","conversation":"%s","limit":20}' % conversation.encode()
        count = 15
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raw.send, b"".join(frame(b"[%d,%s]" % (n, ask)) for n in range(1, count + 1)))
            await trio.sleep(1)
            assert await alice.is_served()
            answered = []
            while len(answered) < count:
                first, payload = await raw.frame()
                if first == 0x81 and not payload.startswith(b"[0,"):
                    answered.append(int(payload[1 : payload.index(b",")]))
        assert answered == list(range(1, count + 1))


async def sessions(daemon: Daemon) -> int:
    """The number of connected sessions."""
    return int((await daemon.rest("GET", "/v1/socket/ping")).body["sessions"])
