"""The socket door: accept, let in, guard.

The guard is the first thing around every connection: whatever a peer or a bug does in there, the connection ends, it is logged
once, and everybody else is served. (Plain `serve_websocket` ends the process from one packet.)
"""

import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_server_stream

from chatd.app.listening import Acceptor
from chatd.core import log
from chatd.core.addresses import client_address, is_trusted, parse_networks
from chatd.core.config import Gateway
from chatd.core.health import Health, Sparse
from chatd.gateway.admission import Admission, Full
from chatd.gateway.fast_path import Lane
from chatd.gateway.handshake import Handshake, Rejected, handshake_of, is_allowed_origin, read_head
from chatd.gateway.send_queue import Outbox
from chatd.gateway.transport import READ_SIZE, SocketTransport

LOG = log.get(__name__)
Guest = TypeVar("Guest")


@dataclass(frozen=True, slots=True)
class House(Generic[Guest]):
    """What the door is told: who may come in, what to speak with them, and what to do with them then.

    `authenticate` raises Rejected. `choose` names the subprotocol to answer, or None. `serve` ends when the connection does.
    """

    authenticate: Callable[[Handshake], Awaitable[Guest]]
    choose: Callable[[Handshake], str | None]
    serve: Callable[[WebSocketConnection, Lane, Handshake, Guest], Awaitable[None]]


class Listener(Generic[Guest]):
    """One listening socket, and the connections that came through it."""

    def __init__(
        self, sock: socket.socket, settings: Gateway, admission: Admission, house: House[Guest], health: Health | None = None
    ) -> None:
        self._settings = settings
        self._admission = admission
        self._house = house
        self._health = health or Health()
        self._proxies = parse_networks(settings.trusted_proxies)
        self._acceptor = Acceptor("gateway", sock, self._start)
        self._connections: trio.Nursery | None = None
        # Handshakes whose head is being read; and, when the process leaves, after how many seconds to come back.
        self._reading: set[trio.CancelScope] = set()
        self._retry_after_s: int | None = None
        self._refused_origins = Sparse(LOG, "origin")

    def stop_accepting(self, retry_after_s: int = 1) -> None:
        """Refuse who is not connected yet. The connected ones stay."""
        self._retry_after_s = retry_after_s
        for handshake in self._reading:
            handshake.cancel()
        self._acceptor.stop()

    async def run(self) -> None:
        """Accept until told otherwise; return when the last connection has ended."""
        async with trio.open_nursery() as self._connections:
            await self._acceptor.run(self._health)

    def _start(self, sock: socket.socket) -> None:
        assert self._connections is not None
        self._connections.start_soon(self._guarded, sock)

    async def _guarded(self, sock: socket.socket) -> None:
        peer = ""
        try:
            peer = sock.getpeername()[0]
            await self._knock(sock, peer)
        except* (ConnectionClosed, HandshakeError, trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass
        except* Exception as group:
            LOG.error("a connection failed", exc_info=group, extra={"peer": peer})
        finally:
            sock.close()

    async def _knock(self, sock: socket.socket, peer: str) -> None:
        """Who comes through a proxy is counted under the address that the proxy names: see `_read`."""
        try:
            if not is_trusted(peer, self._proxies):
                self._admission.check_rate(peer)
        except Full as full:
            self._admission.refused["unavailable"] += 1
            place = self._admission.turned_away(peer)
            if place is not None:
                with place:
                    await turn_away(sock, too_many(full).response())
        else:
            await self._connection(sock, peer)

    async def _connection(self, sock: socket.socket, peer: str) -> None:
        async with trio.open_nursery() as nursery:
            transport = SocketTransport(sock)
            outbox = Outbox(
                transport, nursery, self._settings.outbox_bytes, self._settings.outbox_frames, self._settings.stall_timeout
            )
            lane = Lane(transport, outbox)
            try:
                await self._visit(nursery, lane, peer)
            except Rejected as rejected:
                await self._refuse(lane, rejected)
            except Full as full:
                await self._refuse(lane, too_many(full))
            finally:
                await trio.aclose_forcefully(lane)
                nursery.cancel_scope.cancel()

    async def _refuse(self, lane: Lane, rejected: Rejected) -> None:
        self._admission.refused[rejected.code] += 1
        LOG.debug("a handshake was refused", extra={"code": rejected.code, "why": rejected.message})
        await refuse(lane, rejected)

    async def _visit(self, nursery: trio.Nursery, lane: Lane, peer: str) -> None:
        """From the first byte to the last. A place among the connections is kept until the end."""
        with ExitStack() as place:
            with self._admission.pending(peer, is_proxy=is_trusted(peer, self._proxies)):
                arrived = await self._arrive(nursery, lane, peer, place)
            if arrived is not None:
                await arrived()

    async def _arrive(
        self, nursery: trio.Nursery, lane: Lane, peer: str, place: ExitStack
    ) -> Callable[[], Awaitable[None]] | None:
        """The handshake; what comes after it, or None when the peer hung up or was too slow.

        Its time is for what the peer has to do: how long we take to sign somebody in is not the peer's fault.
        """
        handshake = await self._read(lane, peer)
        if handshake is None:
            return None
        place.enter_context(self._admission.connected(handshake.address))
        async with self._admission.turn():
            guest = await self._authenticate(handshake)
        with trio.move_on_after(self._settings.handshake_timeout):
            connection = await self._upgrade(nursery, lane, handshake)
            self._admission.accepted += 1
            return partial(self._house.serve, connection, lane, handshake, guest)
        self._admission.refused["timeout"] += 1
        return None

    async def _authenticate(self, handshake: Handshake) -> Guest:
        """Raises Rejected, which counts against the address: whoever is refused again and again is heard less."""
        try:
            return await self._house.authenticate(handshake)
        except Rejected:
            self._admission.charge(handshake.address)
            raise

    async def _read(self, lane: Lane, peer: str) -> Handshake | None:
        head = b""
        with trio.move_on_after(self._settings.handshake_timeout) as patience, self._until_leaving(patience):
            head = await read_head(lane)
        if not head and self._retry_after_s is not None:
            headers = {"Retry-After": str(self._retry_after_s)}
            raise Rejected(503, "maintenance", "the server is about to stop", headers=headers)
        self._admission.refused["timeout"] += patience.cancelled_caught
        if not head:
            return None
        handshake = handshake_of(head, peer)
        forwarded = handshake.headers.get("x-forwarded-for", "")
        handshake = handshake.at(client_address(peer, forwarded, self._proxies))
        if is_trusted(peer, self._proxies):
            self._admission.check_rate(handshake.address)
        if handshake.path != self._settings.path:
            raise Rejected(404, "not_found", f"the WebSocket is at {self._settings.path}")
        if not is_allowed_origin(handshake.origin, self._settings.origins, required=self._settings.require_origin):
            self._refused_origins.log("an origin was refused; see gateway.origins", handshake.origin or "none")
            raise Rejected(403, "forbidden", "this origin may not connect; see gateway.origins")
        lane.replace_head(len(head), handshake.head_for(self._house.choose(handshake)))
        return handshake

    @contextmanager
    def _until_leaving(self, scope: trio.CancelScope) -> Iterator[None]:
        self._reading.add(scope)
        if self._retry_after_s is not None:
            scope.cancel()
        try:
            yield
        finally:
            self._reading.discard(scope)

    async def _upgrade(self, nursery: trio.Nursery, lane: Lane, handshake: Handshake) -> WebSocketConnection:
        request = await wrap_server_stream(nursery, lane, message_queue_size=1, max_message_size=self._settings.max_message_bytes)
        return await request.accept(subprotocol=self._house.choose(handshake))


def too_many(full: Full) -> Rejected:
    return Rejected(503, "unavailable", str(full), headers={"Retry-After": str(full.retry_after)})


async def turn_away(sock: socket.socket, response: bytes) -> None:
    """As `refuse`, but with nothing made for the connection: in a storm this is done to most. Raises OSError."""
    with trio.move_on_after(1):
        sock.send(response)
        sock.shutdown(socket.SHUT_WR)
        await trio.lowlevel.wait_readable(sock)
        while sock.recv(READ_SIZE):
            await trio.lowlevel.wait_readable(sock)


async def refuse(lane: Lane, rejected: Rejected) -> None:
    """Answer, and read on for a moment: closing with unread bytes would take the answer back (RFC 9112, section 9.6)."""
    with trio.move_on_after(1):
        lane.send_nowait(rejected.response())
        await lane.linger()


async def say_goodbye(connection: WebSocketConnection, code: int, reason: str, timeout: float) -> None:
    """Close with a code; a peer that does not answer in time is left standing. A reason has at most 123 bytes."""
    with trio.move_on_after(timeout):
        await connection.aclose(code, reason.encode()[:120].decode(errors="ignore"))
