"""This node among the others: events and control messages reach all nodes, and what may have been lost is read from
Postgres.

A control message is applied on this node and published on the bus; the other nodes apply it in the same way. Events
carry their `rev`, and applying a control message twice does no harm. A node that missed one reads the state from
Postgres (`resync`), so the bus may lose messages.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Raw, msgpack

from chatd.cluster import control_messages
from chatd.cluster.bus import Bus
from chatd.cluster.control_messages import ControlMessage
from chatd.cluster.lookup import ClusterLookup
from chatd.cluster.reconciler import Reconciler
from chatd.cluster.signals import EventSent
from chatd.core.config import ClusterTimes
from chatd.core.services import NotOpen, Services
from chatd.db.postgres import Postgres
from chatd.realtime.hub import Hub
from chatd.realtime.sessions import Delivery, EncodedEvent
from chatd.wire.base import Event

# The other nodes get a larger event as `behind`.
MAX_EVENT_BYTES = 32 * 1024
ENCODE = msgpack.Encoder().encode


class Cluster:
    """The cluster as this node sees it. `daemon.open_cluster` runs its background tasks.

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
        self.lookup = self.services.add(ClusterLookup(hub, bus))
        self.reconciler = Reconciler(hub, db, bus.times)
        self.resync = self.reconciler.resync

    @property
    def name(self) -> str:
        """The name of this node."""
        return self._bus.name

    @property
    def times(self) -> ClusterTimes:
        return self._bus.times

    @property
    def is_single_node(self) -> bool:
        """Whether no other node can be running."""
        return self._bus.is_single_node

    def statistics(self) -> dict[str, int]:
        """The counters of the bus."""
        return self._bus.statistics()

    @property
    def bus(self) -> Bus:
        """The bus, for code that observes it. To publish, use `publish`."""
        return self._bus

    @property
    def is_healthy(self) -> bool:
        """Whether published messages reach the bus."""
        return self._bus.is_healthy

    def peers(self, within: float) -> list[str]:
        """The other nodes that have written within the last `within` seconds; each writes once per heartbeat."""
        return self._bus.peers(within)

    async def deliver_to_conversation(
        self,
        tenant: str,
        conversation: str,
        event: Event,
        *,
        exclude_session: str | None = None,
        ephemeral: bool = False,
        on_delivered: Callable[[], None] | None = None,
        leaving: Sequence[str] = (),
    ) -> None:
        """Deliver an event to the subscribers of a conversation, on all nodes.

        `on_delivered` is called when it is delivered here. `leaving`: users for whom it is the last event of the
        conversation.
        """
        rev = getattr(event, "rev", 0) or 0
        self.hub.signals.send_sync(EventSent(tenant, conversation, event))
        if not self._bus.is_single_node:
            body = ENCODE(event)
            if rev and len(body) > MAX_EVENT_BYTES and not leaving:
                self.publish(control_messages.DeliverBehind(tenant, conversation, rev))
            else:
                self.publish(
                    control_messages.DeliverToConversation(
                        tenant, conversation, rev, exclude_session, ephemeral, Raw(body), list(leaving)
                    )
                )
            if rev:
                self.hub.traces.enqueued((conversation, rev, self._bus.enqueued))
        if leaving:
            on_delivered = self.hub.memberships.remove_after(tenant, conversation, leaving, rev)
        delivery = Delivery(EncodedEvent(event), rev, exclude_session, ephemeral, on_delivered)
        await self.hub.subscriptions.deliver(tenant, conversation, delivery)

    async def deliver_to_user(
        self, tenant: str, user: str, event: Event, *, exclude_session: str | None = None
    ) -> None:
        if not self._bus.is_single_node:
            self.publish(control_messages.DeliverToUser(tenant, user, exclude_session, Raw(ENCODE(event))))
        await self.hub.deliver_to_user(tenant, user, Delivery(EncodedEvent(event), exclude_session=exclude_session))

    async def deliver_behind(self, tenant: str, conversation: str, rev: int) -> None:
        """Deliver `behind` on all nodes: events up to `rev` may be missing.

        This node must not be committing anything below `rev`.
        """
        self.publish(control_messages.DeliverBehind(tenant, conversation, rev))
        await self.hub.subscriptions.advance_past_gap(tenant, conversation, rev)

    def publish(self, message: ControlMessage) -> None:
        """Send a control message to all other nodes."""
        control_messages.publish(self._bus, message)

    async def broadcast(self, message: ControlMessage) -> None:
        """Apply a control message on all nodes, this one included."""
        self.publish(message)
        await message.apply(self)

    async def handle(self, data: bytes) -> None:
        """Apply what another node has published. A node that starts or stops skips what it has no service for."""
        message = self._decode(data)
        try:
            await message.apply(self)
        except NotOpen:
            return
