"""A connection to Redis whose commands run in the Trio task that calls them.

Through trio-asyncio a command takes several turns of Trio's loop, and redis-py awaits once for each value of an answer:
about 300 us for a command and 20 us for each entry of a stream. Here redis-py opens the connection, with its TLS, user
and database. Then the calling task writes the command, waits for the socket and parses the answer.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import trio
import trio_asyncio
from redis.asyncio.connection import AbstractConnection, DefaultParser
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import InvalidResponse, RedisError

READ_SIZE = 262_144
END = b"\r\n"
MINUS, PLUS, COLON, DOLLAR, STAR = b"-+:$*"


class Incomplete(Exception):
    """The buffer ends within an answer. `size`: bytes that the buffer has to have at least."""

    def __init__(self, size: int) -> None:
        self.size = size


def pack(command: Sequence[bytes | str | int]) -> bytes:
    """A command as Redis reads it. The one of redis-py takes ten times as long."""
    values = [value if isinstance(value, bytes) else str(value).encode() for value in command]
    return b"*%d\r\n%b" % (len(values), b"".join([b"$%d\r\n%b\r\n" % (len(value), value) for value in values]))


def parse(data: bytes | bytearray, at: int = 0) -> tuple[Any, int]:
    """The RESP2 value at this place, and where it ends. An error is returned. Raises Incomplete, InvalidResponse."""
    end = data.find(END, at)
    if end < 0:
        raise Incomplete(len(data) + 1)
    kind, start = data[at], end + 2
    if kind == DOLLAR:
        size = int(data[at + 1 : end])
        if size < 0:
            return None, start
        if len(data) < start + size + 2:
            raise Incomplete(start + size + 2)
        return bytes(data[start : start + size]), start + size + 2
    if kind == STAR:
        count = int(data[at + 1 : end])
        if count < 0:
            return None, start
        values = []
        for _ in range(count):
            value, start = parse(data, start)
            values.append(value)
        return values, start
    if kind == COLON:
        return int(data[at + 1 : end]), start
    text = bytes(data[at + 1 : end])
    if kind == PLUS:
        return text, start
    if kind == MINUS:
        return error_of(text.decode(errors="replace")), start
    raise InvalidResponse(f"not an answer of Redis: {bytes(data[at : at + 20])!r}")


def error_of(text: str) -> Exception:
    """The error of an answer, as a class of redis-py."""
    error: Exception = DefaultParser.parse_error(text)  # type: ignore[no-untyped-call]
    return error


class Channel:
    """One connection, for one command at a time. `client_connection`: of redis-py, not connected yet."""

    def __init__(self, client_connection: AbstractConnection) -> None:
        self._connection = client_connection
        self._descriptor = -1
        self._is_encrypted = False

    async def open(self) -> None:
        """Connect. Raises what redis-py raises."""
        await trio_asyncio.aio_as_trio(self._connection.connect)()
        transport = self._transport
        # With TLS, asyncio has to read and decrypt.
        self._is_encrypted = transport.get_extra_info("ssl_object") is not None
        if not self._is_encrypted:
            self._descriptor = transport.get_extra_info("socket").fileno()
            transport.pause_reading()

    @property
    def _transport(self) -> Any:
        # redis-py has no other way to the socket.
        writer = self._connection._writer  # noqa: SLF001
        if writer is None:
            raise NoConnection("the connection is closed")
        return writer.transport

    async def call(self, *command: Any) -> Any:
        """Execute one command. Raises RedisError or OSError. After a cancellation the channel must be closed."""
        answer = await (self._call_in_asyncio(command) if self._is_encrypted else self._call(command))
        if isinstance(answer, RedisError):
            raise answer
        return answer

    async def _call_in_asyncio(self, command: tuple[Any, ...]) -> Any:
        async def work() -> Any:
            await self._connection.send_command(*command)
            return await self._connection.read_response()

        return await trio_asyncio.aio_as_trio(work)()

    async def _call(self, command: tuple[Any, ...]) -> Any:
        transport = self._transport
        transport.write(pack(command))
        if transport.is_closing():
            raise NoConnection("the connection is closed")
        buffer, size = bytearray(), 1
        while True:
            while len(buffer) < size:
                buffer += await self._receive()
            try:
                answer, _ = parse(buffer)
                return answer
            except Incomplete as needed:
                size = needed.size

    async def _receive(self) -> bytes:
        """Raises OSError, also at the end of the connection."""
        while True:
            await trio.lowlevel.wait_readable(self._descriptor)
            try:
                data = os.read(self._descriptor, READ_SIZE)
            except BlockingIOError:
                continue
            if not data:
                raise NoConnection("the server closed the connection")
            return data

    async def close(self) -> None:
        """Close the connection at once. No command may be running."""
        with trio.CancelScope(shield=True), suppress(RedisError, OSError):
            await trio_asyncio.aio_as_trio(self._connection.disconnect)(nowait=True)
