"""The WebSocket listener: accepts connections, admits them, and guards each one.

Whatever a peer or a bug does inside the guard, only this connection ends, with one log entry. (With plain
`serve_websocket` a single packet can end the process.)
"""

import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from typing import Any, Generic, Protocol, TypeVar

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_server_stream

from chatd.app.listening import Acceptor
from chatd.core import log
from chatd.core.addresses import client_address, is_trusted, parse_networks
from chatd.core.config import Gateway
from chatd.core.health import Health, Sparse
from chatd.gateway.admission import Admission, Overloaded, Slot
from chatd.gateway.early_rejections import LINGER_S, EarlyRejections
from chatd.gateway.fast_path import FastPathStream
from chatd.gateway.handshake import Handshake, Rejected, handshake_of, is_allowed_origin, is_for_path, read_head
from chatd.gateway.reactor import open_reactor
from chatd.gateway.send_queue import SendQueue
from chatd.gateway.transport import READ_SIZE, ReactorTransport, SocketTransport

LOG = log.get(__name__)
Peer = TypeVar("Peer")


# Serves a connection over HTTP, of which these bytes were received.
HandOver = Callable[[socket.socket, bytes], None]


class HandedOver(Exception):
    """Another server serves the connection."""


class Endpoint(Protocol[Peer]):
    """Authenticates the peers of a listener and serves them."""

    async def authenticate(self, handshake: Handshake) -> Peer:
        """Return what `serve` needs to know of the peer. Raises Rejected."""
        ...

    def choose_subprotocol(self, handshake: Handshake) -> str | None:
        """The subprotocol to answer, if any."""
        ...

    async def serve(self, stream: FastPathStream, handshake: Handshake, peer: Peer) -> None:
        """Answer the handshake by `Handshake.accepted`, and serve until the connection ends."""
        ...


class Listener(Generic[Peer]):
    """A listening socket and its connections."""

    def __init__(
        self,
        sock: socket.socket,
        settings: Gateway,
        admission: Admission,
        endpoint: Endpoint[Peer],
        health: Health | None = None,
        hand_over: HandOver | None = None,
    ) -> None:
        """`hand_over` gets the connections whose first request is for another path."""
        self._settings = settings
        self._hand_over = hand_over
        self._admission = admission
        self._endpoint = endpoint
        self._health = health or Health()
        self._proxies = parse_networks(settings.trusted_proxies)
        self._acceptor = Acceptor("gateway", sock, self._start)
        self._connections: trio.Nursery | None = None
        self._reactor = open_reactor()
        self._rejections = None if self._reactor is None else EarlyRejections(self._reactor)
        # Handshakes whose head is being read; and once the node drains, after how long those clients retry.
        self._reading: set[trio.CancelScope] = set()
        self._retry_after_s: int | None = None
        self._rejected_origins = Sparse(LOG, "origin")

    def stop_accepting(self, retry_after_s: int = 1) -> None:
        """Reject new connections and unfinished handshakes. Established connections stay."""
        self._retry_after_s = retry_after_s
        for handshake in self._reading:
            handshake.cancel()
        self._acceptor.stop()

    async def run(self) -> None:
        """Accept until `stop_accepting`, and return when the last connection has ended."""
        try:
            async with trio.open_nursery() as nursery:
                if self._reactor is not None and self._rejections is not None:
                    self._health.start(nursery, "reactor", self._reactor.run)
                    self._health.start(nursery, "early rejections", self._rejections.run)
                async with trio.open_nursery() as self._connections:
                    await self._acceptor.run(self._health)
                if self._rejections is not None:
                    await self._rejections.drain()
                nursery.cancel_scope.cancel()
        finally:
            if self._reactor is not None and self._rejections is not None:
                self._rejections.close_all()
                self._reactor.close()

    def _start(self, sock: socket.socket) -> None:
        """Admit a connection, or reject it without a task."""
        assert self._connections is not None
        try:
            peer = sock.getpeername()[0]
        except OSError:
            sock.close()
            return
        is_proxy = is_trusted(peer, self._proxies)
        try:
            if not is_proxy:
                self._admission.check_rate(peer)
            pending = self._admission.pending(peer, is_proxy=is_proxy)
        except Overloaded as overloaded:
            self._reject_early(sock, peer, overloaded, is_proxy=is_proxy)
        else:
            self._connections.start_soon(self._serve_guarded, sock, peer, pending)

    def _reject_early(self, sock: socket.socket, peer: str, overloaded: Overloaded, *, is_proxy: bool) -> None:
        assert self._connections is not None
        self._admission.refused["unavailable"] += 1
        slot = self._admission.rejection_slot(peer, is_proxy=is_proxy)
        if slot is None:
            sock.close()
        elif self._rejections is not None:
            self._rejections.reject(sock, overload_response(str(overloaded), overloaded.retry_after), slot)
        else:
            self._connections.start_soon(reject_early, sock, rejection_of(overloaded).response(), slot)

    async def _serve_guarded(self, sock: socket.socket, peer: str, pending: Slot) -> None:
        try:
            with pending:
                await self._connection(sock, peer, pending)
        except* (ConnectionClosed, HandshakeError, trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass
        except* Exception as group:
            LOG.error("a connection failed", exc_info=group, extra={"peer": peer})
        finally:
            sock.close()

    async def _connection(self, sock: socket.socket, peer: str, pending: Slot) -> None:
        stream: FastPathStream | None = None
        try:
            async with trio.open_nursery() as nursery:
                stream = self._stream(sock, nursery)
                try:
                    await self._serve(nursery, stream, peer, pending)
                except HandedOver:
                    assert self._hand_over is not None
                    # The other server closes its own descriptor.
                    self._hand_over(sock.dup(), bytes(stream.peek()))
                except Rejected as rejected:
                    await self._reject(stream, rejected)
                except Overloaded as overloaded:
                    await self._reject(stream, rejection_of(overloaded))
                finally:
                    await stream.abandon()
                    nursery.cancel_scope.cancel()
        finally:
            if stream is not None:
                stream.break_reference_cycles()

    def _stream(self, sock: socket.socket, nursery: trio.Nursery) -> FastPathStream:
        transport = SocketTransport(sock) if self._reactor is None else ReactorTransport(sock, self._reactor)
        settings = self._settings
        queue = SendQueue(transport, nursery, settings.outbox_bytes, settings.outbox_frames, settings.stall_timeout)
        return FastPathStream(transport, queue)

    async def _reject(self, stream: FastPathStream, rejected: Rejected) -> None:
        self._admission.refused[rejected.code] += 1
        LOG.debug("a handshake was rejected", extra={"code": rejected.code, "why": rejected.message})
        await reject(stream, rejected)

    async def _serve(self, nursery: trio.Nursery, stream: FastPathStream, peer: str, pending: Slot) -> None:
        """Serve from the first byte to the last. Returns at once if the peer disconnected or was too slow."""
        with pending:
            handshake = await self._read_handshake(stream, peer)
            if handshake is None:
                return
            with self._admission.connected(handshake.address):
                serving = await self._authenticate(stream, handshake)
                # Its headers would be kept as long as the session.
                del handshake
                pending.release()
                stream.upgrade = partial(upgrade, nursery, stream, self._settings.max_message_bytes)
                await serving

    async def _authenticate(self, stream: FastPathStream, handshake: Handshake) -> Coroutine[Any, Any, None]:
        """Authenticate the peer. Returns what serves it. Raises Rejected, which is charged to the address."""
        async with self._admission.auth_slot():
            try:
                peer = await self._endpoint.authenticate(handshake)
            except Rejected:
                self._admission.charge(handshake.address)
                raise
        self._admission.accepted += 1
        return self._endpoint.serve(stream, handshake, peer)

    async def _read_handshake(self, stream: FastPathStream, peer: str) -> Handshake | None:
        head = b""
        with trio.move_on_after(self._settings.handshake_timeout) as timeout, self._cancelled_on_stop(timeout):
            head = await read_head(stream)
        if not head and self._retry_after_s is not None:
            headers = {"Retry-After": str(self._retry_after_s)}
            raise Rejected(503, "maintenance", "the server is about to stop", headers=headers)
        self._admission.refused["timeout"] += timeout.cancelled_caught
        if not head:
            return None
        if self._hand_over is not None and not is_for_path(head, self._settings.path):
            raise HandedOver
        handshake = handshake_of(head, peer)
        forwarded = handshake.headers.get("x-forwarded-for", "")
        handshake = handshake.with_address(client_address(peer, forwarded, self._proxies))
        if is_trusted(peer, self._proxies):
            self._admission.check_rate(handshake.address)
        if handshake.path != self._settings.path:
            raise Rejected(404, "not_found", f"the WebSocket is at {self._settings.path}")
        if not is_allowed_origin(handshake.origin, self._settings.origins, required=self._settings.require_origin):
            self._rejected_origins.log("an origin was rejected; see gateway.origins", handshake.origin or "none")
            raise Rejected(403, "forbidden", "this origin may not connect; see gateway.origins")
        stream.consume(len(head))
        stream.head = handshake.head()
        return handshake

    @contextmanager
    def _cancelled_on_stop(self, scope: trio.CancelScope) -> Iterator[None]:
        self._reading.add(scope)
        if self._retry_after_s is not None:
            scope.cancel()
        try:
            yield
        finally:
            self._reading.discard(scope)


async def upgrade(nursery: trio.Nursery, stream: FastPathStream, max_message_bytes: int) -> WebSocketConnection:
    """See `FastPathStream.upgrade`."""
    request = await wrap_server_stream(nursery, stream, message_queue_size=1, max_message_size=max_message_bytes)
    return await request.accept()


def rejection_of(overloaded: Overloaded) -> Rejected:
    return Rejected(503, "unavailable", str(overloaded), headers={"Retry-After": str(overloaded.retry_after)})


@lru_cache(maxsize=256)
def overload_response(message: str, retry_after_s: int) -> bytes:
    """The response of a rejection, of which an overload needs a few, many times."""
    return rejection_of(Overloaded(message, retry_after_s)).response()


async def reject_early(sock: socket.socket, response: bytes, slot: Slot) -> None:
    """The same as `EarlyRejections.reject`, where there is no reactor."""
    with sock, slot, trio.move_on_after(LINGER_S), suppress(OSError):
        sock.send(response)
        sock.shutdown(socket.SHUT_WR)
        await trio.lowlevel.wait_readable(sock)
        while sock.recv(READ_SIZE):
            await trio.lowlevel.wait_readable(sock)


async def reject(stream: FastPathStream, rejected: Rejected) -> None:
    """Answer, then read for a moment: closing with unread data would destroy the answer (RFC 9112, section 9.6)."""
    with trio.move_on_after(LINGER_S):
        stream.send_nowait(rejected.response())
        await stream.linger()
