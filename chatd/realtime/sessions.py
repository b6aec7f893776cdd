"""Sessions as other code sees them, and the events that are sent to them: encoded once per codec, for any number of
sessions.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import trio
from msgspec import Raw, Struct, msgpack, to_builtins

from chatd.core.identity import Principal
from chatd.wire.base import Event
from chatd.wire.codec import Codec

# How the frames of a session reach its client: the last two are requests of /v1/events.
WEBSOCKET, SSE, POLL = TRANSPORTS = ("websocket", "sse", "poll")
# Other tasks run after this many writes.
WRITES_PER_TURN = 50


class SessionInfo(Struct):
    """One session, for operators. `transport`: one of TRANSPORTS.

    `address` is the start of a keyed hash: equal for equal addresses, and not reversible.
    """

    id: str
    tenant: str
    user: str
    codec: str
    login: str
    connected_at: int
    active_at: int
    queued_bytes: int
    queued_frames: int
    expires_at: int
    address: str
    transport: str = WEBSOCKET


class Session(Protocol):
    """A connection of a user. `send_nowait` returns False if the frame is dropped."""

    id: str
    tenant: str
    user: str
    login: str
    token_id: str
    address: str
    codec: Codec

    @property
    def transport(self) -> str: ...

    def send_nowait(self, frame: bytes, delivery: "Delivery | None" = None, /) -> bool: ...

    def request_close(self, close: str, reason: str = "") -> None: ...

    def renew(self, principal: Principal) -> None: ...

    def info(self) -> SessionInfo: ...


def credential_of(session: Session) -> str:
    """What a logout of the session ends, see `Principal.credential`."""
    return session.login or session.token_id


class EncodedEvent(dict[Codec, bytes]):
    """The frame of an event by codec, made when a session of that codec needs it."""

    __slots__ = ("_event",)

    def __init__(self, event: Event) -> None:
        self._event = event

    def __missing__(self, codec: Codec) -> bytes:
        frame = self[codec] = codec.frame_of(self._event)
        return frame

    def body(self) -> dict[str, Any]:
        """The event as a map, with its type in `t`."""
        return to_builtins(self._event)  # type: ignore[no-any-return]


class ForwardedEvent(dict[Codec, bytes]):
    """An encoded event of another node, in msgpack. It is decoded only for other codecs."""

    __slots__ = ("_body",)

    def __init__(self, body: Raw) -> None:
        self._body = body

    def __missing__(self, codec: Codec) -> bytes:
        body: Any = self._body if codec.name == "msgpack" else msgpack.decode(self._body)
        frame = self[codec] = codec.frame_of(body)
        return frame

    def body(self) -> dict[str, Any]:
        """The event as a map, with its type in `t`."""
        return msgpack.decode(self._body)  # type: ignore[no-any-return]


class Delivery(Struct):
    """An event for sessions, except the one with the id `exclude_session`.

    `rev`: its number in the topic; 0 for an event without one, which is delivered at once. Slow readers get no
    `ephemeral` event. `on_delivered` is called after the delivery. `topic`: the name of the topic, by which a slow
    reader gets `behind` instead.
    """

    frames: EncodedEvent | ForwardedEvent
    rev: int = 0
    exclude_session: str | None = None
    ephemeral: bool = False
    on_delivered: Callable[[], None] | None = None
    topic: str = ""

    def done(self) -> None:
        if self.on_delivered is not None:
            self.on_delivered()

    def send_to(self, session: Session) -> None:
        """Send to one session, encoded for its codec."""
        session.send_nowait(self.frames[session.codec], self)


class Broadcaster:
    """Sends one event to many sessions. Counts the frames that send queues took (`delivered`) and dropped."""

    def __init__(self, writes_per_turn: int = WRITES_PER_TURN) -> None:
        self.delivered = self.dropped = 0
        self._writes_per_turn = writes_per_turn

    async def send(self, sessions: Iterable[Session], delivery: Delivery) -> int:
        """Send the same bytes to all sessions. Returns how many took them. See `SendQueue` for slow readers."""
        frames, exclude_session, per_turn = delivery.frames, delivery.exclude_session, self._writes_per_turn
        recipients, excluded, dropped = tuple(sessions), 0, 0
        for turn, session in enumerate(recipients, start=1):
            if session.id == exclude_session:
                excluded += 1
                continue
            if not session.send_nowait(frames[session.codec], delivery):
                dropped += 1
            if turn % per_turn == 0:
                # The delivery continues if the sender disconnects.
                await trio.lowlevel.cancel_shielded_checkpoint()
        self.dropped += dropped
        delivered = len(recipients) - excluded - dropped
        self.delivered += delivered
        return delivered

    def note_dropped(self, frames: int) -> None:
        """Count events that a send queue dropped later, because its reader is too slow."""
        self.dropped += frames
