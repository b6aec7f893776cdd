"""This node and the others: what is told here is told there, and what may have been missed is looked up in Postgres.

Every order has one road: it is carried out here, and put on the bus; there `obey` carries it out in the same way. Events carry
their `rev`, orders can be obeyed twice, and whoever missed one finds the truth in Postgres (`resync`), so the bus may lose what
it likes.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import trio
from msgspec import Raw, msgpack

from chatd import log
from chatd.errors import Refused
from chatd.node import orders
from chatd.node.audience import News, SharedFrame
from chatd.node.hub import Hub
from chatd.store import queries
from chatd.store.bus import Bus
from chatd.store.postgres import Postgres, Row
from chatd.wire.changes import SessionBehind
from chatd.wire.codec import Codec
from chatd.wire.messages import Event

LOG = log.get(__name__)
SQL = queries.load("cluster")

# Seconds that an event may be late before Postgres is asked what is missing.
PATIENCE = 0.3
USERS_AT_ONCE = 500
# Seconds that other nodes have to say whether they know somebody.
SEEK = 1.5
# Seconds between two looks at who must go.
PATROL = 10
ENCODE = msgpack.Encoder().encode


class RawFrame(SharedFrame):
    """An event that another node has sent, as its body in msgpack. Only who speaks something else makes it be read."""

    __slots__ = ("_body",)

    def __init__(self, body: Raw) -> None:
        self._body = body

    def __missing__(self, codec: Codec) -> bytes:
        body: Any = self._body if codec.name == "msgpack" else msgpack.decode(self._body)
        frame = self[codec] = codec.frame_of(body)
        return frame


class Cluster:
    """See the module. `read`, `write` and `watch` of the bus, and `mend`, run beside it."""

    def __init__(self, hub: Hub, bus: Bus, db: Postgres, clock: Callable[[], int]) -> None:
        self._hub = hub
        self._bus = bus
        self._db = db
        self._clock = clock
        self._horizon: str | None = None
        self._resyncing = trio.Lock()
        self._sought: dict[tuple[str, str], set[trio.Event]] = {}
        self._owes_resync = False
        self._handlers: dict[type[Any], Callable[[Any], Awaitable[None]]] = {}
        self._on_resync: list[Callable[[], Awaitable[None]]] = []
        # Told of everything that is told to a conversation from this node.
        self.listener: Callable[[str, str, Event], None] = lambda tenant, conversation, event: None

    @property
    def name(self) -> str:
        """This node's."""
        return self._bus.name

    @property
    def alone(self) -> bool:
        """Whether certainly no other node is there."""
        return self._bus.alone

    def statistics(self) -> dict[str, int]:
        """Of the bus."""
        return self._bus.statistics()

    def on(self, kind: type[Any], handle: Callable[[Any], Awaitable[None]]) -> None:
        """Who carries out orders of this kind."""
        self._handlers[kind] = handle

    def on_resync(self, call: Callable[[], Awaitable[None]]) -> None:
        """What else to do when orders may have been lost."""
        self._on_resync.append(call)

    # --- telling --------------------------------------------------------------------------------------------------------

    async def tell_conversation(
        self,
        tenant: str,
        conversation: str,
        event: Event,
        *,
        but: str | None = None,
        volatile: bool = False,
        then: Callable[[], None] | None = None,
        parts: Sequence[str] = (),
    ) -> None:
        rev = getattr(event, "rev", 0) or 0
        self.listener(tenant, conversation, event)
        if not self._bus.alone:
            self.publish(orders.TellConversation(tenant, conversation, rev, but, volatile, Raw(ENCODE(event)), list(parts)))
        after = self._parting(tenant, conversation, parts) if parts else then
        await self._hub.tell_conversation(tenant, conversation, News(SharedFrame(event), rev, but, volatile, after))

    def _parting(self, tenant: str, conversation: str, users: Sequence[str]) -> Callable[[], None]:
        """What comes after the last event that these users hear, and before the next one."""
        return lambda: self._hub.part(tenant, conversation, users)

    async def tell_user(self, tenant: str, user: str, event: Event, *, but: str | None = None) -> None:
        if not self._bus.alone:
            self.publish(orders.TellUser(tenant, user, but, Raw(ENCODE(event))))
        await self._hub.tell_user(tenant, user, News(SharedFrame(event), but=but))

    async def tell_behind(self, tenant: str, conversation: str, rev: int) -> None:
        """Nobody knows whether changes up to `rev` were told to anybody."""
        self.publish(orders.TellBehind(tenant, conversation, rev))
        await self._hub.tell_behind(tenant, conversation, rev)

    def join(self, tenant: str, conversation: str, users: Sequence[str], rev: int) -> None:
        self.publish(orders.Joined(tenant, conversation, list(users), rev))
        self._hub.join(tenant, conversation, users, rev)

    def part(self, tenant: str, conversation: str, users: Sequence[str]) -> None:
        """From here on they do not hear it."""
        self.publish(orders.Parted(tenant, conversation, list(users)))
        self._hub.part(tenant, conversation, users)

    def hush(self, tenant: str, conversation: str, on: bool) -> None:
        """Nothing volatile is told there from now on, or it is again."""
        self.publish(orders.Hushed(tenant, conversation, on))
        self._hub.hush(tenant, conversation, on)

    def close_sessions(self, tenant: str, user: str, close: str, *, login: str | None = None) -> None:
        """Call it when the reason is committed: from here the time counts until they are closed."""
        now = self._clock()
        self.publish(orders.CloseUser(tenant, user, close, login, now))
        self._hub.close_sessions(tenant, user, close, login=login, at=now)

    def publish(self, order: orders.Order) -> None:
        """To all other nodes."""
        if not self._bus.alone:
            self._bus.publish(orders.encode_order(order))

    # --- being told -----------------------------------------------------------------------------------------------------

    async def obey(self, data: bytes) -> None:
        """Carry out what another node has told."""
        hub = self._hub
        match orders.decode_order(data):
            case orders.TellConversation(tenant, conversation, rev, but, volatile, event, parts):
                after = self._parting(tenant, conversation, parts) if parts else None
                await hub.tell_conversation(tenant, conversation, News(RawFrame(event), rev, but, volatile, after))
            case orders.TellBehind(tenant, conversation, rev):
                await hub.tell_behind(tenant, conversation, rev)
            case orders.TellUser(tenant, user, but, event):
                await hub.tell_user(tenant, user, News(RawFrame(event), but=but))
            case orders.Joined(tenant, conversation, users, rev):
                hub.join(tenant, conversation, users, rev)
            case orders.Parted(tenant, conversation, users):
                hub.part(tenant, conversation, users)
            case orders.Hushed(tenant, conversation, on):
                hub.hush(tenant, conversation, on)
            case orders.CloseUser(tenant, user, close, login, at):
                hub.close_sessions(tenant, user, close, login=login, at=at)
            case orders.Seek(tenant, user, asker):
                if hub.sessions_of(tenant, user):
                    self.publish(orders.Seen(tenant, user, asker))
            case orders.Seen(tenant, user, asker):
                for answer in self._sought.get((tenant, user), ()) if asker == self.name else ():
                    answer.set()
            case other:
                await self._handlers[type(other)](other)

    async def is_anywhere(self, tenant: str, user: str) -> bool:
        """Whether the user is connected, here or on another node."""
        if self._hub.sessions_of(tenant, user):
            return True
        if self._bus.alone:
            return False
        answer, asked = trio.Event(), self._sought.setdefault((tenant, user), set())
        asked.add(answer)
        self.publish(orders.Seek(tenant, user, self.name))
        with trio.move_on_after(SEEK):
            await answer.wait()
        asked.discard(answer)
        if not asked:
            self._sought.pop((tenant, user), None)
        return answer.is_set()

    # --- what was missed ------------------------------------------------------------------------------------------------

    async def mend(self) -> None:
        """For ever: where something is missing for too long, say how far the conversation is."""
        while True:
            await trio.sleep(PATIENCE / 3)
            late = trio.current_time() - PATIENCE
            keys = [key for key, since in self._hub.waiting.items() if since <= late]
            if keys:
                try:
                    await self._skip_to_truth(await self._db.all(SQL.revs, *map(list, zip(*keys, strict=True))))
                except Refused:
                    continue

    async def _skip_to_truth(self, rows: Sequence[Row]) -> None:
        for row in rows:
            await self._hub.tell_behind(row["tenant"], row["id"], row["rev"])

    async def begin(self) -> None:
        """Call it before anybody is let in: what changes from now on is heard, or found by `resync`."""
        self._horizon = await self._db.value(SQL.horizon)

    async def resync(self) -> None:
        """Orders may have been lost: find out what they would have said. A database that is away is asked again later."""
        async with self._resyncing:
            try:
                for call in self._on_resync:
                    await call()
                await self._resync()
                self._owes_resync = False
            except Refused:
                self._owes_resync = True
                LOG.warning("resync put off: the database is away")

    async def _resync(self) -> None:
        horizon = await self._db.value(SQL.horizon)
        users = self._hub.users()
        for at in range(0, len(users), USERS_AT_ONCE):
            tenants, ids = map(list, zip(*users[at : at + USERS_AT_ONCE], strict=True))
            for row in await self._db.all(SQL.changed, tenants, ids, self._horizon):
                await self._learn(row)
            for row in await self._db.all(SQL.parted, tenants, ids, self._horizon):
                self._hub.part(row["tenant"], row["conversation"], [row["user_id"]])
            for row in await self._db.all(SQL.own, tenants, ids, self._horizon):
                await self._hub.tell_user(row["tenant"], row["user"], News(SharedFrame(SessionBehind())))
        await self._close_who_must_go(users)
        self._horizon = horizon

    async def _close_who_must_go(self, users: Sequence[tuple[str, str]]) -> None:
        """Who is banned, and whose login has ended."""
        for at in range(0, len(users), USERS_AT_ONCE):
            tenants, ids = map(list, zip(*users[at : at + USERS_AT_ONCE], strict=True))
            for row in await self._db.all(SQL.banned, tenants, ids, self._clock()):
                self._hub.close_sessions(row["tenant"], row["user_id"], "banned", at=row["at"])
            for row in await self._db.all(SQL.ended_logins, tenants, ids):
                self._hub.close_sessions(row["tenant"], row["user_id"], "logged_out", login=row["id"], at=row["at"])

    async def patrol(self) -> None:
        """For ever: an order can be lost without a trace, a ban must not be. And a resync that was put off is made up for."""
        while True:
            for _ in range(PATROL):
                await trio.sleep(1)
                if self._owes_resync:
                    await self.resync()
            with suppress(Refused):
                await self._close_who_must_go(self._hub.users())

    async def _learn(self, row: Row) -> None:
        """A conversation that has changed: its members hear it, and are told that they are behind when they are."""
        tenant, id_, rev = row["tenant"], row["id"], row["rev"]
        before = self._hub.rev_of(tenant, id_)
        self._hub.join(tenant, id_, row["users"], 0 if before is None else before)
        self._hub.hush(tenant, id_, row["blocked"])
        await self._hub.tell_behind(tenant, id_, rev)
