"""What the request of a client reads: a session of this node, one of another node, or a new one."""

from contextlib import ExitStack
from typing import Protocol

from chatd.accounts.authentication import SignIn
from chatd.app.context import Node
from chatd.core.identity import Principal
from chatd.event_streams.positions import Position, prefix_of
from chatd.event_streams.relay import SessionRelay
from chatd.event_streams.service import EventSessions
from chatd.event_streams.session import EventSession


class Reading(Protocol):
    """See `session.Reading`."""

    number: int

    @property
    def is_over(self) -> bool: ...

    async def next(self, timeout_s: float) -> list[bytes] | None:
        """The next frames; None if the session is gone without an end."""
        ...


class RemoteReading:
    """A session of another node. See `Reading`."""

    def __init__(self, relay: SessionRelay, position: Position, who: Principal) -> None:
        self._relay = relay
        self._position = position
        self._who = who
        self.number = position.number
        self.is_over = False

    async def next(self, timeout_s: float) -> list[bytes] | None:
        found = await self._relay.frames(self._position._replace(number=self.number), self._who, timeout_s)
        if found is None:
            return None
        self.number += len(found.frames)
        self.is_over = found.is_over
        return found.frames


class ClientFrames:
    """The frames for one request. A session that is gone is followed by a new one.

    `held`: what the request holds until its response is written. `prefix`: of the positions, before the number.
    """

    def __init__(self, node: Node, who: Principal, address: str, transport: str, held: ExitStack) -> None:
        self._node = node
        self._who = who
        self._address = address
        self._transport = transport
        self._held = held
        self._reading: Reading | None = None
        # The session, if it is one of this node.
        self.session: EventSession | None = None
        self.prefix = b""

    @property
    def number(self) -> int:
        """The number of the last frame."""
        return self._reading.number if self._reading is not None else 0

    @property
    def is_over(self) -> bool:
        return self._reading is not None and self._reading.is_over

    @property
    def position(self) -> str:
        """The position after the last frame."""
        return f"{self.prefix.decode()}{self.number}"

    async def begin(self, position: Position | None) -> None:
        """Continue after this position, or begin a session. Raises Refused.

        The credential is checked first: one that has ended reads nothing, and keeps no session alive.
        """
        if position is None:
            await self._open()
            return
        await self._node.get(SignIn).check(self._who, self._address, self._node.clock())
        if position.node != self._node.cluster.name:
            self._reading = RemoteReading(self._node.get(SessionRelay), position, self._who)
            self.prefix = prefix_of(position.node, position.session)
        elif (session := self._node.get(EventSessions).find(position.session, self._who, position.number)) is not None:
            self._read(session, position.number)
        else:
            await self._open()

    async def next(self, timeout_s: float) -> list[bytes]:
        """The next frames; none after the timeout, or at the end. Raises Refused."""
        assert self._reading is not None
        frames = await self._reading.next(timeout_s)
        if frames is None:
            await self._open()
            frames = await self._reading.next(0)
        return frames or []

    async def _open(self) -> None:
        sessions = self._node.get(EventSessions)
        self._read(await sessions.open(self._who, self._address, self._transport), 0)

    def _read(self, session: EventSession, after: int) -> None:
        self.session, self.prefix = session, prefix_of(self._node.cluster.name, session.id)
        self._reading = self._held.enter_context(session.read(after))
