"""The stream that Hypercorn is given: a socket with a bound on everything that a peer could make us wait for."""

import math
from contextlib import suppress

import trio

# Seconds in which a peer has to take the next part of an answer.
WRITE_TIMEOUT = 20.0
PART = 65_536
# Bytes of one read. h11 parses a whole head or all trailers in one step, and bounds only those that are not complete yet.
READ = 16_384
# Seconds to read on after an answer that came before the whole request: closing with unread bytes would take the answer back
# (RFC 9112, section 9.6).
LINGER = 1.0


class Peer:
    """As much of a trio.SocketStream as Hypercorn uses.

    `connection` is the scope that Hypercorn runs in. Once one direction is closed it ends within `LINGER` seconds. By itself
    Hypercorn would keep the connection until its keep-alive is over, and behind pipelined requests for ever.
    """

    __slots__ = ("_answer_deadline", "_answer_timeout", "_connection", "_lingering", "_reading", "_stream", "read_at")

    def __init__(self, stream: trio.SocketStream, connection: trio.CancelScope, answer_timeout: float = math.inf) -> None:
        self._stream = stream
        self._connection = connection
        self._answer_timeout = answer_timeout
        self._answer_deadline = math.inf
        self._reading = False
        self._lingering = False
        # When bytes last came, in trio's time.
        self.read_at = trio.current_time()

    @property
    def socket(self) -> trio.socket.SocketType:
        return self._stream.socket

    def begin_answer(self) -> None:
        """From now on the peer has `answer_timeout` seconds to take all of the answer."""
        self._answer_deadline = trio.current_time() + self._answer_timeout

    def end_answer(self) -> None:
        """All of the answer is written."""
        self._answer_deadline = math.inf

    async def receive_some(self, most: int) -> bytes:
        """As in trio; what comes after `aclose` is dropped."""
        self._reading = True
        data = b""
        try:
            data = bytes(await self._stream.receive_some(min(most, READ)))
            while data and self._lingering:
                data = bytes(await self._stream.receive_some(most))
        finally:
            self._reading = False
            if not data:
                self._end_soon()
        self.read_at = trio.current_time()
        return data

    async def send_all(self, data: bytes) -> None:
        """Raises trio.BrokenResourceError, also for a peer that does not read, or has not taken the answer in its time."""
        parts = memoryview(data)
        try:
            for start in range(0, len(parts), PART):
                with trio.fail_at(min(self._answer_deadline, trio.current_time() + WRITE_TIMEOUT)):
                    await self._stream.send_all(parts[start : start + PART])
        except trio.TooSlowError:
            self._end_soon()
            raise trio.BrokenResourceError from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end_soon()
            raise

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close; while somebody reads, that one reads on for a moment first."""
        self._end_soon()
        if not self._reading:
            await self._stream.aclose()
        elif not self._lingering:
            self._lingering = True
            with suppress(trio.BrokenResourceError, trio.BusyResourceError, trio.ClosedResourceError):
                await self._stream.send_eof()

    def _end_soon(self) -> None:
        self._connection.deadline = min(self._connection.deadline, trio.current_time() + LINGER)
