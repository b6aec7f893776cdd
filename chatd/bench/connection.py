"""WebSocket connections on non-blocking sockets in one epoll loop.

It uses less CPU than the server: frames are masked with zeros, and one `recv` reads many of them.
"""

import errno
import re
import select
import socket
import time
from typing import Protocol

from chatd.bench.target import Target

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
READ_BYTES = 262_144
NO_STATUS = 1005
RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)


class Owner(Protocol):
    """Gets what arrives on a connection. `now` is the time at which it was read from the socket."""

    def on_open(self, now: float) -> None: ...

    def on_payload(self, payload: bytes, now: float) -> None: ...

    def on_end(self, reason: str, now: float) -> None: ...


def frame(payload: bytes, opcode: int) -> bytes:
    """A client frame. A mask of zeros is valid and needs no XOR."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, 0x80 | size)) + bytes(4) + payload
    if size < 65_536:
        return bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big") + bytes(4) + payload
    return bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big") + bytes(4) + payload


def split(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The opcode and payload of each complete frame, and the rest. The server does not fragment messages."""
    at, frames, end = 0, list[tuple[int, bytes]](), len(data)
    while end - at >= 2:
        size, start = data[at + 1], at + 2
        if size == 126:
            size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif size == 127:
            size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        if end < start + size:
            break
        frames.append((data[at] & 0x0F, data[start : start + size]))
        at = start + size
    return frames, data[at:]


class Loop:
    """One epoll for all connections."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}

    def watch(self, connection: "Connection", events: int) -> None:
        number = connection.sock.fileno()
        if number in self._connections:
            self._epoll.modify(number, events)
        else:
            self._connections[number] = connection
            self._epoll.register(number, events)

    def forget(self, connection: "Connection") -> None:
        number = connection.sock.fileno()
        if self._connections.pop(number, None):
            self._epoll.unregister(number)

    def turn(self, wait_s: float) -> None:
        """Handle what has arrived; wait for it for at most `wait_s`.

        `epoll_wait` rounds up to milliseconds, and `select` does not, so it is `select` that waits for the epoll.
        """
        if wait_s > 0:
            select.select([self._epoll], [], [], wait_s)
        for number, events in self._epoll.poll(0):
            # An earlier one of this turn may have ended it.
            if connection := self._connections.get(number):
                connection.on_events(events)

    def close(self) -> None:
        for connection in list(self._connections.values()):
            connection.abandon()
        self._epoll.close()


class Connection:
    """One connection, from the start of the TCP handshake on."""

    __slots__ = ("_buffer", "_loop", "_out", "_owner", "_state", "retry_after_s", "sock")

    def __init__(self, loop: Loop, target: Target, user: str, owner: Owner, source: str) -> None:
        """Start a connection. `source`: the local address to connect from, or "". Raises OSError."""
        self.sock = socket.socket(target.family, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop, self._owner = loop, owner
        self._buffer = b""
        self.retry_after_s: float | None = None
        self._out = bytearray(target.handshake(user))
        self._state = "connecting"
        try:
            if source:
                self.sock.bind((source, 0))
            found = self.sock.connect_ex(target.address)
            if found not in (0, errno.EINPROGRESS):
                raise OSError(found, "connect")
        except OSError:
            self.sock.close()
            raise
        loop.watch(self, select.EPOLLOUT)

    def send(self, payload: bytes) -> None:
        """Send a command, as far as the socket accepts it now, and the rest later."""
        self._write(frame(payload, BINARY))

    def abandon(self) -> None:
        """Close the socket without calling the owner."""
        if self._state != "closed":
            self._state = "closed"
            self._loop.forget(self)
            self.sock.close()

    def on_events(self, events: int) -> None:
        try:
            if events & select.EPOLLOUT:
                self._flush()
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and self._state != "closed":
                self._receive()
        except BlockingIOError:
            return
        except OSError as error:
            self._end(errno.errorcode.get(error.errno or 0, "error"))

    def _write(self, data: bytes) -> None:
        if self._out:
            self._out += data
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            # The loop reads the reason.
            return
        if sent < len(data):
            self._out += data[sent:]
            self._loop.watch(self, select.EPOLLIN | select.EPOLLOUT)

    def _flush(self) -> None:
        if self._state == "connecting":
            if found := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(found, "connect")
            self._state = "handshake"
        if self._out:
            del self._out[: self.sock.send(self._out)]
        if not self._out:
            self._loop.watch(self, select.EPOLLIN)

    def _receive(self) -> None:
        data = self.sock.recv(READ_BYTES)
        now = time.perf_counter()
        if not data:
            self._end("closed without a close frame")
            return
        self._buffer += data
        if self._state == "handshake" and not self._finish_handshake(now):
            return
        frames, self._buffer = split(self._buffer)
        for opcode, payload in frames:
            self._on_frame(opcode, payload, now)
            if self._state == "closed":
                return

    def _finish_handshake(self, now: float) -> bool:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        status = head[9:12].decode(errors="replace")
        if status != "101":
            found = RETRY_AFTER.search(head)
            self.retry_after_s = float(found[1]) if found else None
            self._end(f"refused with {status}")
            return False
        self._state, self._buffer = "open", rest
        self._owner.on_open(now)
        return True

    def _on_frame(self, opcode: int, payload: bytes, now: float) -> None:
        if opcode in (TEXT, BINARY):
            self._owner.on_payload(payload, now)
        elif opcode == PING:
            self._write(frame(payload, PONG))
        elif opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else NO_STATUS
            self._end(f"closed with {code}")

    def _end(self, reason: str) -> None:
        self.abandon()
        self._owner.on_end(reason, time.perf_counter())
