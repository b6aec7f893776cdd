"""The messages that are not acknowledged yet.

A message keeps its client_id until the server acknowledges it, across any number of connections.
"""

import uuid
from collections import deque
from typing import Any

import trio

from chatd.client.types import MessageAck


class Sending:
    """One message: the `fields` of message.send.

    `await sending.ack()` returns the ack; raises Refused if the server refuses it permanently.
    """

    def __init__(self, conversation: str, fields: dict[str, Any], client_id: str | None) -> None:
        self.conversation = conversation
        self.client_id = client_id or str(uuid.uuid4())
        self.fields = {"conversation": conversation, "client_id": self.client_id, **fields}
        self._settled = trio.Event()
        self._ack: MessageAck | None = None
        self._error: Exception | None = None

    def succeed(self, ack: MessageAck) -> None:
        self._ack = ack
        self._settled.set()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._settled.set()

    async def ack(self) -> MessageAck:
        await self._settled.wait()
        if self._ack is None:
            raise self._error or AssertionError("settled without a result")
        return self._ack


class Outbox:
    """First in, first out: each message is sent after the previous one is acknowledged or refused, so the order is
    kept.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._queue: deque[Sending] = deque()
        self._sent: dict[str, None] = {}
        self._filled = trio.Event()

    def put(self, sending: Sending) -> None:
        """Add a message. Raises OverflowError if too many messages are waiting."""
        if len(self._queue) >= self._most:
            raise OverflowError("too many messages are waiting to be sent")
        self._queue.append(sending)
        self.note(sending.client_id)
        self._filled.set()

    def note(self, client_id: str) -> None:
        """Note that this client sent the message with this id."""
        self._sent[client_id] = None
        if len(self._sent) > 2 * self._most:
            self._sent.pop(next(iter(self._sent)))

    def has_sent(self, client_id: str) -> bool:
        """Whether this client sent the message: its ack contains everything that the event contains."""
        return client_id in self._sent

    async def first(self) -> Sending:
        """Wait for a message, and leave it there."""
        while not self._queue:
            self._filled = trio.Event()
            await self._filled.wait()
        return self._queue[0]

    def done(self) -> None:
        """Remove the first message, which is acknowledged or refused."""
        self._queue.popleft()

    def __len__(self) -> int:
        return len(self._queue)

    def unsent(self) -> list[dict[str, Any]]:
        """The messages that an app may store across a restart: pass each to `client.send_nowait(**fields)`."""
        return [dict(sending.fields) for sending in self._queue]
