"""What nodes say to each other. Arrays on the wire of the cluster, because most of it is for nobody here, and skipped."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Union

from msgspec import Raw, Struct, msgpack

from chatd.cluster.signals import UserBanned
from chatd.core import log
from chatd.realtime.drain import Drain
from chatd.realtime.sessions import Delivery, ForwardedEvent
from chatd.wire.base import declared_below

if TYPE_CHECKING:
    from chatd.cluster.cluster import Cluster

LOG = log.get(__name__)


class ControlMessage(Struct, tag_field="t"):
    """A message from node to node, which applies itself. A subclass lies beside the service that it changes."""

    async def apply(self, cluster: "Cluster") -> None:
        """Carry it out on this node. Raises NotOpen if a service that it needs is not open."""
        raise NotImplementedError


class TellConversation(ControlMessage, array_like=True, tag="event"):
    """An event of a conversation; `rev` 0 when it has no place in the order. `event` is its body in msgpack.

    After it the users in `parts` hear the conversation no more.
    """

    tenant: str
    conversation: str
    rev: int
    but: str | None
    volatile: bool
    event: Raw
    parts: Sequence[str] = ()

    async def apply(self, cluster: "Cluster") -> None:
        hub = cluster.hub
        after = hub.subscriptions.unsubscribe_after(self.tenant, self.conversation, self.parts, self.rev) if self.parts else None
        news = Delivery(ForwardedEvent(self.event), self.rev, self.but, self.volatile, after)
        await hub.subscriptions.deliver(self.tenant, self.conversation, news)


class TellBehind(ControlMessage, array_like=True, tag="behind"):
    """Something of the conversation up to `rev` may have been told to nobody."""

    tenant: str
    conversation: str
    rev: int

    async def apply(self, cluster: "Cluster") -> None:
        await cluster.hub.subscriptions.report_gap(self.tenant, self.conversation, self.rev)


class TellUser(ControlMessage, array_like=True, tag="user"):
    """An event for all sessions of a user."""

    tenant: str
    user: str
    but: str | None
    event: Raw

    async def apply(self, cluster: "Cluster") -> None:
        await cluster.hub.deliver_to_user(self.tenant, self.user, Delivery(ForwardedEvent(self.event), exclude_session=self.but))


class Joined(ControlMessage, array_like=True, tag="join"):
    """These hear it, from `rev` on; `anew`: their membership begins."""

    tenant: str
    conversation: str
    users: list[str]
    rev: int
    anew: bool = False

    async def apply(self, cluster: "Cluster") -> None:
        """What comes too late for its place in the order is looked up: the membership may have ended since."""
        hub = cluster.hub
        if self.anew and (hub.subscriptions.rev_of(self.tenant, self.conversation) or 0) > self.rev:
            cluster.reconciler.doubt(self.tenant, self.conversation)
        hub.subscriptions.subscribe_users(self.tenant, self.conversation, self.users, self.rev, is_new_member=self.anew)


class Parted(ControlMessage, array_like=True, tag="part"):
    """These users hear the conversation no more."""

    tenant: str
    conversation: str
    users: list[str]

    async def apply(self, cluster: "Cluster") -> None:
        cluster.hub.subscriptions.unsubscribe_users(self.tenant, self.conversation, self.users)


class Hushed(ControlMessage, array_like=True, tag="hush"):
    """Nothing volatile is told in this conversation, or it is again."""

    tenant: str
    conversation: str
    on: bool

    async def apply(self, cluster: "Cluster") -> None:
        cluster.hub.subscriptions.suppress_ephemeral(self.tenant, self.conversation, self.on)


class Doubtful(ControlMessage, array_like=True, tag="doubt"):
    """Who hears this conversation, and how far it is, has to be looked up."""

    tenant: str
    conversation: str

    async def apply(self, cluster: "Cluster") -> None:
        cluster.reconciler.doubt(self.tenant, self.conversation)


class CloseUser(ControlMessage, array_like=True, tag="close"):
    """Close the sessions of a user: all, or those of one credential. `at`: when that was committed, in milliseconds, or 0."""

    tenant: str
    user: str
    close: str
    credential: str | None
    at: int = 0

    async def apply(self, cluster: "Cluster") -> None:
        names = {"close": self.close, "tenant": self.tenant, "user": self.user, "credential": self.credential}
        LOG.info("sessions of a user are closed", extra=names)
        if self.close == "banned":
            cluster.hub.signals.send_sync(UserBanned(self.tenant, self.user))
        cluster.hub.close_sessions(self.tenant, self.user, self.close, credential=self.credential, at=self.at)


class StartDrain(ControlMessage, array_like=True, tag="drain"):
    """Drain the node of this name, or all nodes if it is empty.

    Sessions are closed one by one within `over` seconds. `by`: the operator, for the log.
    """

    node: str
    over: float
    by: str = ""

    async def apply(self, cluster: "Cluster") -> None:
        if self.node in ("", cluster.name):
            cluster.services.get(Drain).ask(self.over, self.by or "an operator")


encode = msgpack.Encoder().encode


def declared(packages: Iterable[str] = ("chatd",)) -> list[type[ControlMessage]]:
    """The classes of control messages in these packages, without their bases."""
    return [kind for kind in declared_below(ControlMessage, packages) if not kind.__subclasses__()]


def decoder(packages: Iterable[str] = ("chatd",)) -> "msgpack.Decoder[ControlMessage]":
    """For all control messages that are declared in these packages."""
    kinds = sorted(declared(packages), key=lambda kind: kind.__name__)
    return msgpack.Decoder(Union[tuple(kinds)])  # noqa: UP007
