"""Transports below the fast path: a non-blocking socket, or any Trio stream where there is no socket (TLS, tests)."""

import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import ClassVar, Protocol

import outcome
import trio

from chatd.gateway.cork import NO_CORK, Cork
from chatd.gateway.reactor import Reactor

READ_SIZE = 65536
# writev takes at most IOV_MAX buffers (1024 on Linux); more than a few dozen gain nothing.
MAX_BUFFERS = 64
# Bytes of one system call: copying 3 MB would take 5 ms.
MAX_WRITE_BYTES = 262_144
Data = bytes | memoryview
Frames = Callable[[], Sequence[Data]]
Handle = Callable[[bytes], Awaitable[bool]]


class Transport(Protocol):
    """Reads and writes bytes. A write may accept only some of them.

    Raises OSError or trio.BrokenResourceError if the peer is gone. `cork`: see `Cork`.
    """

    @property
    def cork(self) -> Cork: ...

    async def read(self, handle: Handle | None = None) -> bytes | None:
        """Return some bytes, or b"" at the end.

        `handle` may be called with bytes in place of a return. It handles them at once and returns True, and the read
        continues; or it keeps them and returns False, and the read returns None.
        """

    @property
    def write_nowait(self) -> Callable[[Data], int]:
        """Writes at most MAX_WRITE_BYTES without waiting. Returns the bytes taken, or raises BlockingIOError."""

    async def write(self, frames: Frames) -> int:
        """Wait until the socket is writable, then call `frames` and write them. Returns the number of bytes written."""

    def finish(self) -> None:
        """Shut down the sending direction."""

    async def aclose(self) -> None: ...


class SocketTransport:
    """A connected, non-blocking socket, owned by this object and read by its own task."""

    __slots__ = ("_socket", "cork", "write_nowait")

    def __init__(self, sock: socket.socket, cork: Cork = NO_CORK) -> None:
        self._socket = sock
        self.cork = cork
        self.write_nowait: Callable[[Data], int] = sock.send

    async def read(self, handle: Handle | None = None) -> bytes | None:
        while self._socket.fileno() >= 0:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(READ_SIZE)
            except BlockingIOError:
                continue
        raise trio.ClosedResourceError

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


class ReactorTransport(SocketTransport):
    """A socket that the reactor receives from. `read` is called by one task at a time."""

    __slots__ = ("_handle", "_has_ended", "_is_readable", "_is_registered", "_reactor", "_reader")
    has_dear_end: ClassVar[bool] = True

    def __init__(self, sock: socket.socket, reactor: Reactor) -> None:
        super().__init__(sock, reactor.cork)
        self._reactor = reactor
        # The task that waits in `read`, and the handler that it passed.
        self._reader: trio.lowlevel.Task | None = None
        self._handle: Handle | None = None
        # Events are edge-triggered: whether there may be data since the last one; and whether it was the last one.
        self._is_readable = self._has_ended = False
        self._is_registered = False

    async def read(self, handle: Handle | None = None) -> bytes | None:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError
        if not self._is_registered:
            # The request has usually arrived before the task of its connection runs.
            data = self._receive()
            if data is not None:
                return data
            self._register()
        if self._is_readable:
            await trio.lowlevel.checkpoint()
            data = self._receive()
            if data is not None:
                return data
        self._reader, self._handle = trio.lowlevel.current_task(), handle
        received: bytes | None = await trio.lowlevel.wait_task_rescheduled(self._abort)
        return received

    def _register(self) -> None:
        self._reactor.register(self._socket, self)
        self._is_registered = True

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._reader = self._handle = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _wake(self, result: outcome.Outcome[bytes | None]) -> None:
        reader, self._reader, self._handle = self._reader, None, None
        if reader is not None:
            trio.lowlevel.reschedule(reader, result)

    def _receive(self) -> bytes | None:
        """Receive once. Returns None if there is nothing yet. A short read has emptied the socket (epoll(7))."""
        try:
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            self._is_readable = False
            return None
        self._is_readable = self._has_ended or len(data) == READ_SIZE
        return data

    async def on_ready(self, *, ended: bool) -> bool:
        """See `reactor.Source`."""
        self._is_readable, self._has_ended = True, self._has_ended or ended
        if self._reader is None:
            return False
        try:
            data = self._receive()
            if data is None:
                return False
            if not data or self._handle is None:
                self._wake(outcome.Value(data))
            elif not await self._handle(data):
                self._wake(outcome.Value(None))
        except Exception as error:
            self._wake(outcome.Error(error))
        return self._is_readable and self._reader is not None

    async def aclose(self) -> None:
        if self._socket.fileno() >= 0:
            self._reactor.unregister(self._socket)
            self._wake(outcome.Error(trio.ClosedResourceError()))
        await super().aclose()


class StreamTransport:
    """Any Trio stream. It cannot write without waiting, so the writer task of the queue writes everything."""

    __slots__ = ("_stream", "cork")

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.cork = NO_CORK

    async def read(self, handle: Handle | None = None) -> bytes | None:
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
