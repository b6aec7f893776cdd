"""Listening sockets, and the accept loop of both servers.

The kernel resets established connections that were not accepted when their listening socket is closed: the client would
be cut off without an answer. So `Acceptor.stop` first makes the kernel drop new connection requests (the client repeats
them, and reaches another process on the port or is refused), then accepts the established ones, and closes after that.
"""

import ctypes
import errno
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from logging import ERROR

import trio

from chatd.core.health import Condition, Health

# Errors of accept(2) that are not about the listening socket.
PASSING = {errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.EHOSTDOWN, errno.ENONET, errno.EHOSTUNREACH}
FULL = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
# Pause before the next accept when descriptors or memory run out.
RETRY_S = 0.1
ACCEPTS_PER_TURN = 64
# Time for connections that are half established when accepting stops.
ESTABLISHING_S = 0.2
# Linux: a classic BPF program that drops segments with SYN and without ACK. It sees a segment from its TCP header on.
SO_ATTACH_FILTER = 26
DROP_SYN = [
    (0x30, 0, 0, 13),  # load the flags
    (0x54, 0, 0, 0x12),  # of these SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFF_FFFF),  # accept
]


def open_listener(host: str, port: int, backlog: int, *, reuse_port: bool = False) -> socket.socket:
    """A listening socket. Raises OSError, with the address in its text."""
    listener = bound(host, port, reuse_port=reuse_port)
    listener.listen(backlog)
    listener.setblocking(False)
    return listener


def bound(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    """A socket that is bound to the address, but does not listen.

    With `reuse_port`, others may bind it too. Raises OSError.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


class Acceptor:
    """Accepts connections of one listening socket until `stop`. `serve` starts the work on a connection."""

    def __init__(self, name: str, listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
        self._name = name
        self._listener = listener
        self._serve = serve
        self._scope = trio.CancelScope()
        self._descriptors = Condition(f"accepting at {name}")
        self.closed = trio.Event()

    async def run(self, health: Health) -> None:
        """Accept connections until the listening socket is closed."""
        with self._listener:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    health.start(nursery, f"{self._name} accept", self.accept)
            with suppress(OSError):
                self._accept_established(socket.SOMAXCONN)
        self.closed.set()

    def stop(self) -> None:
        """Serve the established connections, refuse later ones."""
        drop_connection_requests(self._listener)
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + ESTABLISHING_S)

    async def accept(self) -> None:
        """Accept several at a time: in a storm the queue of the kernel must drain before its clients time out."""
        while True:
            await trio.lowlevel.wait_readable(self._listener)
            try:
                self._accept_established(ACCEPTS_PER_TURN)
            except OSError as error:
                if error.errno not in FULL:
                    raise
                self._descriptors.fail(error, level=ERROR, fix="raise the limit of open files (ulimit -n)")
                await trio.sleep(RETRY_S)

    def _accept_established(self, at_most: int) -> None:
        """Accept the established connections. Raises OSError if descriptors or memory run out."""
        for _ in range(at_most):
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if isinstance(error, BlockingIOError) or error.errno in PASSING:
                    return
                raise
            self._descriptors.recover()
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._serve(connection)


def drop_connection_requests(listener: socket.socket) -> None:
    """Make the kernel drop new connection requests, if the system supports it. Otherwise, connections between the last
    accept and the close are reset.
    """
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in DROP_SYN))
    with suppress(OSError):
        filters = struct.pack("HP", len(DROP_SYN), ctypes.addressof(program))
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filters)
