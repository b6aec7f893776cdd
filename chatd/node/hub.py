"""The sessions of this process, by id, user and conversation, and the fan-out of ready-made frames.

Two rules keep it fast and fair. A frame is built once per codec and the same bytes go to everybody. And nobody waits for
a slow reader: what its outbox does not take is dropped when it is volatile; otherwise the session is closed as `slow`, and
comes back with its position.
"""

from collections.abc import Hashable, Iterable
from typing import Protocol, TypeVar
from weakref import WeakSet

import trio

from chatd.wire.codec import Codec
from chatd.wire.events import Behind
from chatd.wire.frames import encode_frame
from chatd.wire.messages import Event

Key = TypeVar("Key", bound=Hashable)

# After so many writes in a row the other tasks get a turn.
WRITES_PER_TURN = 250


class Session(Protocol):
    """What the hub needs of a connection."""

    id: str
    tenant: str
    user: str
    login: str
    codec: Codec

    def send_nowait(self, frame: bytes, volatile: bool = False, /) -> bool: ...

    def close_soon(self, close: str, reason: str = "") -> None: ...


class SharedFrame(dict[Codec, bytes]):
    """One event as whole WebSocket frames, built once for each codec that somebody here speaks."""

    __slots__ = ("_event",)

    def __init__(self, event: Event) -> None:
        self._event = event

    def __missing__(self, codec: Codec) -> bytes:
        frame = self[codec] = encode_frame(codec.opcode, codec.encode_event(self._event))
        return frame


class Arrival:
    """Somebody whose conversations are being looked up. One that they join meanwhile is added here, so that none is missed."""

    __slots__ = ("__weakref__", "conversations", "key")

    def __init__(self, tenant: str, user: str) -> None:
        self.key = (tenant, user)
        self.conversations: list[str] = []


class Hub:
    """Who is connected here. Only sessions of members are entered under a conversation."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self._users: dict[tuple[str, str], dict[Session, None]] = {}
        self._conversations: dict[tuple[str, str], dict[Session, None]] = {}
        self._joined: dict[Session, list[str]] = {}
        self._arrivals: WeakSet[Arrival] = WeakSet()

    def expect(self, tenant: str, user: str) -> Arrival:
        """Call it before the conversations are looked up; `attach` with what it has gathered after that."""
        arrival = Arrival(tenant, user)
        self._arrivals.add(arrival)
        return arrival

    def attach(self, session: Session, conversations: Iterable[str]) -> None:
        self.sessions[session.id] = session
        self._users.setdefault((session.tenant, session.user), {})[session] = None
        self._joined[session] = []
        for conversation in conversations:
            self._enter(session, conversation)

    def detach(self, session: Session) -> None:
        self.sessions.pop(session.id, None)
        discard(self._users, (session.tenant, session.user), session)
        for conversation in self._joined.pop(session, ()):
            discard(self._conversations, (session.tenant, conversation), session)

    def join(self, tenant: str, conversation: str, users: Iterable[str]) -> None:
        for user in users:
            for session in self._users.get((tenant, user), ()):
                self._enter(session, conversation)
            for arrival in self._arrivals:
                if arrival.key == (tenant, user):
                    arrival.conversations.append(conversation)

    def _enter(self, session: Session, conversation: str) -> None:
        audience = self._conversations.setdefault((session.tenant, conversation), {})
        if session not in audience:
            audience[session] = None
            self._joined[session].append(conversation)

    def is_member(self, session: str, conversation: str) -> bool:
        """Whether a session that is connected here hears the conversation."""
        found = self.sessions.get(session)
        return found is not None and found in self._conversations.get((found.tenant, conversation), ())

    def sessions_of(self, tenant: str, user: str) -> int:
        return len(self._users.get((tenant, user), ()))

    async def tell_conversation(
        self, tenant: str, conversation: str, event: Event, *, but: str | None = None, volatile: bool = False
    ) -> None:
        audience = self._conversations.get((tenant, conversation))
        if audience:
            await self._fan_out(audience, event, but, volatile)

    async def tell_user(self, tenant: str, user: str, event: Event, *, but: str | None = None) -> None:
        audience = self._users.get((tenant, user))
        if audience:
            await self._fan_out(audience, event, but, False)

    async def tell_behind(self, tenant: str, conversation: str, rev: int) -> None:
        """Something up to `rev` may have been missed: whoever hears the conversation has to sync."""
        await self.tell_conversation(tenant, conversation, Behind(conversation=conversation, rev=rev))

    async def tell_everybody(self, event: Event) -> None:
        await self._fan_out(dict.fromkeys(self.sessions.values()), event, None, False)

    async def _fan_out(self, audience: dict[Session, None], event: Event, but: str | None, volatile: bool) -> None:
        shared = SharedFrame(event)
        for turn, session in enumerate(tuple(audience), start=1):
            if session.id == but:
                continue
            if not session.send_nowait(shared[session.codec], volatile) and not volatile:
                session.close_soon("slow")
            if turn % WRITES_PER_TURN == 0:
                await trio.lowlevel.checkpoint()

    def close_sessions(self, tenant: str, user: str, close: str, *, login: str | None = None) -> None:
        for session in tuple(self._users.get((tenant, user), ())):
            if login is None or session.login == login:
                session.close_soon(close)

    def statistics(self) -> dict[str, int]:
        return {"sessions": len(self.sessions), "users": len(self._users), "conversations": len(self._conversations)}


def discard(index: dict[Key, dict[Session, None]], key: Key, session: Session) -> None:
    """Take the session out of the index, and the key too when it was the last."""
    audience = index.get(key)
    if audience is not None:
        audience.pop(session, None)
        if not audience:
            del index[key]
