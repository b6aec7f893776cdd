"""The reactor: one task receives for all sockets of a listener.

In Trio each read of a socket costs the wake-up of a task and two calls of `epoll_ctl`. Here every socket is registered
once, edge-triggered, in an epoll of the reactor, and Trio waits for that epoll alone. In one turn the reactor serves
the sockets that are ready: it receives from each once, and gives the bytes to the connection, which handles there what
waits for nothing. Whatever else arrives wakes the connection's own task.

A turn ends after TURN_S, or after POLLS_PER_TURN times MAX_READY sockets, so that other tasks run. A socket with more
data than one call returns is served again in the next round, after the others. Peers that disconnect wait in a queue,
of which a turn serves ENDS_PER_TURN: the end of a session costs more than a message, and when thousands disconnect at
once, those who stay must not wait for them.

There is no epoll outside Linux: the sockets are then read by their own tasks (see `transport.SocketTransport`).
"""

import select
import socket
import sys
from itertools import islice
from time import perf_counter
from typing import ClassVar, Protocol

import trio

from chatd.gateway.cork import Cork

# Sockets that are served between two calls of epoll_wait.
MAX_READY = 64
POLLS_PER_TURN = 8
TURN_S = 0.002
ENDS_PER_TURN = 8
# The events of a peer that disconnects: no other event will follow.
ENDED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR if sys.platform == "linux" else 0


class Source(Protocol):
    """What reads from a registered socket. `has_dear_end`: its end has to wait for its turn."""

    has_dear_end: ClassVar[bool]

    async def on_ready(self, *, ended: bool) -> bool:
        """Receive once and handle it. `ended`: the peer has shut its side down, and no other event will follow.

        Returns whether there may be more to receive now. Never raises.
        """
        ...


class Reactor:
    """Receives for many sockets: `register` sockets, and `run` until cancelled; `close` it at the end."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.cork = Cork()
        self._sources: dict[int, Source] = {}
        # Sockets that may have more data than was received.
        self._unfinished: list[int] = []
        # Sockets whose peers have disconnected, in that order.
        self._ended: dict[int, None] = {}

    def register(self, sock: socket.socket, source: Source) -> None:
        """Serve the socket from now on."""
        self._epoll.register(sock, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
        self._sources[sock.fileno()] = source

    def unregister(self, sock: socket.socket) -> None:
        """Call it before the socket is closed."""
        if self._sources.pop(sock.fileno(), None) is not None:
            self._ended.pop(sock.fileno(), None)
            self._epoll.unregister(sock)

    async def run(self) -> None:
        """Run forever, also after an error."""
        while True:
            if self._unfinished or self._ended:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(self._epoll)
            self.cork.put_in()
            try:
                await self._turn()
            finally:
                self.cork.pull()

    def close(self) -> None:
        """Call it when nothing is registered any more."""
        self._epoll.close()

    async def _turn(self) -> None:
        ends = perf_counter() + TURN_S
        for _ in range(POLLS_PER_TURN):
            unfinished, self._unfinished = self._unfinished, []
            ready = self._epoll.poll(0, MAX_READY)
            for fd, mask in ready:
                if mask & ENDED and self._has_dear_end(fd):
                    self._ended[fd] = None
                else:
                    await self._serve(fd, ended=bool(mask & ENDED))
            for fd in unfinished:
                await self._serve(fd, ended=False)
            if not (ready or unfinished) or perf_counter() >= ends:
                break
        for fd in tuple(islice(self._ended, ENDS_PER_TURN)):
            self._ended.pop(fd, None)
            await self._serve(fd, ended=True)

    def _has_dear_end(self, fd: int) -> bool:
        source = self._sources.get(fd)
        return source is not None and source.has_dear_end

    async def _serve(self, fd: int, *, ended: bool) -> None:
        source = self._sources.get(fd)
        if source is not None and await source.on_ready(ended=ended):
            self._unfinished.append(fd)


def open_reactor() -> Reactor | None:
    """A reactor, or None where the system has no epoll."""
    return Reactor() if sys.platform == "linux" else None
