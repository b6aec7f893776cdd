"""An unreliable connection: a TCP proxy in front of a daemon or of Postgres. The toxics are those of Toxiproxy.

    async with bad_line(daemon) as line:
        line.up.slice = 1

Each direction has its toxics: `up` is what the client sends, `down` what it receives. They can be changed at any time.
After `heal` new connections are good, while existing ones keep their toxics.
"""

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import parse_qs, urlsplit

import trio

from tests.support import Daemon

Connect = Callable[[], Awaitable[trio.SocketStream]]
GONE = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


@dataclass
class Toxics:
    """`latency` in seconds per piece; `bandwidth` in bytes per second; `slice` in bytes, the size of a piece.

    `limit_data`: the connection ends after this many bytes. `timeout`: data is swallowed, and no end is signalled.
    `slow_close`: seconds by which the end of one side is delayed for the other.
    """

    latency: float = 0.0
    bandwidth: float = float("inf")
    slice: int = 65536
    limit_data: float = float("inf")
    timeout: bool = False
    slow_close: float = 0.0


@dataclass(eq=False)
class Carried:
    """One connection of a client, and the one to the daemon that carries it."""

    near: trio.SocketStream
    far: trio.SocketStream
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class BadLine:
    """See the module."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._carried: set[Carried] = set()
        self.up, self.down = Toxics(), Toxics()
        self.host, self.port = "127.0.0.1", 0

    @property
    def url(self) -> str:
        return f"ws://{self.host}:{self.port}/v1/ws"

    @property
    def connections(self) -> int:
        return len(self._carried)

    def heal(self) -> None:
        """Make new connections good."""
        self.up, self.down = Toxics(), Toxics()

    def through(self, daemon: Daemon) -> Daemon:
        """The daemon, through this line."""
        return replace(daemon, addresses=replace(daemon.addresses, socket=self.url))

    def cut(self) -> None:
        """End all connections."""
        for carried in self._carried:
            carried.scope.cancel()

    def reset_peer(self) -> None:
        """End all connections with RST on both sides, and drop data in flight."""
        for carried in self._carried:
            for stream in (carried.near, carried.far):
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.cut()

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_tcp_listeners(0, host=self.host)
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._carry, listeners)

    async def _carry(self, near: trio.SocketStream) -> None:
        async with near, await self._connect() as far:
            carried = Carried(near, far)
            self._carried.add(carried)
            try:
                with carried.scope:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._pipe, near, far, self.up, carried)
                        nursery.start_soon(self._pipe, far, near, self.down, carried)
            finally:
                self._carried.discard(carried)
                # An orderly end would take another turn; after a reset there is none.
                near.socket.close()
                far.socket.close()

    async def _pipe(self, source: trio.SocketStream, sink: trio.SocketStream, toxics: Toxics, carried: Carried) -> None:
        passed = 0
        try:
            async for part in source:
                for piece in pieces(part, toxics):
                    await trio.sleep(toxics.latency + len(piece) / toxics.bandwidth)
                    if toxics.timeout:
                        continue
                    room = max(0, toxics.limit_data - passed)
                    await sink.send_all(piece[: int(min(room, len(piece)))])
                    passed += len(piece)
                    if passed >= toxics.limit_data:
                        carried.scope.cancel()
        except GONE:
            pass
        if toxics.timeout:
            await trio.sleep_forever()
        await trio.sleep(toxics.slow_close)
        carried.scope.cancel()


def pieces(part: bytes | bytearray, toxics: Toxics) -> list[bytes]:
    return [bytes(part[at : at + toxics.slice]) for at in range(0, len(part), toxics.slice)]


@asynccontextmanager
async def bad_line(daemon: Daemon) -> AsyncIterator[BadLine]:
    """A line that is good until toxics are set."""
    host, _, rest = daemon.addresses.socket.removeprefix("ws://").partition(":")
    async with open_line(partial(trio.open_tcp_stream, host, int(rest.partition("/")[0]))) as line:
        yield line


@asynccontextmanager
async def line_to_postgres(dsn: str) -> AsyncIterator[tuple[BadLine, str]]:
    """A line to the Unix socket of a server, and the dsn that uses it."""
    parts = urlsplit(dsn)
    folder = parse_qs(parts.query)["host"][0]
    async with open_line(partial(trio.open_unix_socket, f"{folder}/.s.PGSQL.5432")) as line:
        yield line, f"postgresql://{parts.username}@{line.host}:{line.port}{parts.path}"


@asynccontextmanager
async def open_line(connect: Connect) -> AsyncIterator[BadLine]:
    async with trio.open_nursery() as nursery:
        line = BadLine(connect)
        await nursery.start(line.serve)
        yield line
        nursery.cancel_scope.cancel()
