"""The whole HTTP server: no peer can stop it or make it wait forever, and it stops on request."""

import json
import logging
import random
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, suppress
from typing import Any

import pytest
import trio
from hypercorn.typing import ASGIFramework
from quart import Response
from quart_trio import QuartTrio

from chatd.core.config import Config, Gateway, Http, Limits
from chatd.http.asgi_guard import AsgiGuard
from chatd.http.server import ServerTunables
from chatd.http.stream import MAX_READ_BYTES, BoundedStream
from tests.http.raw import HttpPort, served
from tests.support import PATIENCE, Answer, Daemon, eventually, poll_until

BIG = 30_000_000
KEY = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" + KEY
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def h2_headers(block: bytes) -> bytes:
    return len(block).to_bytes(3, "big") + b"\x01\x05\x00\x00\x00\x01" + block


# Each of the first six ends the process behind Hypercorn's own `serve`.
PROBES = {
    "non-ASCII connection": UPGRADE + b"Connection: Upgrade, \xff\r\n\r\n\x81\x85",
    "non-ASCII subprotocol": UPGRADE
    + b"Connection: Upgrade\r\nSec-WebSocket-Protocol: \xff\r\nSec-WebSocket-Extensions: \xff\r\n\r\n",
    "frames before the answer": UPGRADE + b"Connection: Upgrade\r\n\r\n\x88\x80abcd\x89\x80abcd\xff\xff\xff",
    "upgrade with a body": UPGRADE + b"Connection: Upgrade\r\nContent-Length: 5\r\n\r\nhello",
    "http/2 with a non-ASCII path": PREFACE + h2_headers(b"\x82\x86\x04\x03\xff\xfe\xfd"),
    "http/2 without a path": PREFACE + h2_headers(b"\x02\x07CONNECT\x01\x05a:443"),
    "http/2 nonsense": PREFACE + b"\xff" * 100,
    "http/2 window": PREFACE + b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xff\xff\xff" * 3,
    "h2c": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: !\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "noise": random.Random(1).randbytes(500),
    "host": b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
    "punycode": b"GET / HTTP/1.1\r\nHost: xn--a\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "bad chunk": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "gzip and chunked": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "huge header": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    "huge length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "nonsense after a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGARBAGE\r\n\r\n",
    "pipeline": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 50,
    "a request in a body": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "expectation": b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    "odd headers": b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: \xff\r\nCookie: \xff=\xff\r\nRange: \xff\r\n\r\n",
}


class Hall:
    """An application that answers at once, waits until it is released, or sends a long response."""

    def __init__(self) -> None:
        self.entered = trio.Event()
        self.leave = trio.Event()
        self.app = QuartTrio("hall", static_folder=None)
        self.app.add_url_rule("/", "hello", self.hello, methods=["GET", "POST"])
        self.app.add_url_rule("/hold", "hold", self.hold)
        self.app.add_url_rule("/big", "big", self.big)

    async def hello(self) -> str:
        return "hello"

    async def hold(self) -> str:
        self.entered.set()
        await self.leave.wait()
        return "held"

    async def big(self) -> Response:
        self.entered.set()
        return Response(b"x" * BIG)

    @property
    def front(self) -> ASGIFramework:
        return AsgiGuard(self.app, "ws://elsewhere", Config().http.max_body_bytes)


async def test_no_more_is_received_than_was_asked_for() -> None:
    """Before the end of the connection, and while it lingers."""
    ours, theirs = trio.socket.socketpair()
    with trio.CancelScope() as scope:
        stream = BoundedStream(trio.SocketStream(ours), scope, received=b"0123456789")
        assert [await stream.receive_some(4) for _ in range(3)] == [b"0123", b"4567", b"89"]
        await theirs.send(b"x" * 10)
        assert await stream.receive_some(4) == b"x" * 4
        await theirs.send(b"y" * 3 * MAX_READ_BYTES)
        received = 6 + 3 * MAX_READ_BYTES
        while received:
            part = await stream.receive_some(10 * MAX_READ_BYTES)
            assert 0 < len(part) <= MAX_READ_BYTES
            received -= len(part)
    theirs.close()
    ours.close()


@pytest.fixture
def hall() -> Hall:
    return Hall()


@pytest.fixture
async def door(hall: Hall) -> AsyncIterator[HttpPort]:
    async with served(hall.front) as door:
        yield door


async def visit(door: HttpPort, data: bytes, manner: str) -> None:
    """Send a request, then: read the response, disconnect, reset the connection, or close the sending side."""
    async with door.connected() as stream:
        try:
            await stream.send_all(data)
            if manner == "reset":
                stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
            if manner == "finish":
                await stream.send_eof()
            if manner in ("read", "finish"):
                with trio.move_on_after(0.05):
                    async for _ in stream:
                        pass
        except trio.BrokenResourceError:
            pass


async def test_upgrade_to_http2_is_refused(door: HttpPort) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    answer = await door.send(
        b"GET / HTTP/1.1\r\nHost: a\r\n" + upgrade + b"\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    assert (answer.count(b"HTTP/1.1 200"), answer.count(b"hello"), b" 101 " in answer) == (2, 2, False)


HTTP2 = {
    "prior knowledge": PREFACE,
    "prior knowledge and a request": PREFACE + h2_headers(b"\x82\x84\x86\x41\x01a"),
    "settings without end": PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" * 1000,
    "the preface as a request": b"PRI * HTTP/2.0\r\nHost: a\r\n\r\n",
    "another method": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "another version": b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
    "a version of before": b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
    "after a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + PREFACE,
    "without a body": b"HEAD / HTTP/2.0\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("sent", HTTP2.values(), ids=HTTP2)
async def test_only_http1_is_supported(door: HttpPort, sent: bytes) -> None:
    answer = await door.send(sent)
    *before, last = re.split(rb"HTTP/1.1 (?=\d)", answer)[1:]
    assert last.startswith(b"505 ")
    assert all(one.startswith(b"200 ") for one in before)
    if not sent.startswith(b"HEAD"):
        refused = json.loads(last.partition(b"\r\n\r\n")[2])
        assert (refused["t"], refused["code"]) == ("error", "bad_request")
    assert await door.is_served("/")


async def test_request_with_two_lengths_ends_the_connection(door: HttpPort) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await door.send(head + b"0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.count(b"HTTP/1.1 "), b" 400 " in answer) == (1, True)


FILL = 60_000
# Heads that take long to parse, each within one segment, and the trailers of a chunked body.
LONG_HEADS = {
    "a header a line": b"a:b\r\n" * 101,
    "empty headers": b"a:\r\n" * 101,
    "headers of one length": b"a: b\r\n" * (FILL // 6),
    "different names": b"".join(b"a%d:\r\n" % number for number in range(FILL // 8)),
    "continued lines": b"a: b\r\n" + b" c\r\n" * (FILL // 4),
    "bare line ends": b"a:b\n" * (FILL // 4),
    "one header": b"X: " + b"a" * FILL + b"\r\n",
    "not ASCII": b"X: " + b"\xc3\xa9" * (FILL // 2) + b"\r\n",
}


@pytest.mark.parametrize("headers", LONG_HEADS.values(), ids=LONG_HEADS)
@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"], ids=["first", "pipelined"])
async def test_head_that_is_slow_to_parse_is_refused(door: HttpPort, headers: bytes, before: bytes) -> None:
    """The size of a head is checked before it is parsed."""
    answer = await door.send(before + b"GET / HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == ([b"200"] if before else []) + [b"431"]
    assert await door.is_served("/")


TWICE = {
    "authorization": ("Bearer a", "Bearer b"),
    "content-type": ("application/json", "text/plain"),
    "host": ("a", "evil.test"),
    "origin": ("http://a", "http://evil.test"),
    "sec-fetch-site": ("none", "cross-site"),
}


@pytest.mark.parametrize("name", TWICE)
async def test_ambiguous_header_is_refused(door: HttpPort, name: str) -> None:
    """All readers of the headers see the same values."""
    host = "" if name == "host" else "Host: a\r\n"
    for first, second in (TWICE[name], TWICE[name][::-1], (TWICE[name][0],) * 2):
        lines = f"{name}: {first}\r\nX: y\r\n{name.upper()}: {second}\r\n"
        answer = await door.send(f"POST / HTTP/1.1\r\n{host}Connection: close\r\n{lines}\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 400 "), (first, second)


async def test_maximum_number_of_headers_is_accepted(door: HttpPort) -> None:
    for end in (b"\r\n", b"\n"):
        answer = await door.send(
            end.join([b"GET / HTTP/1.1", b"Host: a", b"Connection: close", *[b"a:b"] * 98, b"", b""])
        )
        assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("trailer", [b"a:\r\n", b"a: b\r\n", b"abcdefghi: b\r\n"])
async def test_trailers_are_bounded(door: HttpPort, trailer: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    answer = await door.send(head + trailer * (FILL // len(trailer)) + b"\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert await door.is_served("/")


@pytest.mark.parametrize("probe", PROBES)
async def test_random_bytes_do_not_stop_the_server(door: HttpPort, probe: str) -> None:
    for manner in ("read", "hang up", "reset", "finish"):
        await visit(door, PROBES[probe], manner)
        assert await door.is_served("/")


async def test_damaged_requests_do_not_stop_the_server(hall: Hall) -> None:
    chance = random.Random(7)
    async with served(hall.front, Config(limits=Limits(connections_per_address=1000))) as door:
        for _ in range(150):
            data = bytearray(chance.choice(list(PROBES.values()))[:2000])
            for _ in range(chance.randrange(1, 8)):
                data[chance.randrange(len(data))] = chance.choice((0, 10, 13, 32, 58, 255, chance.randrange(256)))
            await visit(door, bytes(data), "hang up")
        assert await door.is_served("/")


async def test_failure_is_logged_in_one_record(door: HttpPort, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await visit(door, PROBES["non-ASCII connection"], "read")
        assert await door.is_served("/")
    assert [record.getMessage() for record in caplog.records] == ["a connection failed"]


async def test_daemon_survives_requests_that_crash_hypercorn(daemon: Daemon) -> None:
    async with daemon.person() as alice:
        for probe in list(PROBES)[:6]:
            await visit(HttpPort.of(daemon), PROBES[probe], "read")
        assert await HttpPort.of(daemon).is_served()
        assert await alice.is_served()


@pytest.mark.parametrize("head", ["GET / HTTP/1.1", "HEAD / HTTP/1.1", "POST / HTTP/1.1\nContent-Length: 0"])
async def test_connection_close_is_honoured(door: HttpPort, head: str) -> None:
    with trio.fail_after(PATIENCE / 2):
        for _ in range(10):
            assert (await door.ask(head)).status == 200
            assert (await door.send(b"GET / HTTP/1.0\r\n\r\n")).endswith(b"hello")


async def test_connection_is_reused(door: HttpPort) -> None:
    async with door.connected() as stream:
        for _ in range(20):
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await read_until(stream, b"hello")


async def read_until(stream: trio.SocketStream, end: bytes) -> bytes:
    data = b""
    with trio.fail_after(PATIENCE):
        while not data.endswith(end):
            part = await stream.receive_some()
            assert part, "closed too early"
            data += part
    return data


async def ended(stream: trio.SocketStream) -> None:
    """Read until the server has closed."""
    with trio.fail_after(PATIENCE):
        try:
            async for _ in stream:
                pass
        except trio.BrokenResourceError:
            pass


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
async def test_idle_connection_is_closed(hall: Hall, sent: bytes) -> None:
    """Also a head that never ends, although bytes arrive from time to time."""
    impatient = ServerTunables(keep_alive_s=0.3)
    async with (
        served(hall.front, tunables=impatient) as door,
        door.connected() as stream,
        trio.open_nursery() as nursery,
    ):
        await stream.send_all(sent)
        if sent.endswith(b"1.1\r\n"):
            nursery.start_soon(drip, stream)
        await ended(stream)
        nursery.cancel_scope.cancel()


async def drip(stream: trio.SocketStream) -> None:
    while True:
        await trio.sleep(0.02)
        try:
            await stream.send_all(b"X")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return


async def test_connection_of_a_peer_that_does_not_read_is_closed(hall: Hall) -> None:
    async with served(hall.front, tunables=ServerTunables(write_timeout_s=0.2)) as door, door.connected() as stream:
        before = trio.lowlevel.current_statistics().tasks_living
        await stream.send_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        await hall.entered.wait()
        await tasks_back_to(before)
        assert await door.is_served("/")


async def test_slow_reader_has_a_deadline(hall: Hall) -> None:
    config = Config(http=Http(answer_timeout=0.3))
    async with served(hall.front, config) as door, door.connected() as stream:
        before = trio.lowlevel.current_statistics().tasks_living
        await stream.send_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        with trio.fail_after(PATIENCE):
            while trio.lowlevel.current_statistics().tasks_living > before or not hall.entered.is_set():
                await trio.sleep(0.02)
                with suppress(trio.BrokenResourceError):
                    await stream.receive_some(65_536)
        assert await door.is_served("/")


async def test_responses_have_separate_deadlines(hall: Hall) -> None:
    async with served(hall.front, Config(http=Http(answer_timeout=0.3))) as door, door.connected() as stream:
        for _ in range(4):
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await read_until(stream, b"hello")
            # All answers together take longer than one may.
            await trio.sleep(0.12)


async def tasks_back_to(count: int) -> None:
    await eventually(lambda: trio.lowlevel.current_statistics().tasks_living <= count)


async def test_closed_connections_leave_no_state(hall: Hall) -> None:
    async with served(hall.front, Config(limits=Limits(connections_per_address=1000))) as door:
        assert await door.is_served("/")
        before = trio.lowlevel.current_statistics().tasks_living
        for number, probe in enumerate([*PROBES.values()] * 3):
            await visit(door, probe, ("hang up", "reset", "finish")[number % 3])
        await tasks_back_to(before)


async def test_connections_per_address_are_bounded(hall: Hall) -> None:
    """A connection over the limit is answered, also before its request; a later one is served when a slot is free."""
    config = Config(limits=Limits(connections_per_address=3))
    async with served(hall.front, config) as door, door.connected() as first:
        async with door.connected() as second, door.connected() as third:
            for stream in (first, second, third):
                await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                await read_until(stream, b"hello")
            for sent in (
                b"",
                b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: a\r\n\r\n" + b"x" * 300_000,
            ):
                answer = Answer.read(await door.send(sent))
                assert (answer.status, answer.body["code"], answer.headers["connection"]) == (
                    429,
                    "rate_limited",
                    "close",
                )
                assert int(answer.headers["retry-after"]) >= 1
        await poll_until(lambda: is_let_in(door))


async def test_rejections_are_bounded(hall: Hall) -> None:
    config, tunables = Config(limits=Limits(connections_per_address=1)), ServerTunables(max_refusals_per_address=2)
    async with served(hall.front, config, tunables) as door, door.connected() as first:
        await first.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await read_until(first, b"hello")
        async with AsyncExitStack() as stack:
            others = [await stack.enter_async_context(door.connected()) for _ in range(10)]
            answers = [await one.receive_some() for one in others]
            assert [answer[9:12] for answer in answers] == [b"429"] * 2 + [b""] * 8


async def test_connections_over_the_total_limit_are_answered(hall: Hall) -> None:
    async with served(hall.front, tunables=ServerTunables(max_connections=1)) as door, door.connected() as first:
        await first.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await read_until(first, b"hello")
        answer = Answer.read(await door.send(b""))
        assert (answer.status, answer.body["code"]) == (503, "unavailable")


async def is_let_in(door: HttpPort) -> bool:
    return (await door.send(b"GET / HTTP/1.0\r\n\r\n")).endswith(b"hello")


@pytest.mark.parametrize(
    "known", [{"gateway": Gateway(trusted_proxies=["127.0.0.0/8"])}, {"http": Http(backends=["127.0.0.1"])}]
)
async def test_proxies_and_backends_have_no_limit_per_address(hall: Hall, known: Any) -> None:
    config = Config(limits=Limits(connections_per_address=1), **known)
    async with served(hall.front, config) as door, door.connected(), door.connected():
        assert await door.is_served("/")


async def test_stop_finishes_requests_and_closes_idle_connections(hall: Hall) -> None:
    async with served(hall.front) as door:
        idle, busy = await trio.open_tcp_stream(door.host, door.port), await trio.open_tcp_stream(door.host, door.port)
        await idle.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await read_until(idle, b"hello")
        await busy.send_all(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
        await hall.entered.wait()
        trio.lowlevel.spawn_system_task(let_go_when, idle, hall)
    await read_until(busy, b"held")
    await ended(busy)


async def let_go_when(idle: trio.SocketStream, hall: Hall) -> None:
    """The idle connection is closed while the busy one still waits."""
    await ended(idle)
    await idle.aclose()
    hall.leave.set()


async def test_connections_waiting_for_accept_are_answered_at_stop(hall: Hall) -> None:
    with ExitStack() as stack:
        async with served(hall.front) as door:
            clients = [stack.enter_context(socket.create_connection((door.host, door.port))) for _ in range(20)]
        assert {client.recv(12) for client in clients} == {b"HTTP/1.1 503"}


@pytest.mark.parametrize("path", ["/hold", "/big"])
async def test_stop_has_a_deadline(hall: Hall, path: str) -> None:
    """Also with a peer that does not read, although Hypercorn shields its writes."""
    with trio.fail_after(PATIENCE):
        async with served(hall.front, grace_s=0.1) as door:
            stream = await trio.open_tcp_stream(door.host, door.port)
            await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            await hall.entered.wait()
    await stream.aclose()


async def test_cancellation_stops_the_server(hall: Hall) -> None:
    with trio.fail_after(PATIENCE), trio.CancelScope() as scope:
        async with served(hall.front) as door, door.connected() as stream:
            await stream.send_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
            await hall.entered.wait()
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
