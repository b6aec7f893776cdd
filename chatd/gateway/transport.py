"""Transports below the fast path: a non-blocking socket, or any Trio stream where there is no socket (TLS, tests)."""

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import trio

READ_SIZE = 65536
# writev takes at most IOV_MAX buffers (1024 on Linux); more than a few dozen gain nothing.
MAX_BUFFERS = 64
# Bytes of one system call: copying 3 MB would take 5 ms.
MAX_WRITE_BYTES = 262_144
Data = bytes | memoryview
Frames = Callable[[], Sequence[Data]]


class Transport(Protocol):
    """Reads, and writes that may take less than given.

    Raises OSError or trio.BrokenResourceError if the peer is gone.
    """

    async def read(self) -> bytes:
        """Return some bytes, or b"" at the end."""

    def write_nowait(self, data: Data) -> int:
        """Write without waiting. Returns the number of bytes taken."""

    async def write(self, frames: Frames) -> int:
        """Wait until the socket is writable, then call `frames` and write them. Returns the number of bytes written."""

    def finish(self) -> None:
        """Shut down the sending direction."""

    async def aclose(self) -> None: ...


class SocketTransport:
    """A connected, non-blocking socket, owned by this object."""

    __slots__ = ("_socket",)

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    async def read(self) -> bytes:
        while self._socket.fileno() >= 0:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(READ_SIZE)
            except BlockingIOError:
                continue
        raise trio.ClosedResourceError

    def write_nowait(self, data: Data) -> int:
        try:
            return self._socket.send(data if len(data) <= MAX_WRITE_BYTES else memoryview(data)[:MAX_WRITE_BYTES])
        except BlockingIOError:
            return 0

    async def write(self, frames: Frames) -> int:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError
        await trio.lowlevel.wait_writable(self._socket)
        try:
            return self._socket.sendmsg(frames())
        except BlockingIOError:
            return 0

    def finish(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


class StreamTransport:
    """Any Trio stream. It cannot write without waiting, so the writer task of the queue writes everything."""

    __slots__ = ("_stream",)

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def read(self) -> bytes:
        return bytes(await self._stream.receive_some(READ_SIZE))

    def write_nowait(self, data: Data) -> int:
        return 0

    async def write(self, frames: Frames) -> int:
        data = b"".join(frames())
        await self._stream.send_all(data)
        return len(data)

    def finish(self) -> None:
        """Do nothing: a Trio stream cannot end in one direction only."""

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)
