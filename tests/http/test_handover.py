"""No connection is cut without an answer: not while the daemon starts, not when it becomes ready, not when it stops."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trio
from msgspec.structs import replace

from chatd import daemon as daemon_module
from chatd.config import Config, Limits
from chatd.daemon import Addresses
from chatd.gateway.listener import bound
from tests.support import PATIENCE, Answer, eventually

HEAD = b"GET /healthz HTTP/1.1\r\nHost: chatd.test\r\n"
BODY = b'{"name": "a"}'
POST = b"POST /v1/auth/anonymous HTTP/1.1\r\nHost: chatd.test\r\nContent-Type: application/json\r\nContent-Length: 13\r\n"
LAST = b"Connection: close\r\n\r\n"
CLIENTS_OF_A_KIND = 6
# An overloaded machine may answer 504.
ANSWERS = {200, 503, 504}
# Seconds between requests, and between the parts of a slow one; the last is longer than becoming ready takes.
PAUSES_S = (0.05, 0.2, 0.5)


class Cut(Exception):
    """The connection ended before an answer."""


class Hammer:
    """Clients that send requests to one port until they are told to stop, and count what they got."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.statuses: Counter[int] = Counter()
        self.signed_up = 0
        self.cuts: Counter[str] = Counter()
        self.refused = trio.Event()

    async def run(self) -> None:
        kinds = (self.once, self.sign_up_once, self.again_and_again, self.slowly, self.silently)
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS_OF_A_KIND):
                for kind in kinds:
                    nursery.start_soon(self._repeat, kind, PAUSES_S[number % len(PAUSES_S)])

    async def _repeat(self, kind: Callable[[trio.SocketStream, float], Awaitable[None]], pause_s: float) -> None:
        while True:
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", self._port)
            except OSError:
                self.refused.set()
                await trio.sleep(0.05)
                continue
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
        answer = Answer.read(data)
        self.statuses[answer.status] += 1
        return answer

    async def once(self, stream: trio.SocketStream, pause_s: float) -> None:
        await stream.send_all(HEAD + LAST)
        await self._answer(stream)

    async def sign_up_once(self, stream: trio.SocketStream, pause_s: float) -> None:
        await stream.send_all(POST + LAST + BODY)
        self.signed_up += (await self._answer(stream)).status == 200

    async def again_and_again(self, stream: trio.SocketStream, pause_s: float) -> None:
        """On one connection, until an answer says that it is the last one."""
        closing = False
        while not closing:
            await stream.send_all(HEAD + b"\r\n")
            closing = (await self._answer(stream)).headers.get("connection") == "close"
            await trio.sleep(pause_s)

    async def slowly(self, stream: trio.SocketStream, pause_s: float) -> None:
        for part in (POST[:20], POST[20:] + LAST, BODY[:5], BODY[5:]):
            await stream.send_all(part)
            await trio.sleep(pause_s)
        await self._answer(stream)

    async def silently(self, stream: trio.SocketStream, pause_s: float) -> None:
        """Connected long before the request."""
        await trio.sleep(2 * pause_s)
        await stream.send_all(HEAD + LAST)
        await self._answer(stream)


@contextmanager
def on_free_ports(config: Config) -> Iterator[tuple[Config, int]]:
    """The port of the HTTP side is reserved before the daemon is started."""
    limits = Limits(signups_per_minute=1e6, connections_per_address=1000)
    with bound("127.0.0.1", 0, reuse_port=True) as reserved:
        port = reserved.getsockname()[1]
        gateway, http = replace(config.gateway, reuse_port=True), replace(config.http, port=port)
        yield replace(config, gateway=gateway, http=http, limits=limits), port


@asynccontextmanager
async def hammered(config: Config, port: int) -> AsyncIterator[tuple[Hammer, trio.Event, trio.Event]]:
    """Clients, then a daemon; whether it is ready, and whether it has ended."""
    hammer, ready, ended = Hammer(port), trio.Event(), trio.Event()

    def note(addresses: Addresses) -> None:
        ready.set()

    async def serve() -> None:
        await daemon_module.run(config, ready=note)
        ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hammer.run)
        await trio.sleep(0.05)
        nursery.start_soon(serve)
        with trio.fail_after(3 * PATIENCE):
            await ready.wait()
        yield hammer, ready, ended
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("attempt", range(2))
async def test_no_request_is_cut_while_the_daemon_starts(config: Config, attempt: int) -> None:
    with on_free_ports(config) as (config, port):
        async with hammered(config, port) as (hammer, _, _):
            await eventually(lambda: hammer.cuts or hammer.signed_up, 3 * PATIENCE)
    assert not hammer.cuts
    assert hammer.statuses.keys() <= ANSWERS
