"""Rejections of connections that were just accepted, without a task for each: most connections of an overload.

The answer is written at once. Then the socket is read until the peer disconnects, because closing with unread data
would destroy the answer (RFC 9112, section 9.6); a peer that stays for LINGER_S is disconnected.
"""

import socket
from itertools import takewhile
from typing import ClassVar

import trio

from chatd.gateway.admission import Slot
from chatd.gateway.reactor import Reactor
from chatd.gateway.transport import READ_SIZE

LINGER_S = 1.0
DRAIN_POLL_S = 0.02


class RejectedPeer:
    """A socket with a written answer. `slot` is released when it is closed. See `reactor.Source`."""

    __slots__ = ("_rejections", "ends_at", "slot", "sock")
    has_dear_end: ClassVar[bool] = False

    def __init__(self, rejections: "EarlyRejections", sock: socket.socket, slot: Slot, ends_at: float) -> None:
        self._rejections = rejections
        self.sock = sock
        self.slot = slot
        self.ends_at = ends_at

    async def on_ready(self, *, ended: bool) -> bool:
        try:
            data = self.sock.recv(READ_SIZE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._rejections.close(self)
        return len(data) == READ_SIZE


class EarlyRejections:
    """The rejected peers of a listener. `run` disconnects those that stay."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        # In the order of `ends_at`.
        self._peers: dict[RejectedPeer, None] = {}
        self._added = trio.Event()

    def reject(self, sock: socket.socket, response: bytes, slot: Slot) -> None:
        """Answer, and own the socket from now on."""
        peer = RejectedPeer(self, sock, slot, trio.current_time() + LINGER_S)
        try:
            sock.send(response)
            sock.shutdown(socket.SHUT_WR)
            self._reactor.register(sock, peer)
        except OSError:
            slot.release()
            sock.close()
        else:
            self._peers[peer] = None
            self._added.set()

    def close(self, peer: RejectedPeer) -> None:
        del self._peers[peer]
        self._reactor.unregister(peer.sock)
        peer.sock.close()
        peer.slot.release()

    async def run(self) -> None:
        """Disconnect peers at their time, for ever."""
        while True:
            if not self._peers:
                self._added = trio.Event()
                await self._added.wait()
            await trio.sleep_until(next(iter(self._peers)).ends_at)
            self._close_due(trio.current_time())

    def _close_due(self, now: float) -> None:
        for peer in tuple(takewhile(lambda peer: peer.ends_at <= now, self._peers)):
            self.close(peer)

    async def drain(self) -> None:
        """Wait until all have disconnected."""
        while self._peers:
            await trio.sleep(DRAIN_POLL_S)

    def close_all(self) -> None:
        for peer in tuple(self._peers):
            self.close(peer)
