"""The stream that Hypercorn is given: a socket with a bound on everything that a peer could make us wait for."""

from contextlib import suppress

import trio

# Seconds in which a peer has to take the next part of an answer.
WRITE_TIMEOUT = 20.0
PART = 65_536
# Seconds to read on after an answer that came before the whole request: closing with unread bytes would take the answer back
# (RFC 9112, section 9.6).
LINGER = 1.0


class Peer:
    """As much of a trio.SocketStream as Hypercorn uses."""

    __slots__ = ("_lingering", "_reading", "_stream")

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._reading: trio.CancelScope | None = None
        self._lingering = False

    @property
    def socket(self) -> trio.socket.SocketType:
        return self._stream.socket

    async def receive_some(self, most: int) -> bytes:
        """As in trio; what comes after `aclose` is dropped."""
        try:
            with trio.CancelScope() as self._reading:
                data = await self._stream.receive_some(most)
                while data and self._lingering:
                    data = await self._stream.receive_some(most)
        finally:
            self._reading = None
        if self._lingering:
            raise trio.ClosedResourceError
        return bytes(data)

    async def send_all(self, data: bytes) -> None:
        """Raises trio.BrokenResourceError for a peer that does not read."""
        parts = memoryview(data)
        for start in range(0, len(parts), PART):
            with trio.move_on_after(WRITE_TIMEOUT) as patience:
                await self._stream.send_all(parts[start : start + PART])
            if patience.cancelled_caught:
                raise trio.BrokenResourceError

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close; while somebody reads, that one reads on for a moment first, and closes then."""
        if self._reading is None:
            await self._stream.aclose()
        elif not self._lingering:
            self._lingering = True
            self._reading.deadline = trio.current_time() + LINGER
            with suppress(trio.BrokenResourceError, trio.BusyResourceError, trio.ClosedResourceError):
                await self._stream.send_eof()
