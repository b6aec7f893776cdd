"""The stream for Hypercorn: a socket with a timeout for every operation that depends on the peer."""

import math
import socket
import sys
from contextlib import suppress

import trio

# Time within which a peer must accept the next part of a response.
WRITE_TIMEOUT_S = 20.0
PART_BYTES = 65_536
# h11 parses a whole head or all trailers in one step, and bounds only incomplete ones.
MAX_READ_BYTES = 16_384
# Time to keep reading after a response that was sent before the whole request arrived: closing a socket with unread
# bytes resets the connection and discards the response (RFC 9112, section 9.6).
LINGER_S = 1.0


class BoundedStream:
    """The part of a trio.SocketStream that Hypercorn uses.

    `connection` is the scope that Hypercorn runs in. After one direction is closed, it ends within `LINGER_S` seconds.
    Hypercorn itself would keep the connection until the end of keep-alive, and forever if requests are pipelined.
    """

    __slots__ = (
        "_answer_deadline",
        "_answer_timeout",
        "_connection",
        "_lingering",
        "_reading",
        "_received",
        "_stream",
        "_write_timeout_s",
        "read_at",
    )

    def __init__(
        self,
        stream: trio.SocketStream,
        connection: trio.CancelScope,
        answer_timeout: float = math.inf,
        *,
        write_timeout_s: float = WRITE_TIMEOUT_S,
        received: bytes = b"",
    ) -> None:
        """`received`: what was read before."""
        self._received = received
        self._stream = stream
        self._connection = connection
        self._answer_timeout = answer_timeout
        self._write_timeout_s = write_timeout_s
        self._answer_deadline = math.inf
        self._reading = False
        self._lingering = False
        # When bytes were last received, in trio's time.
        self.read_at = trio.current_time()

    @property
    def socket(self) -> trio.socket.SocketType:
        return self._stream.socket

    def begin_answer(self) -> None:
        """Start the timeout within which the peer must read the whole response."""
        self._answer_deadline = trio.current_time() + self._answer_timeout

    def unbound_answer(self) -> None:
        """Let the response last. Each part of it still has its timeout, also in the kernel: a peer that is gone without
        a word acknowledges nothing.
        """
        self._answer_deadline = math.inf
        if sys.platform == "linux":
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._write_timeout_s * 1000))

    def end_answer(self) -> None:
        """The response is written completely."""
        self._answer_deadline = math.inf

    async def receive_some(self, most: int) -> bytes:
        """Like `receive_some` of Trio; bytes that arrive after `aclose` are discarded."""
        most = min(most, MAX_READ_BYTES)
        if self._received:
            data, self._received = self._received[:most], self._received[most:]
            await trio.lowlevel.checkpoint()
            return data
        self._reading = True
        try:
            data = bytes(await self._stream.receive_some(most))
            while data and self._lingering:
                data = bytes(await self._stream.receive_some(most))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end_soon()
            raise
        finally:
            self._reading = False
        if not data:
            self._end_soon()
        self.read_at = trio.current_time()
        return data

    async def send_all(self, data: bytes) -> None:
        """Send a part of a response. Raises trio.BrokenResourceError, also if the peer does not read the response in
        time.
        """
        parts = memoryview(data)
        try:
            for start in range(0, len(parts), PART_BYTES):
                with trio.fail_at(min(self._answer_deadline, trio.current_time() + self._write_timeout_s)):
                    await self._stream.send_all(parts[start : start + PART_BYTES])
        except trio.TooSlowError:
            self._end_soon()
            raise trio.BrokenResourceError from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end_soon()
            raise

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the stream. A pending read continues for `LINGER_S` first."""
        self._end_soon()
        if not self._reading:
            await self._stream.aclose()
        elif not self._lingering:
            self._lingering = True
            with suppress(trio.BrokenResourceError, trio.BusyResourceError, trio.ClosedResourceError):
                await self._stream.send_eof()

    def end_within(self, seconds: float) -> None:
        """Cut the connection after this time."""
        self._connection.deadline = min(self._connection.deadline, trio.current_time() + seconds)

    def _end_soon(self) -> None:
        self.end_within(LINGER_S)
