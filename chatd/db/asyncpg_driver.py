"""Runs coroutines of asyncpg in the Trio task that calls them.

Through trio-asyncio, a statement takes about seven turns of Trio's loop: the start of an asyncio task, a timer, and
each callback of asyncio is one. Here the calling task advances the coroutine itself. asyncpg writes to the socket at
once; the task waits for the socket, and gives what it reads to the protocol of asyncpg, which completes the future that
the coroutine awaits.

After a cancellation asyncio finishes the coroutine, and runs the next one: asyncpg cancels a statement by a second
connection, and waits until that is done.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar, cast

import asyncpg
import trio
import trio_asyncio

# The type of a message of Postgres (the protocol of its documentation, section "Message Formats").
ERROR_RESPONSE = ord("E")
READ_SIZE = 262_144
# Time that a server has for the end of a cancelled statement and the rollback.
CANCEL_TIMEOUT_S = 2.0
CANCELLED = (trio.Cancelled, asyncio.CancelledError)
T = TypeVar("T")


class Driver:
    """Runs coroutines that await nothing but one connection of asyncpg, one at a time.

    Not for COPY, `executemany` and arguments named `timeout`, for which asyncpg awaits asyncio itself.
    """

    def __init__(self, connection: "asyncpg.Connection[Any]", transport: asyncio.Transport) -> None:
        self._connection = connection
        self._transport = transport
        self._protocol = cast(asyncio.Protocol, transport.get_protocol())
        # A private function of asyncpg, the callback of each of its futures: it does something only for those that are
        # cancelled. In a version without it, a statement takes one more turn of asyncio.
        self._on_cancel: Callable[[asyncio.Future[Any]], object] | None
        self._on_cancel = getattr(self._protocol, "_on_waiter_completed", None)
        # With TLS, asyncio has to read and decrypt.
        self._is_encrypted = transport.get_extra_info("ssl_object") is not None
        self._is_cancelling = False
        self._descriptor: int = transport.get_extra_info("socket").fileno()
        if not self._reads_in_asyncio:
            transport.pause_reading()

    @property
    def _reads_in_asyncio(self) -> bool:
        return self._is_encrypted or self._is_cancelling

    def is_open(self) -> bool:
        """Whether statements can be sent. Reads what the server has sent since the last one, usually its last message
        before a close.
        """
        if self._connection.is_closed() or self._transport.is_closing():
            return False
        while not self._reads_in_asyncio and not self._connection.is_closed():
            try:
                data = os.read(self._descriptor, READ_SIZE)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            if has_error(data):
                self.terminate()
                return False
            self._protocol.data_received(data)
        return not self._connection.is_closed()

    async def read_between_statements(self) -> None:
        """Read what the server sends while no coroutine runs, until the connection ends."""
        while self.is_open():
            if self._reads_in_asyncio:
                return await self._wait_for_end()
            with suppress(trio.ClosedResourceError):
                await trio.lowlevel.wait_readable(self._descriptor)

    async def _wait_for_end(self) -> None:
        ended = trio.Event()

        def end(connection: object) -> None:
            ended.set()

        self._connection.add_termination_listener(end)
        try:
            await ended.wait()
        finally:
            self._connection.remove_termination_listener(end)

    async def run(self, coroutine: Coroutine[Any, Any, T], at_most_s: float) -> T:
        """Run the coroutine. Raises what it raises.

        A cancelled statement is cancelled on the server, and a transaction rolled back. A server that does not answer
        has `at_most_s` for both together, of which the rollback takes CANCEL_TIMEOUT_S at most; then the connection is
        terminated.
        """
        if self._reads_in_asyncio:
            return await self._run_in_asyncio(coroutine, at_most_s)
        ends_at = trio.current_time() + at_most_s
        future: asyncio.Future[Any] | None = None
        try:
            while True:
                future = coroutine.send(None)
                assert future is not None
                if self._on_cancel is not None:
                    future.remove_done_callback(self._on_cancel)
                while not future.done():
                    await self._receive(future)
                # An error of it would refer to this frame.
                future = None
        except StopIteration as end:
            return cast(T, end.value)
        except trio.Cancelled:
            assert future is not None
            self._is_cancelling = True
            self._transport.resume_reading()
            if self._on_cancel is not None:
                future.add_done_callback(self._on_cancel)
            # Its callback, by which asyncpg cancels the statement, runs before the task.
            future.cancel()
            with trio.CancelScope(shield=True), suppress(asyncio.CancelledError):
                left_s = min(ends_at - trio.current_time(), CANCEL_TIMEOUT_S)
                return await self._run_in_asyncio(coroutine, left_s)
            raise

    async def _run_in_asyncio(self, coroutine: Coroutine[Any, Any, T], at_most_s: float) -> T:
        loop = asyncio.get_event_loop()
        ends_at = trio.current_time() + at_most_s
        timer = loop.call_later(max(0.0, at_most_s), self._connection.terminate)
        task, done = loop.create_task(coroutine), trio.Event()
        task.add_done_callback(lambda _: done.set())
        try:
            await done.wait()
        except trio.Cancelled:
            task.cancel()
            timer.cancel()
            left_s = min(ends_at - trio.current_time(), CANCEL_TIMEOUT_S)
            timer = loop.call_later(max(0.0, left_s), self._connection.terminate)
            with trio.CancelScope(shield=True):
                await done.wait()
            if task.cancelled():
                raise
        finally:
            timer.cancel()
            self._is_cancelling = task.cancelled()
            if not self._reads_in_asyncio:
                self._transport.pause_reading()
        return task.result()

    async def _receive(self, future: "asyncio.Future[Any]") -> None:
        """Read once. After the end of the connection, asyncio completes the future."""
        if self._transport.is_closing():
            with suppress(Exception, asyncio.CancelledError):
                await trio_asyncio.run_aio_future(future)
            return
        try:
            await trio.lowlevel.wait_readable(self._descriptor)
            # A write may have failed in the same turn. Then the descriptor may already belong to another socket.
            data = b"" if self._transport.is_closing() else os.read(self._descriptor, READ_SIZE)
        except BlockingIOError:
            return
        except (OSError, trio.ClosedResourceError):
            data = b""
        if data:
            self._protocol.data_received(data)
        else:
            self._transport.abort()

    def terminate(self) -> None:
        """Close the connection, even during a statement."""
        is_waiting = not (self._reads_in_asyncio or self._transport.is_closing())
        # Ends the writer of asyncio, which fails if it is notified. The socket is still open.
        self._connection.terminate()
        if is_waiting:
            trio.lowlevel.notify_closing(self._descriptor)


def has_error(data: bytes) -> bool:
    """Whether messages that arrive between two statements contain an error, after which the server closes.

    A message is its type (one byte), its length without the type (four bytes), and its body.
    """
    position = 0
    while position < len(data):
        if data[position] == ERROR_RESPONSE:
            return True
        position += 1 + int.from_bytes(data[position + 1 : position + 5], "big")
    return False
