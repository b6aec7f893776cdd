"""This node and the others: what is told here is told there, and what may have been missed is looked up in Postgres.

Every order has one road: it is carried out here, and put on the bus; there `obey` carries it out in the same way. Events carry
their `rev`, orders can be obeyed twice, and whoever missed one finds the truth in Postgres (`resync`), so the bus may lose what
it likes.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import trio
from msgspec import Raw, msgpack

from chatd.cluster import control_messages
from chatd.cluster.bus import Bus
from chatd.cluster.control_messages import ControlMessage, HubMessage
from chatd.cluster.reconciler import Reconciler
from chatd.cluster.signals import EventSent, UserBanned
from chatd.core import log
from chatd.db.postgres import Postgres
from chatd.realtime.hub import Hub
from chatd.realtime.subscriptions import News, SharedFrame
from chatd.wire.base import Event

LOG = log.get(__name__)
# Seconds that other nodes have to say whether they know somebody.
SEEK = 1.5
# Bytes of an event that goes to the other nodes whole; of a larger one they are told that there is something to sync.
MAX_EVENT_BYTES = 32 * 1024
ENCODE = msgpack.Encoder().encode


class Cluster:
    """See the module. `read` and `write` of the bus run beside it, a `PeerWatch`, and `mend` and `patrol` of its `reconciler`.

    `packages`: where the messages between nodes are declared.
    """

    def __init__(self, hub: Hub, bus: Bus, db: Postgres, clock: Callable[[], int], packages: Iterable[str] = ("chatd",)) -> None:
        self.hub = hub
        self._bus = bus
        self._decode = control_messages.decoder(packages).decode
        self._clock = clock
        self._sought: dict[tuple[str, str], set[trio.Event]] = {}
        self._handlers: dict[type[Any], Callable[[Any], Awaitable[None]]] = {}
        self.reconciler = Reconciler(hub, db)
        self.resync = self.reconciler.resync

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

    @property
    def bus(self) -> Bus:
        """For those who look, not for those who tell."""
        return self._bus

    @property
    def well(self) -> bool:
        """Whether the bus carries what is published."""
        return self._bus.well

    def peers(self, within: float) -> list[str]:
        """Other nodes that have been heard of in so many seconds; each says something every second."""
        return self._bus.peers(within)

    def on(self, kind: type[Any], handle: Callable[[Any], Awaitable[None]]) -> None:
        """Who carries out orders of this kind."""
        self._handlers[kind] = handle

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
        self.hub.signals.send_sync(EventSent(tenant, conversation, event))
        if not self._bus.alone:
            body = ENCODE(event)
            if rev and len(body) > MAX_EVENT_BYTES and not parts:
                self.publish(control_messages.TellBehind(tenant, conversation, rev))
            else:
                self.publish(control_messages.TellConversation(tenant, conversation, rev, but, volatile, Raw(body), list(parts)))
            if rev:
                self.hub.traces.given((conversation, rev, self._bus.given))
        after = self.hub.part_after(tenant, conversation, parts, rev) if parts else then
        await self.hub.tell_conversation(tenant, conversation, News(SharedFrame(event), rev, but, volatile, after))

    async def tell_user(self, tenant: str, user: str, event: Event, *, but: str | None = None) -> None:
        if not self._bus.alone:
            self.publish(control_messages.TellUser(tenant, user, but, Raw(ENCODE(event))))
        await self.hub.tell_user(tenant, user, News(SharedFrame(event), but=but))

    async def tell_behind(self, tenant: str, conversation: str, rev: int) -> None:
        """Nobody knows whether changes up to `rev` were told to anybody. Nothing below it is being committed here."""
        self.publish(control_messages.TellBehind(tenant, conversation, rev))
        await self.hub.skip_to(tenant, conversation, rev)

    def close_sessions(self, tenant: str, user: str, close: str, *, credential: str | None = None) -> None:
        """Call it when the reason is committed: from here the time counts until they are closed."""
        self.broadcast(control_messages.CloseUser(tenant, user, close, credential, self._clock()))

    def close_sessions_here(self, tenant: str, user: str, close: str, credential: str | None, at: int) -> None:
        """On this node only. `at`: when the reason was committed, in milliseconds."""
        LOG.info(
            "sessions of a user are closed", extra={"close": close, "tenant": tenant, "user": user, "credential": credential}
        )
        if close == "banned":
            self.hub.signals.send_sync(UserBanned(tenant, user))
        self.hub.close_sessions(tenant, user, close, credential=credential, at=at)

    def broadcast(self, message: HubMessage) -> None:
        """Apply it on all nodes, this one included."""
        self.publish(message)
        message.apply_now(self)

    def publish(self, order: ControlMessage) -> None:
        """To all other nodes."""
        if not self._bus.alone:
            self._bus.publish(control_messages.encode_order(order))

    async def order(self, order: ControlMessage) -> None:
        """To all nodes, this one included; for orders that have a handler (`on`)."""
        self.publish(order)
        await self._handlers[type(order)](order)

    # --- being told -----------------------------------------------------------------------------------------------------

    async def obey(self, data: bytes) -> None:
        """Apply what another node has sent."""
        await self._decode(data).apply(self)

    async def handle(self, message: ControlMessage) -> None:
        """By the service that said `on`, if it is open."""
        handle = self._handlers.get(type(message))
        if handle is not None:
            await handle(message)

    def note_seen(self, tenant: str, user: str) -> None:
        """Another node has a session of this user."""
        for answer in self._sought.get((tenant, user), ()):
            answer.set()

    async def is_anywhere(self, tenant: str, user: str) -> bool:
        """Whether the user is connected, here or on another node."""
        if self.hub.sessions_of(tenant, user):
            return True
        if self._bus.alone:
            return False
        answer, asked = trio.Event(), self._sought.setdefault((tenant, user), set())
        asked.add(answer)
        self.publish(control_messages.Seek(tenant, user, self.name))
        try:
            with trio.move_on_after(SEEK):
                await answer.wait()
        finally:
            asked.discard(answer)
            if not asked:
                self._sought.pop((tenant, user), None)
        return answer.is_set()
