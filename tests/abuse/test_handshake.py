"""Any input before the upgrade is answered or closed, and all other clients are served."""

import os
import resource
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from chatd.core.config import Config
from tests.support import PATIENCE, Daemon, eventually, running, shared
from tests.wire_client import GOOD, KEY, Raw, upgrade

daemon = shared

# States in /proc/net/tcp (proc(5)).
LISTEN, TIME_WAIT = "0A", "06"


@pytest.fixture
async def canary(daemon: Daemon) -> AsyncIterator[None]:
    """After every test two users can still talk, and no descriptor has leaked."""
    async with daemon.pair() as (alice, bob, conversation):
        yield
        before = len(os.listdir("/proc/self/fd"))
        await alice.send(conversation, "still here")
        assert (await bob.event("message.new"))["message"]["text"] == "still here"
        assert before < 200


def head(*lines: str | bytes, without: str = "") -> bytes:
    """A valid head with some lines replaced, or with additional lines."""
    given = [line.encode("latin-1") if isinstance(line, str) else line for line in lines]
    names = {line.split(b":")[0].lower() for line in given} | {without.encode()}
    kept = [line.encode() for line in GOOD[1:] if line.split(":")[0].lower().encode() not in names]
    first = next((line for line in given if b"HTTP/" in line), GOOD[0].encode())
    return b"\r\n".join([first, *kept, *(line for line in given if line is not first), b"", b""])


BAD = [
    pytest.param(head(b"Host: \xff\xfe"), 400, id="A1 host not ascii"),
    pytest.param(head("Host: xn--a"), 400, id="A1 host punycode"),
    pytest.param(head(b"Connection: Upgrade\xff"), 400, id="A2 connection"),
    pytest.param(head(b"Sec-WebSocket-Protocol: \xe9"), 400, id="A2 protocol"),
    pytest.param(head(b"Sec-WebSocket-Extensions: \xff"), 400, id="A2 extensions"),
    pytest.param(head("Sec-WebSocket-Key: a"), 400, id="A3 short key"),
    pytest.param(head(b"Sec-WebSocket-Key: \xff"), 400, id="A3 key not ascii"),
    pytest.param(head(without="sec-websocket-key"), 400, id="A3 no key"),
    pytest.param(head(f"Sec-WebSocket-Key: {KEY}", f"Sec-WebSocket-Key: {KEY}"), 400, id="A3 two keys"),
    pytest.param(head("Sec-WebSocket-Version: 8"), 426, id="A4 version"),
    pytest.param(head("GET /v1/ws HTTP/1.0"), 400, id="A5 http 1.0"),
    pytest.param(head("POST /v1/ws HTTP/1.1"), 400, id="A5 post"),
    pytest.param(head("Content-Length: 5"), 400, id="A5 body"),
    pytest.param(head("Transfer-Encoding: chunked"), 400, id="A5 chunked"),
    pytest.param(head() + head(), 401, id="A5 two requests, and no credential"),
    pytest.param(head("X: " + "y" * 65536), 431, id="A6 long header"),
    pytest.param(head(*(f"X-{n}: y" for n in range(200))), 431, id="A6 many headers"),
    pytest.param(head("GET /" + "a" * 8192 + " HTTP/1.1"), 431, id="A6 long target"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 400, id="A7 tls"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="A7 http2"),
    pytest.param(bytes(range(256)), 400, id="A7 noise"),
    pytest.param(head("Origin: https://evil.test"), 403, id="A11 foreign origin"),
    pytest.param(head("Origin: null"), 403, id="A11 null origin"),
    pytest.param(head("Origin: https://good.test.evil.test"), 403, id="A11 longer origin"),
    pytest.param(head("Origin: http://good.test"), 403, id="A11 other scheme"),
    pytest.param(head("Origin: https://GOOD.test"), 403, id="A11 other case"),
    pytest.param(head("GET /nothing HTTP/1.1"), 404, id="other path"),
    pytest.param(head(), 401, id="no credential"),
    pytest.param(head("Authorization: Bearer x.y.z"), 401, id="bad credential"),
    pytest.param(head("Sec-WebSocket-Protocol: chatd.v1.json, bearer.abc"), 401, id="bad credential as subprotocol"),
]


@pytest.mark.usefixtures("canary")
@pytest.mark.parametrize(("data", "status"), BAD)
async def test_a_bad_handshake_is_answered_and_closed(daemon: Daemon, data: bytes, status: int) -> None:
    async with Raw.to(daemon) as raw:
        await raw.send(data)
        answer = await raw.read_to_end()
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert b'"code"' in answer
        if status == 426:
            assert b"Sec-WebSocket-Version: 13" in answer


async def test_a_good_handshake_from_an_allowed_origin(daemon: Daemon) -> None:
    async with Raw.to(daemon) as raw:
        user = "01890a5d-ac96-774b-bcce-b302099a8057"
        await raw.send(head("Origin: https://good.test", f"Authorization: Bearer {daemon.token(user)}"))
        assert (await raw.read(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("codec", ["chatd.v1.json", "chatd.v1.msgpack", ""])
async def test_the_first_supported_subprotocol_is_chosen_and_the_token_is_not_echoed(
    daemon: Daemon, codec: str
) -> None:
    token = daemon.token("01890a5d-ac96-774b-bcce-b302099a8057")
    offered = ", ".join(filter(None, ["other.v1" if codec else "", f"bearer.{token}", codec]))
    async with Raw.to(daemon) as raw:
        await raw.send(head(f"Sec-WebSocket-Protocol: {offered}"))
        answer = await raw.read(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert token.encode() not in answer
        assert (f"Sec-WebSocket-Protocol: {codec}\r\n".lower().encode() in answer.lower()) == bool(codec)
        first = await raw.frame()
        assert first[0] == (0x81 if codec.endswith("json") else 0x82)


@pytest.mark.parametrize(
    ("lines", "query", "first"),
    [
        ((), "codec=json", 0x81),
        ((), "codec=msgpack", 0x82),
        (("Sec-WebSocket-Protocol: chatd.v1.msgpack",), "codec=json", 0x82),
        ((), "codec=xml", None),
    ],
)
async def test_the_codec_in_the_query_applies_without_a_subprotocol(
    daemon: Daemon, lines: tuple[str, ...], query: str, first: int | None
) -> None:
    async with Raw.to(daemon) as raw:
        bearer = f"Authorization: Bearer {daemon.token('01890a5d-ac96-774b-bcce-b302099a8057')}"
        await raw.send(head(bearer, *lines).replace(b"/v1/ws ", f"/v1/ws?{query} ".encode()))
        answer = await raw.read(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 " if first else b"HTTP/1.1 400 ")
        if first:
            assert (await raw.frame())[0] == first


async def test_a_frame_in_the_same_segment_as_the_handshake_is_handled(daemon: Daemon) -> None:
    async with Raw.to(daemon) as raw:
        await raw.send(upgrade(daemon) + Raw.frame_of(b'[1,{"t":"ping","ts":3}]'))
        await raw.read(b"\r\n\r\n")
        assert b'"connected"' in (await raw.frame())[1]
        assert b'"pong"' in (await raw.frame())[1]


@pytest.mark.usefixtures("canary")
async def test_thousand_disconnects_leave_no_state(daemon: Daemon) -> None:
    """Connect and FIN, connect and RST."""
    for number in range(1000):
        with socket.create_connection(daemon_address(daemon)) as peer:
            if number % 2:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await trio.lowlevel.checkpoint()
    await eventually(lambda: not open_at(daemon_address(daemon)[1]))


def open_at(port: int) -> int:
    """Connections of this port that a process still has to close, without those that only the kernel keeps."""
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] not in (LISTEN, TIME_WAIT) for row in rows)


def daemon_address(daemon: Daemon) -> tuple[str, int]:
    host, _, port = daemon.addresses.socket.removeprefix("ws://").partition("/")[0].partition(":")
    return host, int(port)


async def test_slow_peers_are_closed_at_the_deadline(config: Config) -> None:
    """Single bytes do not keep a handshake open, and other clients are still admitted."""
    hasty = replace(config, gateway=replace(config.gateway, handshake_timeout=0.5))
    async with running(hasty) as daemon, trio.open_nursery() as nursery:

        async def drip() -> None:
            async with Raw.to(daemon) as raw:
                with trio.fail_after(PATIENCE):
                    await raw.send(b"GET ")
                    await raw.read_to_end()

        for _ in range(40):
            nursery.start_soon(drip)
        async with daemon.person() as alice:
            assert await alice.is_served()


async def test_connections_are_limited_per_address_and_in_total(config: Config) -> None:
    """Connections above the limit of an address get a time to retry; those inside are not affected."""
    limits = replace(config.limits, connections_per_address=3, pending_per_address=5)
    async with running(replace(config, limits=limits)) as daemon, daemon.people(3) as people:
        async with Raw.to(daemon) as raw:
            await raw.send(upgrade(daemon))
            answer = await raw.read_to_end()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: " in answer
        async with trio.open_nursery() as nursery:
            idle = [await raw_open(daemon) for _ in range(5)]
            async with Raw.to(daemon) as raw:
                assert (await raw.read_to_end()).startswith(b"HTTP/1.1 503 ")
            for stream in idle:
                nursery.start_soon(stream.aclose)
        for person in people:
            assert await person.is_served()


async def raw_open(daemon: Daemon) -> trio.SocketStream:
    stream = await trio.open_tcp_stream(*daemon_address(daemon))
    await stream.send_all(b"G")
    return stream


async def test_forwarded_addresses_are_accepted_only_from_a_trusted_proxy(config: Config) -> None:
    """The same header from another address is ignored."""
    limits = replace(config.limits, connections_per_address=1)
    trusting = replace(config, limits=limits, gateway=replace(config.gateway, trusted_proxies=["127.0.0.1"]))
    for settings, second in ((trusting, b"101"), (replace(config, limits=limits), b"503")):
        async with running(settings) as daemon, Raw.to(daemon) as one, Raw.to(daemon) as two:
            await one.send(upgrade(daemon, "X-Forwarded-For: 198.51.100.1"))
            assert b" 101 " in await one.read(b"\r\n\r\n")
            await two.send(upgrade(daemon, "X-Forwarded-For: 6.6.6.6, 198.51.100.2"))
            assert (await two.read(b"\r\n\r\n")).split()[1] == second


async def test_listener_survives_a_lack_of_descriptors(config: Config) -> None:
    """In a separate process: see tests/faults/test_process.py for the daemon as a whole."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with running(config) as daemon, daemon.person() as alice:
        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 6, hard))
        try:
            peers = []
            for _ in range(6):
                try:
                    peers.append(socket.create_connection(daemon_address(daemon)))
                except OSError:
                    break
                await trio.sleep(0.01)
            assert await alice.is_served()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for peer in peers:
                peer.close()
        async with daemon.person() as bob:
            assert await bob.is_served()


async def test_flood_of_one_address_does_not_affect_others(config: Config) -> None:
    """Endless connections of one address, and clients of another one are admitted; also behind one proxy."""
    limits = replace(config.limits, accepts_per_second=60, accepts_per_address=20)
    trusting = replace(config, limits=limits, gateway=replace(config.gateway, trusted_proxies=["127.0.0.2"]))
    async with running(trusting) as daemon, trio.open_nursery() as nursery:
        statuses: dict[bytes, list[bytes]] = {b"flood": [], b"other": []}

        async def come(source: str, forwarded: str, who: bytes) -> None:
            host, port = daemon_address(daemon)
            async with await trio.open_tcp_stream(host, port, local_address=source) as stream:
                with trio.move_on_after(5):
                    raw = Raw(stream)
                    await raw.send(upgrade(daemon, f"X-Forwarded-For: {forwarded}"))
                    statuses[who].append((await raw.read(b"\r\n\r\n")).split()[1])

        for source in ("127.0.0.1", "127.0.0.2"):
            for _ in range(6):
                for _ in range(50):
                    nursery.start_soon(come, source, "198.51.100.1", b"flood")
                await come("127.0.0.3" if source == "127.0.0.1" else source, "198.51.100.2", b"other")
                await trio.sleep(0.05)
        with trio.move_on_after(5):
            while len(statuses[b"flood"]) < 300:
                await trio.sleep(0.05)
        assert statuses[b"other"] == [b"101"] * 12
        assert b"503" in statuses[b"flood"]
        nursery.cancel_scope.cancel()
