"""Runs Hypercorn in this process, on a socket that chatd has opened.

Hypercorn parses HTTP. This module accepts and ends the connections, because an error in Hypercorn's own `serve` would
end the daemon:

* An exception in one connection ends `serve`: one upgrade with a non-ASCII byte in `Connection` is enough. So each
  connection has a guard.
* The writes of Hypercorn are shielded from cancellation: a peer that does not read would block them forever. So a write
  has a deadline (see `stream`), and at the end the sockets are closed, which ends the writes that still wait.

One server runs from the first connection to the last; its application is replaced when the node is ready. A hand-over
between two servers would end the connections that the first one has accepted.
"""

import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config as Hypercorn
from hypercorn.typing import ASGIFramework, ConnectionState
from msgspec import Struct

from chatd.app.listening import Acceptor
from chatd.core import log
from chatd.core.addresses import bucket, is_trusted, parse_networks
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.health import Health, Sparse
from chatd.http.asgi_guard import PEER
from chatd.http.hypercorn_patches import SteadyContext, SteadyServer, error_answer
from chatd.http.requests_under_way import RequestsUnderWay
from chatd.http.slots import counted
from chatd.http.stream import LINGER_S, WRITE_TIMEOUT_S, BoundedStream

LOG = log.get(__name__)

READ_TIMEOUT_S = 30.0
# For the responses to requests that are cancelled when the server stops.
LAST_ANSWERS_S = 2 * LINGER_S
MAX_HEAD_BYTES = 16_384
# Time for the peer to read that response; and `Retry-After`.
REFUSAL_TIMEOUT_S = 1.0
RETRY_S = 1


class ServerTunables(Struct, frozen=True, kw_only=True):
    """Times and limits of the HTTP server.

    `keep_alive_s`: maximum silence of a connection, and maximum time for the head of its first request.
    `read_timeout_s`: maximum time between two parts of a request.
    `write_timeout_s`: see `BoundedStream`.

    Connections over a limit get 429 or 503, and are closed after the peer has read it. `max_refusals_per_address` and
    `max_refusals`: the maximum number of such responses at the same time; further connections are closed without a
    response.
    """

    keep_alive_s: float = 30.0
    read_timeout_s: float = READ_TIMEOUT_S
    write_timeout_s: float = WRITE_TIMEOUT_S
    max_connections: int = 4096
    max_refusals_per_address: int = 100
    max_refusals: int = 1000


TUNABLES = ServerTunables()


def hypercorn_config(tunables: ServerTunables) -> Hypercorn:
    config = Hypercorn()
    config.keep_alive_timeout = tunables.keep_alive_s
    config.read_timeout = tunables.read_timeout_s  # type: ignore[assignment]
    config.h11_max_incomplete_size = MAX_HEAD_BYTES
    config.websocket_max_message_size = MAX_HEAD_BYTES
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = LOG
    return config


@asynccontextmanager
async def open_http(
    app: ASGIFramework,
    listener: socket.socket,
    config: Config | None = None,
    health: Health | None = None,
    tunables: ServerTunables = TUNABLES,
) -> AsyncIterator["Server"]:
    """Serve on a listening socket until `Server.finish`, or until the block ends; close the socket. Installs no signal
    handlers.

    Connections that are open when the block ends are aborted, or get a response if it ends with an exception.
    """
    async with trio.open_nursery() as nursery:
        server = Server(app, config or Config(), listener, nursery, tunables)
        nursery.start_soon(server.acceptor.run, health or Health())
        try:
            yield server
        except Exception:
            await server.finish(trio.current_time())
            raise
        finally:
            server.cut()
            nursery.cancel_scope.cancel()


class Server:
    """The connections of the HTTP port."""

    def __init__(
        self,
        app: ASGIFramework,
        config: Config,
        listener: socket.socket,
        connections: trio.Nursery,
        tunables: ServerTunables,
    ) -> None:
        self.requests = RequestsUnderWay(app)
        self._app = ASGIWrapper(cast(ASGIFramework, self.requests))
        self._hypercorn = hypercorn_config(tunables)
        self._context = SteadyContext()
        self._connections = connections
        self._tunables = tunables
        self.acceptor = Acceptor("http", listener, self._start)
        self._streams: set[trio.SocketStream] = set()
        self._per_address: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._most_per_address = config.limits.connections_per_address
        self._answer_timeout = config.http.answer_timeout
        self._unbounded = parse_networks([*config.gateway.trusted_proxies, *config.http.backends])
        self._empty = trio.Event()
        self._turned_away = Sparse(LOG, "address")

    def _start(self, connection: socket.socket) -> None:
        self.serve(connection, b"")

    def serve(self, connection: socket.socket, received: bytes) -> None:
        """Serve a connection, of which these bytes were received already."""
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(connection))
        self._connections.start_soon(self._guarded, stream, received)

    async def _guarded(self, stream: trio.SocketStream, received: bytes) -> None:
        """Serve a connection. An exception is logged once and ends only this connection."""
        self._streams.add(stream)
        try:
            await self._admitted(stream, received)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except* Exception as group:
            LOG.warning("a connection failed", exc_info=group)
        finally:
            stream.socket.close()
            self._streams.discard(stream)
            if not self._streams:
                self._empty.set()

    async def _admitted(self, stream: trio.SocketStream, received: bytes) -> None:
        """Serve the connection if the limits allow it.

        Proxies and backends have many clients and no limit per address.
        """
        peer = stream.socket.getpeername()[0]
        key = "" if is_trusted(peer, self._unbounded) else bucket(peer)
        if key and self._per_address[key] >= self._most_per_address:
            full = Refused(
                "rate_limited", "too many connections from your address; see http.backends", retry_after=RETRY_S
            )
        elif self._per_address.total() >= self._tunables.max_connections:
            full = Refused("unavailable", "too many connections", retry_after=RETRY_S)
        else:
            with counted(self._per_address, key), trio.CancelScope() as scope:
                write_timeout_s = self._tunables.write_timeout_s
                await self._serve(
                    BoundedStream(
                        stream, scope, self._answer_timeout, write_timeout_s=write_timeout_s, received=received
                    )
                )
            return
        self._turned_away.log(f"{full.message}; one was rejected", key)
        limits = self._tunables
        if self._refusals[key] < limits.max_refusals_per_address and self._refusals.total() < limits.max_refusals:
            with counted(self._refusals, key):
                await reject(stream, full)

    async def _serve(self, peer: BoundedStream) -> None:
        await SteadyServer(
            self._app, self._hypercorn, self._context, ConnectionState({PEER: peer}), cast(Any, peer)
        ).run()

    def announce_end(self) -> None:
        """Close each connection after its next response, so that no client sends another request on it."""
        self._hypercorn.keep_alive_max_requests = 0

    async def finish(self, deadline: float) -> None:
        """Stop accepting, wait for requests until `deadline`, and cancel the rest. Returns when no connection is left.

        A connection without a request gets a 503 before it is closed, because its request may not have arrived yet.
        """
        self.announce_end()
        self.acceptor.stop()
        self._context.leaving.set()
        await self.acceptor.closed.wait()
        with trio.move_on_at(deadline):
            await self._all_closed()
        self.requests.end()
        with trio.move_on_after(LAST_ANSWERS_S):
            await self._all_closed()
        self.cut()

    async def _all_closed(self) -> None:
        while self._streams:
            self._empty = trio.Event()
            await self._empty.wait()

    def cut(self) -> None:
        """Abort all connections."""
        for stream in self._streams:
            stream.socket.close()


async def reject(stream: trio.SocketStream, refused: Refused) -> None:
    """Respond without an application, and read for a moment: closing with unread bytes would discard the response."""
    status = HTTPStatus(refused.row.status)
    head, body = error_answer(refused)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in head), "", ""]
    with trio.move_on_after(REFUSAL_TIMEOUT_S):
        await stream.send_all("\r\n".join(lines).encode() + body)
        await stream.send_eof()
        async for _ in stream:
            pass
