"""Raw HTTP requests, and a server for an application of the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from hypercorn.typing import ASGIFramework

from chatd.app.listening import open_listener
from chatd.core.config import Config
from chatd.http.server import TUNABLES, ServerTunables, open_http
from tests.support import PATIENCE, Answer, Daemon

GRACE_S = 5.0


class HttpPort:
    """The address of an HTTP server."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port

    @classmethod
    def of(cls, daemon: Daemon) -> "HttpPort":
        host, _, port = daemon.addresses.http.removeprefix("http://").partition(":")
        return cls(host, int(port))

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[trio.SocketStream]:
        async with await trio.open_tcp_stream(self.host, self.port) as stream:
            yield stream

    async def send(self, data: bytes) -> bytes:
        """Send bytes; return all that arrives until the server closes or is silent for a while. A reset counts as a
        close.
        """
        answer = b""
        async with self.connected() as stream:
            with trio.move_on_after(PATIENCE):
                try:
                    await stream.send_all(data)
                    async for part in stream:
                        answer += part
                except trio.BrokenResourceError:
                    pass
        return answer

    async def ask(self, head: str, body: bytes = b"") -> Answer:
        """Send one request: the first line and headers, without Host and Connection."""
        lines = [*head.splitlines(), "Host: chatd.test", "Connection: close"]
        return Answer.read(await self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body))

    async def is_served(self, path: str = "/healthz") -> bool:
        return (await self.ask(f"GET {path} HTTP/1.1")).status == 200


@asynccontextmanager
async def served(
    app: ASGIFramework, config: Config | None = None, tunables: ServerTunables = TUNABLES, *, grace_s: float = GRACE_S
) -> AsyncIterator[HttpPort]:
    """Serve this application with the production server, which waits `grace_s` for requests when it stops."""
    listener = open_listener("127.0.0.1", 0, 100)
    address = listener.getsockname()
    async with open_http(app, listener, config, tunables=tunables) as server:
        yield HttpPort(*address)
        await server.finish(trio.current_time() + grace_s)
