"""This node among the others: events and control messages reach all nodes, and what may have been lost is read from Postgres.

A control message is applied on this node and published on the bus; the other nodes apply it in the same way. Events carry their
`rev`, and applying a control message twice does no harm. A node that missed one reads the state from Postgres (`resync`), so the
bus may lose messages.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from msgspec import Raw, msgpack

from chatd.cluster import control_messages
from chatd.cluster.bus import Bus
from chatd.cluster.control_messages import ControlMessage
from chatd.cluster.lookup import ClusterLookup
from chatd.cluster.reconciler import Reconciler
from chatd.cluster.signals import EventSent
from chatd.core.services import NotOpen, Services
from chatd.db.postgres import Postgres
from chatd.realtime.hub import Hub
from chatd.realtime.sessions import Delivery, EncodedEvent
from chatd.wire.base import Event

# Bytes of an event that goes to the other nodes whole; of a larger one they are told that there is something to sync.
MAX_EVENT_BYTES = 32 * 1024
ENCODE = msgpack.Encoder().encode


class Cluster:
    """See the module. `read` and `write` of the bus run beside it, a `PeerWatch`, and `mend` and `patrol` of its `reconciler`.

    `packages`: where control messages are declared. `services`: what they apply themselves to, besides the hub.
    """

    def __init__(
        self,
        hub: Hub,
        bus: Bus,
        db: Postgres,
        packages: Iterable[str] = ("chatd",),
        services: Services | None = None,
    ) -> None:
        self.hub = hub
        self._bus = bus
        self._decode = control_messages.decoder(packages).decode
        self.services = services or Services()
        self.lookup = ClusterLookup(self)
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
                self.hub.traces.enqueued((conversation, rev, self._bus.given))
        after = self.hub.subscriptions.unsubscribe_after(tenant, conversation, parts, rev) if parts else then
        await self.hub.subscriptions.deliver(tenant, conversation, Delivery(EncodedEvent(event), rev, but, volatile, after))

    async def tell_user(self, tenant: str, user: str, event: Event, *, but: str | None = None) -> None:
        if not self._bus.alone:
            self.publish(control_messages.TellUser(tenant, user, but, Raw(ENCODE(event))))
        await self.hub.deliver_to_user(tenant, user, Delivery(EncodedEvent(event), exclude_session=but))

    async def tell_behind(self, tenant: str, conversation: str, rev: int) -> None:
        """Nobody knows whether changes up to `rev` were told to anybody. Nothing below it is being committed here."""
        self.publish(control_messages.TellBehind(tenant, conversation, rev))
        await self.hub.subscriptions.advance_past_gap(tenant, conversation, rev)

    def publish(self, message: ControlMessage) -> None:
        """Send a control message to all other nodes."""
        if not self._bus.alone:
            self._bus.publish(control_messages.encode(message))

    async def broadcast(self, message: ControlMessage) -> None:
        """Apply a control message on all nodes, this one included."""
        self.publish(message)
        await message.apply(self)

    async def handle(self, data: bytes) -> None:
        """Apply what another node has published. A node that starts or stops skips what it has no service for."""
        with suppress(NotOpen):
            await self._decode(data).apply(self)
