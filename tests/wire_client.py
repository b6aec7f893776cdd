"""A peer that can send anything: bytes on a socket, valid and invalid frames."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.support import PATIENCE, Daemon

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SOMEBODY = "01890a5d-ac96-774b-bcce-b302099a8057"


# A valid head without the credential.
GOOD = (
    "GET /v1/ws HTTP/1.1",
    "Host: x",
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
)


def upgrade(daemon: Daemon, *lines: str, codec: str = "json", user: str = SOMEBODY) -> bytes:
    """A valid handshake with a valid token."""
    head = [
        *GOOD,
        f"Sec-WebSocket-Protocol: chatd.v1.{codec}",
        f"Authorization: Bearer {daemon.token(user)}",
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode()


class Raw:
    """A TCP connection to the port of the gateway."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._data = b""

    @classmethod
    @asynccontextmanager
    async def to(cls, daemon: Daemon) -> AsyncIterator["Raw"]:
        host, _, port = daemon.addresses.socket.removeprefix("ws://").partition("/")[0].partition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            yield cls(stream)

    @classmethod
    @asynccontextmanager
    async def session(cls, daemon: Daemon, codec: str = "json", user: str = SOMEBODY) -> AsyncIterator["Raw"]:
        """A connection after its handshake and `connected`."""
        async with cls.to(daemon) as raw:
            await raw.send(upgrade(daemon, codec=codec, user=user))
            await raw.read(b"\r\n\r\n")
            await raw.frame()
            yield raw

    @staticmethod
    def frame_of(payload: bytes, opcode: int = 1, *, final: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
        """A client frame; a mask of zeros is valid."""
        first = (0x80 if final else 0) | rsv << 4 | opcode
        mask_bit = 0x80 if masked else 0
        length = len(payload)
        if length < 126:
            head = bytes((first, mask_bit | length))
        elif length < 65536:
            head = bytes((first, mask_bit | 126)) + length.to_bytes(2, "big")
        else:
            head = bytes((first, mask_bit | 127)) + length.to_bytes(8, "big")
        return head + (bytes(4) if masked else b"") + payload

    async def send(self, data: bytes) -> None:
        """Send; ignore a connection that the peer has closed."""
        try:
            with trio.fail_after(PATIENCE):
                await self.stream.send_all(data)
        except trio.BrokenResourceError:
            return

    async def read(self, until: bytes) -> bytes:
        with trio.fail_after(PATIENCE):
            while until not in self._data:
                await self._more()
        found, _, self._data = self._data.partition(until)
        return found + until

    async def _more(self) -> None:
        part = await self.stream.receive_some()
        if not part:
            raise EOFError(self._data)
        self._data += part

    async def read_to_end(self) -> bytes:
        """Read until the daemon closes the connection."""
        with trio.fail_after(PATIENCE):
            try:
                while True:
                    await self._more()
            except (EOFError, trio.BrokenResourceError):
                return self._data

    async def frame(self) -> tuple[int, bytes]:
        """The next frame of the server: its first byte and its payload."""
        with trio.fail_after(PATIENCE):
            while True:
                length, start = self._length()
                if start and len(self._data) >= start + length:
                    first, payload = self._data[0], self._data[start : start + length]
                    self._data = self._data[start + length :]
                    return first, payload
                await self._more()

    def _length(self) -> tuple[int, int]:
        if len(self._data) < 2:
            return 0, 0
        extra = {126: 2, 127: 8}.get(self._data[1], 0)
        if len(self._data) < 2 + extra:
            return 0, 0
        return (int.from_bytes(self._data[2 : 2 + extra], "big") if extra else self._data[1]), 2 + extra

    async def close_code(self) -> int | None:
        """The code of the next close frame, or None if the connection just ends."""
        try:
            while True:
                first, payload = await self.frame()
                if first == 0x88:
                    return int.from_bytes(payload[:2], "big")
        except (EOFError, trio.BrokenResourceError):
            return None
