"""A load generator that uses less CPU than the server: raw sockets, one epoll, frames masked with zeros."""

import selectors
import socket
import time
from collections.abc import Callable

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def frame(payload: bytes, opcode: int) -> bytes:
    """A client frame. A mask of zeros is valid and needs no XOR."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, 0x80 | size)) + bytes(4) + payload
    return bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big") + bytes(4) + payload


class Connection:
    """One connection of the load. `on_message` gets each payload.

    `heartbeat`: a message that asks for an answer, and the answer, if the protocol has such messages.
    """

    __slots__ = ("_ping", "_pong", "buffer", "on_message", "opcode", "sock")

    def __init__(
        self, address: tuple[str, int], head: bytes, opcode: int, heartbeat: tuple[bytes, bytes] | None = None
    ) -> None:
        self.sock = socket.create_connection(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.opcode = opcode
        self._ping, self._pong = heartbeat or (None, b"")
        self.sock.sendall(head)
        data = b""
        while b"\r\n\r\n" not in data:
            part = self.sock.recv(4096)
            if not part:
                raise ConnectionError(data.decode(errors="replace"))
            data += part
        answer, _, self.buffer = data.partition(b"\r\n\r\n")
        if b" 101 " not in answer[:20]:
            raise ConnectionError(answer.decode(errors="replace") + self.buffer.decode(errors="replace"))
        self.on_message: Callable[[bytes], None] = lambda payload: None

    def send(self, payload: bytes) -> None:
        self.sock.sendall(frame(payload, self.opcode))

    def receive(self) -> list[bytes]:
        """All complete messages that have arrived; waits for at least one byte."""
        data = self.sock.recv(262_144)
        if not data:
            raise ConnectionError("the server closed a connection")
        self.buffer += data
        return self.take()

    def take(self) -> list[bytes]:
        data, at, found = self.buffer, 0, []
        while len(data) - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if len(data) < start + size:
                break
            payload = data[start : start + size]
            if data[at] & 0x0F == 9:
                self.sock.sendall(frame(payload, 10))
            elif payload == self._ping:
                self.send(self._pong)
            else:
                found.append(payload)
            at = start + size
        self.buffer = data[at:]
        return found

    def wait_for(self, mark: bytes) -> bytes:
        """The first message that contains `mark`."""
        while True:
            for payload in self.take() or self.receive():
                if mark in payload:
                    return payload

    def close(self) -> None:
        self.sock.close()


class Load:
    """Many connections in one epoll loop."""

    def __init__(self, connections: list[Connection]) -> None:
        self._selector = selectors.DefaultSelector()
        for connection in connections:
            self.add(connection)

    def add(self, connection: Connection) -> None:
        self._selector.register(connection.sock, selectors.EVENT_READ, connection)

    def run_until(self, done: Callable[[], bool], timeout: float = 120.0) -> None:
        """Dispatch messages until `done`. Raises TimeoutError if none arrives for too long."""
        while not done():
            ready = self._selector.select(timeout)
            if not ready:
                raise TimeoutError("the server sends nothing more")
            self._dispatch(ready)

    def serve(self, seconds: float) -> None:
        """Answer pings and dispatch messages for this time."""
        end = time.monotonic() + seconds
        while True:
            self._dispatch(self._selector.select(max(0.0, end - time.monotonic())))
            if time.monotonic() >= end:
                return

    def _dispatch(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        for key, _ in ready:
            connection: Connection = key.data
            for payload in connection.receive():
                connection.on_message(payload)

    def close(self) -> None:
        """Close the connections too."""
        for key in list(self._selector.get_map().values()):
            key.data.close()
        self._selector.close()
