"""Hypercorn in the same process, on a socket that we opened.

Hypercorn speaks HTTP; accepting and ending connections is done here, because its own `serve` would take the daemon with it:

* An exception of one connection ends it: one upgrade with a non-ASCII byte in `Connection`, or one HTTP/2 path that is not
  ASCII, is enough. So there is a guard around each connection.
* Its writes are shielded from cancellation: a peer that does not read would be waited for, for ever. So a write has a deadline
  (see `peer`), and in the end the sockets are closed under whoever still waits.
"""

import errno
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from logging import ERROR
from typing import Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config as Hypercorn
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState

from chatd import log
from chatd.config import Config
from chatd.domain.addresses import bucket, is_trusted, parse_networks
from chatd.health import Condition, Health, Sparse
from chatd.http.peer import Peer
from chatd.http.steady import SteadyServer

LOG = log.get(__name__)

# Seconds that a connection may be silent, and that the head of its first request may take.
KEEP_ALIVE = 30.0
# Seconds between two parts of a request.
READ_TIMEOUT = 30
# Seconds that requests have to finish when the server stops.
GRACE = 5.0
LONGEST_HEAD = 16_384
MOST_CONNECTIONS = 4096
FULL = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
PAUSE = 0.1


def hypercorn_config() -> Hypercorn:
    config = Hypercorn()
    config.keep_alive_timeout = KEEP_ALIVE
    config.read_timeout = READ_TIMEOUT
    config.h11_max_incomplete_size = LONGEST_HEAD
    config.h2_max_header_list_size = LONGEST_HEAD
    config.h2_max_concurrent_streams = 20
    config.websocket_max_message_size = LONGEST_HEAD
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = LOG
    return config


async def serve_http(
    app: ASGIFramework,
    listener: socket.socket,
    wait_shutdown: Callable[[], Awaitable[None]],
    config: Config | None = None,
    health: Health | None = None,
) -> None:
    """Serve on a listening socket until `wait_shutdown` returns; then finish what is under way.

    It works on a descriptor of its own, so the caller closes `listener`, and asks it for the port. Installs no signal handlers.
    """
    server = Server(app, config or Config())
    door = trio.SocketListener(trio.socket.from_stdlib_socket(listener.dup()))
    async with trio.open_nursery() as connections:
        try:
            async with door, trio.open_nursery() as accepting:
                (health or Health()).start(accepting, "http accept", server.accept, door, connections)
                await wait_shutdown()
                accepting.cancel_scope.cancel()
            with trio.move_on_after(GRACE):
                await server.finish()
        finally:
            server.cut()
            connections.cancel_scope.cancel()


class Server:
    """The connections of one door."""

    def __init__(self, app: ASGIFramework, config: Config) -> None:
        self._app = ASGIWrapper(app)
        self._hypercorn = hypercorn_config()
        self._context = WorkerContext(None)
        self._streams: set[trio.SocketStream] = set()
        self._per_address: Counter[str] = Counter()
        self._most_per_address = config.limits.connections_per_address
        self._proxies = parse_networks(config.gateway.trusted_proxies)
        self._empty = trio.Event()
        self._descriptors = Condition("accepting at the HTTP door")
        self._turned_away = Sparse(LOG, "address")

    async def accept(self, door: trio.SocketListener, connections: trio.Nursery) -> None:
        """Accept until cancelled."""
        while True:
            try:
                stream = await door.accept()
            except OSError as error:
                await self._excuse(error)
            else:
                self._descriptors.recover()
                connections.start_soon(self._guarded, stream)

    async def _excuse(self, error: OSError) -> None:
        """Out of descriptors or memory: wait for some."""
        if error.errno not in FULL:
            raise error
        self._descriptors.fail(error, level=ERROR, fix="raise the limit of open files (ulimit -n)")
        await trio.sleep(PAUSE)

    async def _guarded(self, stream: trio.SocketStream) -> None:
        """Whatever happens in there, the connection ends, it is logged once, and everybody else is served."""
        self._streams.add(stream)
        try:
            await self._admitted(stream)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except* Exception as group:
            LOG.warning("a connection failed", exc_info=group)
        finally:
            stream.socket.close()
            self._streams.discard(stream)
            if not self._streams:
                self._empty.set()

    async def _admitted(self, stream: trio.SocketStream) -> None:
        """Serve, when there is a place. Proxies are many people, so they are not counted by address."""
        peer = stream.socket.getpeername()[0]
        key = "" if is_trusted(peer, self._proxies) else bucket(peer)
        if len(self._streams) > MOST_CONNECTIONS or (key and self._per_address[key] >= self._most_per_address):
            self._turned_away.log("too many connections; one was turned away", bucket(peer))
            return
        self._per_address[key] += 1
        try:
            with trio.CancelScope() as scope:
                await self._serve(Peer(stream, scope))
        finally:
            self._per_address[key] -= 1
            if not self._per_address[key]:
                del self._per_address[key]

    async def _serve(self, peer: Peer) -> None:
        await SteadyServer(self._app, self._hypercorn, self._context, ConnectionState({}), cast(Any, peer)).run()

    async def finish(self) -> None:
        """Let requests end, and those who are idle go; returns when nobody is left."""
        await self._context.terminated.set()
        if self._streams:
            self._empty = trio.Event()
            await self._empty.wait()

    def cut(self) -> None:
        """Close what is still open, under whoever waits for it."""
        for stream in self._streams:
            stream.socket.close()
