"""No connection is cut without a response while the daemon starts, becomes ready, and stops."""

import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from msgspec.structs import replace

from chatd import daemon as daemon_module
from chatd.accounts.settings import AccountLimits
from chatd.cli.workers import reserved
from chatd.core.config import Config, Limits
from tests.support import PATIENCE, Answer, eventually

HEAD = b"GET /healthz HTTP/1.1\r\nHost: chatd.test\r\n"
BODY = b'{"name": "a"}'
POST = (
    b"POST /v1/auth/anonymous HTTP/1.1\r\nHost: chatd.test\r\nContent-Type: application/json\r\nContent-Length: 13\r\n"
)
LAST = b"Connection: close\r\n\r\n"
CLIENTS_OF_A_KIND = 6
# An overloaded machine may answer 504.
ANSWERS, HANDSHAKES = {200, 503, 504}, {401, 503}
# Seconds between requests, and between the parts of a slow one; the last is longer than becoming ready takes.
PAUSES_S = (0.05, 0.2, 0.5)


UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: chatd.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Cut(Exception):
    """The connection ended before a response."""


class Hammer:
    """Clients that send requests to both ports until they are stopped, and count the responses."""

    def __init__(self, gateway: int, http: int) -> None:
        self._gateway, self._http = gateway, http
        self.statuses: Counter[int] = Counter()
        self.handshakes: Counter[int] = Counter()
        self.signed_up = 0
        self.cuts: Counter[str] = Counter()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS_OF_A_KIND):
                pause_s = PAUSES_S[number % len(PAUSES_S)]
                for kind in (self.once, self.sign_up_once, self.again_and_again, self.slowly, self.silently):
                    nursery.start_soon(self._repeat, kind, self._http, pause_s)
                nursery.start_soon(self._repeat, self.handshake, self._gateway, pause_s)

    async def _repeat(
        self, kind: Callable[[trio.SocketStream, float], Awaitable[None]], port: int, pause_s: float
    ) -> None:
        while True:
            with suppress(OSError):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                try:
                    async with stream:
                        await kind(stream, pause_s)
                except (Cut, trio.BrokenResourceError):
                    self.cuts[kind.__name__] += 1
            await trio.sleep(pause_s)

    async def _answer(self, stream: trio.SocketStream) -> Answer:
        """Raises Cut."""
        with trio.fail_after(3 * PATIENCE):
            data = b""
            while not Answer.is_whole(data):
                part = await stream.receive_some()
                if not part:
                    raise Cut
                data += part
        return Answer.read(data)

    async def _http_answer(self, stream: trio.SocketStream) -> Answer:
        answer = await self._answer(stream)
        self.statuses[answer.status] += 1
        return answer

    async def once(self, stream: trio.SocketStream, pause_s: float) -> None:
        await send(stream, HEAD + LAST)
        await self._http_answer(stream)

    async def sign_up_once(self, stream: trio.SocketStream, pause_s: float) -> None:
        await send(stream, POST + LAST + BODY)
        self.signed_up += (await self._http_answer(stream)).status == 200

    async def again_and_again(self, stream: trio.SocketStream, pause_s: float) -> None:
        """Reuse one connection until a response announces its end."""
        closing = False
        while not closing:
            await send(stream, HEAD + b"\r\n")
            closing = (await self._http_answer(stream)).headers.get("connection") == "close"
            await trio.sleep(pause_s)

    async def slowly(self, stream: trio.SocketStream, pause_s: float) -> None:
        for part in (POST[:20], POST[20:] + LAST, BODY[:5], BODY[5:]):
            await send(stream, part)
            await trio.sleep(pause_s)
        await self._http_answer(stream)

    async def silently(self, stream: trio.SocketStream, pause_s: float) -> None:
        """Connect long before the request."""
        await trio.sleep(2 * pause_s)
        await send(stream, HEAD + LAST)
        await self._http_answer(stream)

    async def handshake(self, stream: trio.SocketStream, pause_s: float) -> None:
        """A handshake without a credential."""
        for part in (UPGRADE[:30], UPGRADE[30:]):
            await send(stream, part)
            await trio.sleep(pause_s)
        self.handshakes[(await self._answer(stream)).status] += 1


async def send(stream: trio.SocketStream, data: bytes) -> None:
    """A response that arrived before the request can still be read after the server has closed."""
    with suppress(trio.BrokenResourceError):
        await stream.send_all(data)


@asynccontextmanager
async def hammered(config: Config) -> AsyncIterator[tuple[Hammer, trio.Event]]:
    """Clients, then a daemon that is ready; and whether it has ended."""
    ready, ended = trio.Event(), trio.Event()

    async def serve(config: Config) -> None:
        await daemon_module.run(config, ready=lambda _: ready.set())
        ended.set()

    limits = Limits(connections_per_address=1000)
    with reserved(config) as (gateway, http), trio.fail_after(6 * PATIENCE):
        async with trio.open_nursery() as nursery:
            hammer = Hammer(gateway, http)
            nursery.start_soon(hammer.run)
            ports = {
                "gateway": replace(config.gateway, port=gateway, reuse_port=True),
                "http": replace(config.http, port=http),
            }
            nursery.start_soon(
                serve,
                replace(config, limits=limits, **ports).using(
                    AccountLimits(signups_per_minute=1e6, auth_failures_per_minute=1e6)
                ),
            )
            await ready.wait()
            yield hammer, ended
            nursery.cancel_scope.cancel()


async def test_no_connection_is_cut_while_the_daemon_starts(config: Config) -> None:
    async with hammered(config) as (hammer, _):
        await eventually(lambda: hammer.cuts or (hammer.signed_up and hammer.handshakes), 3 * PATIENCE)
    assert not hammer.cuts
    assert hammer.statuses[503]
    assert hammer.statuses.keys() <= ANSWERS


@pytest.mark.parametrize("notice", [0.0, 0.3])
async def test_no_connection_is_cut_while_the_daemon_stops(config: Config, notice: float) -> None:
    drain = replace(config.drain, notice=notice, spread=0.1, timeout=1.0)
    async with hammered(replace(config, drain=drain)) as (hammer, ended):
        await eventually(lambda: hammer.cuts or (hammer.signed_up and hammer.handshakes), 3 * PATIENCE)
        os.kill(os.getpid(), signal.SIGTERM)
        await ended.wait()
        # The last answers are read.
        await trio.sleep(2 * max(PAUSES_S))
    assert not hammer.cuts
    assert hammer.statuses.keys() <= ANSWERS
    assert hammer.handshakes.keys() <= HANDSHAKES
