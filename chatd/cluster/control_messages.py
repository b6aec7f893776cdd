"""Control messages: what nodes send each other.

Encoded as arrays, because most are not for any user of the receiving node.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, Union

from msgspec import Raw, Struct, msgpack

from chatd.cluster.bus import Bus
from chatd.cluster.reconciler import Reconciler
from chatd.cluster.signals import UserBanned
from chatd.core import log
from chatd.core.services import Services
from chatd.realtime.drain import Drain
from chatd.realtime.hub import Hub
from chatd.realtime.sessions import Delivery, ForwardedEvent
from chatd.wire.base import declared_below

LOG = log.get(__name__)


class Receiver(Protocol):
    """The parts of a node that a control message may change: `Cluster`."""

    hub: Hub
    reconciler: Reconciler
    services: Services

    @property
    def name(self) -> str:
        """The name of the node."""

    def publish(self, message: "ControlMessage") -> None:
        """Send a control message to all other nodes."""


class ControlMessage(Struct, tag_field="t"):
    """A message from node to node, which applies itself. A subclass is declared in the module of the service that it
    changes.
    """

    async def apply(self, receiver: Receiver) -> None:
        """Carry it out on this node. Raises NotOpen if a service that it needs is not open."""
        raise NotImplementedError


class DeliverToConversation(ControlMessage, array_like=True, tag="event"):
    """An event for the subscribers of a conversation. `rev`: 0 if it has no number. `event`: its body in msgpack.

    `leaving`: users for whom it is the last event of the conversation.
    """

    tenant: str
    conversation: str
    rev: int
    exclude_session: str | None
    ephemeral: bool
    event: Raw
    leaving: Sequence[str] = ()

    async def apply(self, receiver: Receiver) -> None:
        """Most events are for no session of this node, so they are skipped before anything is made of them."""
        hub = receiver.hub
        on_delivered = None
        if self.leaving:
            on_delivered = hub.memberships.remove_after(self.tenant, self.conversation, self.leaving, self.rev)
        elif hub.subscriptions.skip(self.tenant, self.conversation, self.rev):
            return
        delivery = Delivery(ForwardedEvent(self.event), self.rev, self.exclude_session, self.ephemeral, on_delivered)
        await hub.subscriptions.deliver(self.tenant, self.conversation, delivery)


class DeliverBehind(ControlMessage, array_like=True, tag="behind"):
    """Events of the conversation up to `rev` may be missing on all nodes."""

    tenant: str
    conversation: str
    rev: int

    async def apply(self, receiver: Receiver) -> None:
        await receiver.hub.subscriptions.report_gap(self.tenant, self.conversation, self.rev)


class DeliverToUser(ControlMessage, array_like=True, tag="user"):
    """An event for all sessions of a user."""

    tenant: str
    user: str
    exclude_session: str | None
    event: Raw

    async def apply(self, receiver: Receiver) -> None:
        await receiver.hub.deliver_to_user(
            self.tenant, self.user, Delivery(ForwardedEvent(self.event), exclude_session=self.exclude_session)
        )


class SubscribeUsers(ControlMessage, array_like=True, tag="join"):
    """Subscribe users to a conversation, after `rev`. `is_new_member`: their membership begins there."""

    tenant: str
    conversation: str
    users: list[str]
    rev: int
    is_new_member: bool = False

    async def apply(self, receiver: Receiver) -> None:
        """Look up a membership that is older than the last delivered event: it may have ended since."""
        hub = receiver.hub
        if self.is_new_member and (hub.subscriptions.rev_of(self.tenant, self.conversation) or 0) > self.rev:
            receiver.reconciler.mark_suspect(self.tenant, self.conversation)
        hub.memberships.add(self.tenant, self.conversation, self.users, self.rev, is_new_member=self.is_new_member)


class UnsubscribeUsers(ControlMessage, array_like=True, tag="part"):
    """Unsubscribe users from a conversation."""

    tenant: str
    conversation: str
    users: list[str]

    async def apply(self, receiver: Receiver) -> None:
        receiver.hub.memberships.remove(self.tenant, self.conversation, self.users)


class SuppressTyping(ControlMessage, array_like=True, tag="hush"):
    """Suppress ephemeral events in a conversation, or stop that: one of two members has blocked the other."""

    tenant: str
    conversation: str
    on: bool

    async def apply(self, receiver: Receiver) -> None:
        receiver.hub.memberships.suppress_ephemeral(self.tenant, self.conversation, self.on)


class RecheckConversation(ControlMessage, array_like=True, tag="doubt"):
    """Look up the members and the last rev of this conversation."""

    tenant: str
    conversation: str

    async def apply(self, receiver: Receiver) -> None:
        receiver.reconciler.mark_suspect(self.tenant, self.conversation)


class CloseUserSessions(ControlMessage, array_like=True, tag="close"):
    """Close the sessions of a user: all, or those of one credential. `at`: when the reason was committed (ms); 0 if
    unknown.
    """

    tenant: str
    user: str
    close: str
    credential: str | None
    at: int = 0

    async def apply(self, receiver: Receiver) -> None:
        names = {"close": self.close, "tenant": self.tenant, "user": self.user, "credential": self.credential}
        LOG.info("sessions of a user are closed", extra=names)
        if self.close == "banned":
            receiver.hub.signals.send_sync(UserBanned(self.tenant, self.user))
        receiver.hub.close_sessions(self.tenant, self.user, self.close, credential=self.credential, at=self.at)


class StartDrain(ControlMessage, array_like=True, tag="drain"):
    """Drain the node of this name, or all nodes if it is empty.

    Sessions are closed one by one within `over` seconds. `by`: the operator, for the log.
    """

    node: str
    over: float
    by: str = ""

    async def apply(self, receiver: Receiver) -> None:
        if self.node in ("", receiver.name):
            receiver.services.get(Drain).ask(self.over, self.by or "an operator")


encode = msgpack.Encoder().encode


def publish(bus: Bus, message: ControlMessage) -> None:
    """Send a control message to all other nodes, if there are any."""
    if not bus.is_single_node:
        bus.publish(encode(message))


def declared(packages: Iterable[str] = ("chatd",)) -> list[type[ControlMessage]]:
    """The classes of control messages in these packages, without their bases."""
    return [kind for kind in declared_below(ControlMessage, packages) if not kind.__subclasses__()]


def decoder(packages: Iterable[str] = ("chatd",)) -> "msgpack.Decoder[ControlMessage]":
    """A decoder of all control messages that are declared in these packages."""
    kinds = sorted(declared(packages), key=lambda kind: kind.__name__)
    return msgpack.Decoder(Union[tuple(kinds)])  # noqa: UP007
