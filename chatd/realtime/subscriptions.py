"""The sessions here that hear one conversation, told in the order of `rev`.

Changes of one conversation may be committed by several nodes, and reach this one in any order: those committed here at once,
the others over the bus. So what comes early is held until what is missing has come, or until somebody has looked into Postgres
and says how far the conversation is (`skip_to`): then everybody is told `behind`, which is a gap that says so.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from time import time
from typing import Any, NamedTuple, Protocol

import trio
from msgspec import Raw, Struct, msgpack

from chatd.realtime.message_trace import Traces
from chatd.wire.base import Event
from chatd.wire.codec import Codec
from chatd.wire.connection_events import Behind

# After so many writes in a row the other tasks get a turn.
WRITES_PER_TURN = 50
# Events that were held are delivered so many in a row: about a millisecond, with a few sessions.
EVENTS_PER_TURN = 20
MOST_HELD = 1000
NOBODY: Mapping[str, int] = {}


class SessionLine(Struct):
    """One connection. `address` is the beginning of a keyed hash: the same for the same address, and no way back."""

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


class Session(Protocol):
    """What the hub needs of a connection."""

    id: str
    tenant: str
    user: str
    login: str
    token_id: str
    address: str
    codec: Codec

    def send_nowait(self, frame: bytes, event: "News | None" = None, /) -> bool: ...

    def request_close(self, close: str, reason: str = "") -> None: ...

    def statistics(self) -> SessionLine: ...


class SharedFrame(dict[Codec, bytes]):
    """One event as whole WebSocket frames, built once for each codec that somebody here speaks."""

    __slots__ = ("_event",)

    def __init__(self, event: Event) -> None:
        self._event = event

    def __missing__(self, codec: Codec) -> bytes:
        frame = self[codec] = codec.frame_of(self._event)
        return frame


class RawFrame(SharedFrame):
    """An event that another node has sent, as its body in msgpack. Only who speaks something else makes it be read."""

    __slots__ = ("_body",)

    def __init__(self, body: Raw) -> None:
        self._body = body

    def __missing__(self, codec: Codec) -> bytes:
        body: Any = self._body if codec.name == "msgpack" else msgpack.decode(self._body)
        frame = self[codec] = codec.frame_of(body)
        return frame


class News(Struct):
    """An event for all but the session `but`. `rev` 0: it has no place in the order. `then` is called once it was told.

    `conversation` is set where it is told to one: a session that reads too slowly gets `behind` instead.
    """

    frames: SharedFrame
    rev: int = 0
    but: str | None = None
    volatile: bool = False
    then: Callable[[], None] | None = None
    conversation: str = ""

    def told(self) -> None:
        if self.then is not None:
            self.then()


def behind(conversation: str, rev: int) -> News:
    """Something up to `rev` was not told."""
    return News(SharedFrame(Behind(conversation=conversation, rev=rev)), rev, conversation=conversation)


class Fan:
    """Tells many the same. Frames are counted: those that were `delivered` to outboxes, and those these did not take."""

    def __init__(self) -> None:
        self.delivered = self.dropped = 0

    async def out(self, sessions: Iterable[Session], news: News) -> int:
        """The same bytes to everybody; how many sessions took them. Nobody waits for a slow reader: see `gateway.outbox`."""
        frames, but = news.frames, news.but
        everybody, spared, dropped = tuple(sessions), 0, 0
        for turn, session in enumerate(everybody, start=1):
            if session.id == but:
                spared += 1
                continue
            if not session.send_nowait(frames[session.codec], news):
                dropped += 1
            if turn % WRITES_PER_TURN == 0:
                # Whoever asked for it may hang up: those who are left are told all the same.
                await trio.lowlevel.cancel_shielded_checkpoint()
        self.dropped += dropped
        delivered = len(everybody) - spared - dropped
        self.delivered += delivered
        return delivered


class Beginning(NamedTuple):
    """A membership that begins after `rev`, up to which events are still to be delivered.

    `given`: the last rev that the session was given, or that was delivered when it entered.
    """

    rev: int
    given: int


class Audience:
    """Those who hear the conversation, and the last `rev` they were told."""

    __slots__ = (
        "_fan", "_held", "_id", "_late", "_telling", "_top", "_traces", "hushed", "members", "parting", "rev", "sessions",
    )  # fmt: skip

    def __init__(self, id_: str, rev: int, fan: Fan, traces: Traces) -> None:
        self._id = id_
        self._fan = fan
        self._traces = traces
        self.rev = rev
        self.sessions: dict[Session, None] = {}
        # Sessions whose membership begins later than what is delivered. A session can be in an earlier membership still: its user
        # was removed and added again by other nodes, while an event that was numbered before the removal is late.
        self._late: dict[Session, Beginning] = {}
        self._held: dict[int, News] = {}
        self._top = 0
        self._telling = False
        # Nothing volatile is told: one of two has blocked the other.
        self.hushed = False
        # Users whose membership has ended at this rev, but who have not been told yet because something before it is missing.
        self.parting: Mapping[str, int] = NOBODY
        # How many members the conversation has, here and elsewhere; 0: not known.
        self.members = 0

    @property
    def waiting(self) -> bool:
        """Whether something is missing between what was told and what has come."""
        return bool(self._held)

    def enter(self, session: Session, rev: int, *, anew: bool) -> None:
        """From now on it hears this. Where the membership begins `anew`, what is still to be told up to `rev` is not for it."""
        self.sessions[session] = None
        if anew and rev > self.rev:
            known = self._late.get(session)
            self._late[session] = Beginning(rev, self.rev) if known is None else known._replace(rev=max(rev, known.rev))

    def leave(self, session: Session) -> None:
        self.sessions.pop(session, None)
        self._late.pop(session, None)

    def joined(self, users: Collection[str], rev: int) -> None:
        """These join after `rev`. An end that is later still counts: it was heard of before the beginning."""
        self.members = 0
        if self.parting:
            self.parting = {user: end for user, end in self.parting.items() if user not in users or end > rev}

    def parted(self, users: Collection[str]) -> None:
        """These are members no more, for good."""
        self.members = 0
        if self.parting:
            self.parting = {user: end for user, end in self.parting.items() if user not in users}

    async def tell(self, news: News) -> None:
        """Tell it in its turn: now, or when what lies before it has come. Twice is once."""
        if news.volatile and self.hushed:
            return
        news.conversation = self._id
        if not news.rev:
            await self._fan.out(self._who_hears(news), news)
            news.told()
        elif news.rev <= self.rev:
            news.told()
        else:
            self._held[news.rev] = news
            if len(self._held) > MOST_HELD:
                self._top = max(self._top, news.rev)
            await self._tell_what_is_next()

    def _who_hears(self, news: News) -> Iterable[Session]:
        """Who is on the way out hears nothing volatile: it would be of a time after the end."""
        if not (self.parting and news.volatile):
            return self.sessions
        return [session for session in self.sessions if session.user not in self.parting]

    @property
    def latest(self) -> int:
        """The last rev that this node knows of."""
        return max(self.rev, self._top, *self._held) if self._held else max(self.rev, self._top)

    async def skip_to(self, rev: int) -> None:
        """What lies between may have been missed here for good: say so, and go on behind it.

        What is held is told in its place all the same: an ack among it must not come after a `behind` past it.
        """
        self._top = max(self._top, rev)
        await self._tell_what_is_next()

    async def _tell_what_is_next(self) -> None:
        """One task at a time: a huge audience takes several turns, and nothing may overtake within them."""
        if self._telling:
            return
        self._telling = True
        try:
            told = 0
            while await self._tell_one():
                told += 1
                if told % EVENTS_PER_TURN == 0:
                    await trio.lowlevel.cancel_shielded_checkpoint()
        finally:
            self._telling = False

    async def _out(self, news: News) -> int:
        """Sessions whose membership begins later get no event of before, but one `behind` up to the rev where they begin.

        The ack of a message that such a session sent in an earlier membership follows a `behind` for what it was not given.
        """
        if not self._late:
            return await self._fan.out(self.sessions, news)
        late, rev = self._late, news.rev
        sender = next((session for session in late if session.id == news.but), None)
        self._late = {session: begins for session, begins in late.items() if begins.rev > rev}
        if sender in self._late:
            self._late[sender] = late[sender]._replace(given=rev)
        entering = [session for session in late if session not in self._late and session is not sender]
        written = await self._fan.out([session for session in self.sessions if session not in late], news)
        if sender is not None and late[sender].given < rev - 1:
            written += await self._fan.out([sender], self._behind(rev - 1))
        return written + await self._fan.out(entering, self._behind(rev))

    def _behind(self, rev: int) -> News:
        return behind(self._id, rev)

    async def _tell_one(self) -> bool:
        news = self._held.pop(self.rev + 1, None)
        if news is not None:
            rev = self.rev = self.rev + 1
            written = await self._out(news)
            self._traces.told((self._id, rev, time(), written))
            news.told()
            return True
        top = min(self._top, min(self._held) - 1) if self._held else self._top
        if top > self.rev:
            first, self.rev = self.rev + 1, top
            later = {session: begins for session, begins in self._late.items() if begins.rev > self.rev}
            self._late = {session: begins._replace(given=self.rev) for session, begins in later.items()}
            written = await self._fan.out(self.sessions, self._behind(self.rev))
            self._traces.skipped((self._id, first, self.rev, time(), written))
            return True
        return False
