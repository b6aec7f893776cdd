"""A client of the load generator: one user, one connection at a time, and the log for the verdict.

It syncs a conversation after `behind`, as an app has to.
"""

from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from chatd.bench.client_log import (
    Acked,
    Behind,
    ClientLog,
    Connected,
    Disconnected,
    Fetched,
    Received,
    Refused,
    Sent,
    Synced,
)
from chatd.bench.connection import Connection, Loop
from chatd.bench.target import Target

MAX_FRAME_ID = 2**32 - 1


class Message(Struct):
    seq: int
    rev: int
    sender: str
    client_id: str = ""
    system: Any = None


class Conversation(Struct):
    id: str
    rev: int = 0


class Body(Struct):
    """The fields of all frames that the load generator reads."""

    t: str
    conversation: str | Conversation = ""
    user: str = ""
    rev: int = 0
    seq: int = 0
    client_id: str = ""
    duplicate: bool = False
    message: str | Message = ""
    messages: list[Message] = []
    more: bool = False
    code: str = ""
    retryable: bool = False


class OtherBody(Struct):
    """A frame whose fields have other types; the load generator ignores them."""

    t: str


DECODER = msgspec.msgpack.Decoder(tuple[int, Body])
OTHER = msgspec.msgpack.Decoder(tuple[int, OtherBody])
ENCODER = msgspec.msgpack.Encoder()


class Decoded:
    """Decode frames. Members of a group get the same bytes one after the other: decode them once."""

    def __init__(self) -> None:
        self._payload = b""
        self._frame: tuple[int, Body] = (0, Body(""))

    def __call__(self, payload: bytes) -> tuple[int, Body]:
        if payload != self._payload:
            self._frame = decode(payload)
            self._payload = payload
        return self._frame


def decode(payload: bytes) -> tuple[int, Body]:
    try:
        return DECODER.decode(payload)
    except msgspec.ValidationError:
        frame_id, other = OTHER.decode(payload)
        return frame_id, Body(other.t)


class Handler(Protocol):
    """What a scenario does when something happens to a client.

    `on_outcome`: a message is acknowledged or refused. `on_answer`: any other command is answered, except syncs.
    `on_synced`: the client is complete again. `on_message`: a message has arrived in an event or in a sync.
    """

    def on_connected(self, client: "Client", now: float) -> None: ...

    def on_ended(self, client: "Client", reason: str, now: float) -> None: ...

    def on_answer(self, client: "Client", frame_id: int, body: Body, now: float) -> None: ...

    def on_outcome(self, client: "Client", client_id: str, body: Body, now: float) -> None: ...

    def on_synced(self, client: "Client", now: float) -> None: ...

    def on_event(self, client: "Client", body: Body, now: float) -> None: ...

    def on_message(self, client: "Client", message: Message, now: float) -> None: ...


class Unsettled(NamedTuple):
    """A message without an outcome."""

    conversation: str
    client_id: str
    text: str


class Client:
    """A simulated client. `is_connected` from the event `connected` on. `conversations` are the ids that it is a member
    of.
    """

    def __init__(self, loop: Loop, target: Target, user: str, handler: Handler, decode: Decoded, source: str) -> None:
        """Make a client that is not connected yet. `source`: the local address to connect from, or ""."""
        self.user = user
        self.log = ClientLog(user)
        self.is_connected = False
        self._loop, self._target, self._handler, self._decode = loop, target, handler, decode
        self._source = source
        self._connection: Connection | None = None
        self._retry_after_s: float | None = None
        self._last_id = 0
        self._syncs: dict[int, str] = {}
        self._sends: dict[int, Unsettled] = {}
        # Sent on a connection that has ended.
        self._interrupted: list[Unsettled] = []
        # By conversation: the rev after which events matter, the rev up to which everything is known, and, while the
        # client is incomplete, the rev that a sync has to reach.
        self._joined: dict[str, int] = {}
        self._known: dict[str, int] = {}
        self._missing: dict[str, int] = {}

    @property
    def retry_after_s(self) -> float | None:
        """The delay until the next attempt, in seconds, that the server requested when it refused the connection."""
        return self._retry_after_s

    def connect(self) -> None:
        """Open a connection. Raises OSError."""
        self._connection = Connection(self._loop, self._target, self.user, self, self._source)

    def abandon(self, now: float) -> None:
        """End the connection without a close frame."""
        if self._connection is not None:
            self._connection.abandon()
            self._note_end(now)

    def command(self, body: Any) -> int:
        """Send a command; returns the id of its frame."""
        assert self._connection is not None
        frame_id = self._last_id = self._last_id % MAX_FRAME_ID + 1
        self._connection.send(ENCODER.encode((frame_id, body)))
        return frame_id

    def send(self, conversation: str, client_id: str, text: str, now: float) -> None:
        """Send a message."""
        self.log.entries.append(Sent(now, conversation, client_id))
        body = {"t": "message.send", "conversation": conversation, "client_id": client_id, "text": text}
        self._sends[self.command(body)] = Unsettled(conversation, client_id, text)

    def join(self, conversation: str, rev: int, now: float) -> None:
        """Take part in a conversation whose changes up to `rev` do not matter."""
        self.log.conversations.add(conversation)
        self._joined[conversation] = self._known[conversation] = rev
        self.log.entries.append(Synced(now, conversation, rev))

    def resume(self, now: float) -> None:
        """Catch up after a reconnect, and send again what has no outcome."""
        for conversation in self.log.conversations:
            self._sync(conversation)
        interrupted, self._interrupted = self._interrupted, []
        for message in interrupted:
            self.send(*message, now)

    @property
    def is_complete(self) -> bool:
        """Whether the client waits for neither a sync nor the answer to a message."""
        return not (self._missing or self._syncs or self._sends)

    def on_open(self, now: float) -> None:
        """The handshake is done; the event `connected` follows."""

    def on_payload(self, payload: bytes, now: float) -> None:
        frame_id, body = self._decode(payload)
        if frame_id:
            self._on_answer(frame_id, body, now)
        else:
            self._on_event(body, now)

    def on_end(self, reason: str, now: float) -> None:
        self._retry_after_s = self._connection.retry_after_s if self._connection else None
        self._note_end(now)
        self._handler.on_ended(self, reason, now)

    def _note_end(self, now: float) -> None:
        self._connection = None
        if self.is_connected:
            self.is_connected = False
            self.log.entries.append(Disconnected(now))
        self._syncs.clear()
        self._interrupted += self._sends.values()
        self._sends.clear()
        for conversation in self.log.conversations:
            self._missing.setdefault(conversation, 0)

    def _on_answer(self, frame_id: int, body: Body, now: float) -> None:
        if sent := self._sends.pop(frame_id, None):
            if body.t == "message.ack":
                self.log.entries.append(Acked(now, body.client_id, body.seq, body.rev, body.duplicate))
            else:
                self.log.entries.append(Refused(now, sent.client_id, body.retryable))
            self._handler.on_outcome(self, sent.client_id, body, now)
        elif conversation := self._syncs.pop(frame_id, ""):
            self._on_changes(conversation, body, now)
        else:
            self._handler.on_answer(self, frame_id, body, now)

    def _on_event(self, body: Body, now: float) -> None:
        if body.t == "connected":
            self.is_connected = True
            self.log.entries.append(Connected(now))
            self._handler.on_connected(self, now)
            return
        if isinstance(body.conversation, str) and body.conversation in self.log.conversations:
            self._on_change(body.conversation, body, now)
        self._handler.on_event(self, body, now)

    def _on_change(self, conversation: str, body: Body, now: float) -> None:
        """Log a change of a conversation that this client is a member of."""
        if body.rev and body.rev <= self._joined[conversation]:
            # It was sent before the conversation was known here; other members may have received it earlier.
            return
        if body.t == "behind":
            self.log.entries.append(Behind(now, conversation, body.rev))
            self._missing[conversation] = max(self._missing.get(conversation, 0), body.rev)
            self._sync(conversation)
            return
        if body.t == "message.new" and isinstance(body.message, Message):
            new = body.message
            client_id = "" if new.system else new.client_id
            self.log.entries.append(Received(now, conversation, new.sender, client_id, new.seq, body.rev))
            self._handler.on_message(self, new, now)
        if body.rev and conversation not in self._missing:
            self._known[conversation] = max(self._known.get(conversation, 0), body.rev)

    def _sync(self, conversation: str) -> None:
        if conversation not in self._syncs.values():
            known = self._known.get(conversation, 0)
            frame_id = self.command({"t": "conversation.sync", "conversation": conversation, "rev": known})
            self._syncs[frame_id] = conversation

    def _on_changes(self, conversation: str, body: Body, now: float) -> None:
        if body.t != "changes":
            # Refused: the next event or the end of the run shows that the client is not complete.
            return
        for message in body.messages:
            client_id = "" if message.system else message.client_id
            self.log.entries.append(Fetched(now, conversation, message.sender, client_id, message.seq))
            self._handler.on_message(self, message, now)
        self._known[conversation] = max(self._known.get(conversation, 0), body.rev)
        if body.more or body.rev < self._missing.get(conversation, 0):
            self._sync(conversation)
            return
        self._missing.pop(conversation, None)
        self.log.entries.append(Synced(now, conversation, body.rev))
        if not self._missing:
            self._handler.on_synced(self, now)
