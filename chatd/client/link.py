"""One connection: sends frames, receives answers and events. It ends once, with a reason."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgpack
import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from chatd.client.wire_base import refusal
from chatd.core.errors import Refused

# Before the first frame of the server.
HEARTBEAT, MAX_BYTES = 25.0, 65_536
Body = dict[str, Any]
OnEvent = Callable[[Body], None]
OnAnswer = Callable[[Body, Body], None]


class Disconnected(Exception):
    """The connection ended before the answer arrived. The outcome of the command is unknown."""


@contextmanager
def alone() -> Iterator[None]:
    """Unwrap the exception group of a nursery that contains a single exception."""
    try:
        yield
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        raise group.exceptions[0] from None


@contextmanager
def unwrapped() -> Iterator[None]:
    """The most informative of several failures of one connection: a bug, then the close."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise min(group.exceptions, key=rank) from None


def rank(error: BaseException) -> int:
    if isinstance(error, ConnectionClosed):
        return 1
    return 2 if isinstance(error, OSError | Disconnected | trio.BrokenResourceError | trio.ClosedResourceError) else 0


class Link:
    """One connection. `call` works while `run` runs."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection
        self._as_text = connection.subprotocol == "chatd.v1.json"
        self._waiting: dict[int, tuple[Body, trio.MemorySendChannel[Body]]] = {}
        self._last_id = 0
        self._received_at = trio.current_time()
        self._heartbeat = HEARTBEAT
        self._max_bytes = MAX_BYTES

    def apply_limits(self, hello: Body) -> None:
        """Apply the limits in the first frame of the server."""
        self._heartbeat = hello["heartbeat"]
        self._max_bytes = hello["limits"]["max_message"]

    async def call(self, body: Body) -> Body:
        """Send a command and wait for its answer. Raises Refused, or Disconnected."""
        self._last_id = self._last_id % (2**32 - 1) + 1
        frame_id = self._last_id
        answered, answer = trio.open_memory_channel[Body](1)
        self._waiting[frame_id] = (body, answered)
        try:
            await self._send([frame_id, body])
            reply = await answer.receive()
        except (ConnectionClosed, trio.EndOfChannel):
            raise Disconnected from None
        finally:
            self._waiting.pop(frame_id, None)
        if reply["t"] == "error":
            raise refusal(reply)
        return reply

    async def notify(self, body: Body) -> None:
        """Send a command without an answer. Raises Refused for one that is too large, or Disconnected."""
        try:
            await self._send([0, body])
        except ConnectionClosed:
            raise Disconnected from None

    async def close(self) -> None:
        """Close this connection; the client then opens another one."""
        await trio.aclose_forcefully(self._connection)

    async def _send(self, frame: Any) -> None:
        """Send a frame. Raises Refused for a frame that the server would not accept, ConnectionClosed."""
        data = msgspec.json.encode(frame) if self._as_text else msgpack.packb(frame, default=msgspec.to_builtins)
        if len(data) > self._max_bytes:
            raise Refused(
                "too_large", f"the message has {len(data)} bytes; the server accepts at most {self._max_bytes}"
            )
        await self._connection.send_message(data.decode() if self._as_text else data)

    async def receive(self) -> tuple[int, Body]:
        """The next frame. Raises ConnectionClosed."""
        data = await self._connection.get_message()
        frame_id, body = msgspec.json.decode(data) if self._as_text else msgpack.unpackb(data)
        self._received_at = trio.current_time()
        return frame_id, body

    async def run(self, on_event: OnEvent, on_answer: OnAnswer) -> None:
        """Run until the connection ends, then raise ConnectionClosed.

        Both callbacks are called in the order of the frames; `on_answer` also gets the command, before the caller that
        waits for the answer.
        """
        with unwrapped():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch)
                try:
                    while True:
                        frame_id, body = await self.receive()
                        self._dispatch(frame_id, body, on_event, on_answer)
                finally:
                    nursery.cancel_scope.cancel()
                    for _, answered in self._waiting.values():
                        answered.close()

    def _dispatch(self, frame_id: int, body: Body, on_event: OnEvent, on_answer: OnAnswer) -> None:
        if frame_id == 0:
            on_event(body)
        elif frame_id in self._waiting:
            command, answered = self._waiting.pop(frame_id)
            on_answer(command, body)
            answered.send_nowait(body)

    async def _watch(self) -> None:
        """Detect a dead connection: after a time without traffic send a ping, then close the connection."""
        while True:
            await trio.sleep_until(self._received_at + self._heartbeat)
            if trio.current_time() - self._received_at < self._heartbeat:
                continue
            with trio.move_on_after(self._heartbeat) as timeout_scope:
                with suppress(Refused, Disconnected):
                    await self.call({"t": "ping", "ts": 0})
            if timeout_scope.cancelled_caught:
                await self.close()
                return
