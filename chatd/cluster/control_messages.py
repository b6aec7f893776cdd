"""What nodes say to each other. Arrays on the wire of the cluster, because most of it is for nobody here, and skipped."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Union

from msgspec import Raw, Struct, msgpack

from chatd.realtime.subscriptions import News, RawFrame
from chatd.wire.base import declared_below

if TYPE_CHECKING:
    from chatd.cluster.cluster import Cluster


class ControlMessage(Struct, tag_field="t"):
    """A message from node to node. Subclasses apply themselves, or a service applies them: see `Cluster.on`."""

    async def apply(self, cluster: "Cluster") -> None:
        """Carry it out on this node. Nothing may be there to do it while the node starts or stops."""
        await cluster.handle(self)


class HubMessage(ControlMessage):
    """One that is applied without awaiting."""

    def apply_now(self, cluster: "Cluster") -> None:
        """Carry it out on this node."""
        raise NotImplementedError

    async def apply(self, cluster: "Cluster") -> None:
        self.apply_now(cluster)


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
        after = hub.part_after(self.tenant, self.conversation, self.parts, self.rev) if self.parts else None
        news = News(RawFrame(self.event), self.rev, self.but, self.volatile, after)
        await hub.tell_conversation(self.tenant, self.conversation, news)


class TellBehind(ControlMessage, array_like=True, tag="behind"):
    """Something of the conversation up to `rev` may have been told to nobody."""

    tenant: str
    conversation: str
    rev: int

    async def apply(self, cluster: "Cluster") -> None:
        await cluster.hub.tell_behind(self.tenant, self.conversation, self.rev)


class TellUser(ControlMessage, array_like=True, tag="user"):
    """An event for all sessions of a user."""

    tenant: str
    user: str
    but: str | None
    event: Raw

    async def apply(self, cluster: "Cluster") -> None:
        await cluster.hub.tell_user(self.tenant, self.user, News(RawFrame(self.event), but=self.but))


class Recount(ControlMessage, array_like=True, tag="recount"):
    """This user has read further: their sessions, but this one, are to be told how the conversation stands for them."""

    tenant: str
    user: str
    conversation: str
    but: str | None


class Joined(HubMessage, array_like=True, tag="join"):
    """These hear it, from `rev` on; `anew`: their membership begins."""

    tenant: str
    conversation: str
    users: list[str]
    rev: int
    anew: bool = False

    def apply_now(self, cluster: "Cluster") -> None:
        """What comes too late for its place in the order is looked up: the membership may have ended since."""
        hub = cluster.hub
        if self.anew and (hub.rev_of(self.tenant, self.conversation) or 0) > self.rev:
            cluster.reconciler.doubt(self.tenant, self.conversation)
        hub.join(self.tenant, self.conversation, self.users, self.rev, anew=self.anew)


class Parted(HubMessage, array_like=True, tag="part"):
    """These users hear the conversation no more."""

    tenant: str
    conversation: str
    users: list[str]

    def apply_now(self, cluster: "Cluster") -> None:
        cluster.hub.part(self.tenant, self.conversation, self.users)


class Hushed(HubMessage, array_like=True, tag="hush"):
    """Nothing volatile is told in this conversation, or it is again."""

    tenant: str
    conversation: str
    on: bool

    def apply_now(self, cluster: "Cluster") -> None:
        cluster.hub.hush(self.tenant, self.conversation, self.on)


class Doubtful(HubMessage, array_like=True, tag="doubt"):
    """Who hears this conversation, and how far it is, has to be looked up."""

    tenant: str
    conversation: str

    def apply_now(self, cluster: "Cluster") -> None:
        cluster.reconciler.doubt(self.tenant, self.conversation)


class CloseUser(HubMessage, array_like=True, tag="close"):
    """Close the sessions of a user: all, or those of one credential. `at`: when that was committed, in milliseconds, or 0."""

    tenant: str
    user: str
    close: str
    credential: str | None
    at: int = 0

    def apply_now(self, cluster: "Cluster") -> None:
        cluster.close_sessions_here(self.tenant, self.user, self.close, self.credential, self.at)


class CloseRange(ControlMessage, array_like=True, tag="close-range"):
    """Close the sessions that come from a range of addresses; `hash` as it is kept, `at` as above."""

    tenant: str
    hash: bytes
    at: int


class Seek(HubMessage, array_like=True, tag="seek"):
    """Is this user connected to anybody? Whoever has them answers the asker."""

    tenant: str
    user: str
    asker: str

    def apply_now(self, cluster: "Cluster") -> None:
        if cluster.hub.sessions_of(self.tenant, self.user):
            cluster.publish(Seen(self.tenant, self.user, self.asker))


class Seen(HubMessage, array_like=True, tag="seen"):
    """The answer."""

    tenant: str
    user: str
    asker: str

    def apply_now(self, cluster: "Cluster") -> None:
        if self.asker == cluster.name:
            cluster.note_seen(self.tenant, self.user)


class WhoIsHere(ControlMessage, array_like=True, tag="who"):
    """Which of these users (tenant, id) are connected to you? Everybody answers the asker."""

    asker: str
    number: int
    users: list[tuple[str, str]]


class TheseAreHere(ControlMessage, array_like=True, tag="these"):
    """The answer."""

    asker: str
    number: int
    node: str
    users: list[tuple[str, str]]


class MaintenanceChanged(ControlMessage, array_like=True, tag="maintenance"):
    """Look into Postgres whether the cluster is under maintenance."""


class DrainNodes(ControlMessage, array_like=True, tag="drain"):
    """Stop in good order: the node of this name, or all where it is empty.

    Sessions are closed one by one, within `over` seconds. `by`: the operator who ordered it, for the log.
    """

    node: str
    over: float
    by: str = ""


class AskHealth(ControlMessage, array_like=True, tag="ask-health"):
    """How are you? To be answered, as all that begin with Ask, on the list of this id. See `operations/node_queries`."""

    reply: str


class AskSessions(ControlMessage, array_like=True, tag="ask-sessions"):
    """The sessions of a tenant, at most `limit`: all, those of a user, or the one of this id."""

    reply: str
    tenant: str
    user: str | None
    session: str | None
    limit: int


class AskKick(ControlMessage, array_like=True, tag="ask-kick"):
    """Close the sessions of a user, or the one of this id. They may come back. The answer is which they were."""

    reply: str
    tenant: str
    user: str | None
    session: str | None


class AskTrace(ControlMessage, array_like=True, tag="ask-trace"):
    """What became of this message, which has this place in its conversation?"""

    reply: str
    message: str
    conversation: str
    rev: int
    seq: int


class PresenceChanged(ControlMessage, array_like=True, tag="presence"):
    """Users (tenant, id) of this node are what they are now: 0 gone, 1 away, 2 online."""

    node: str
    changes: list[tuple[str, str, int]]


class PresenceWritten(ControlMessage, array_like=True, tag="presences"):
    """A node has written all of its users anew: look at the board."""


class PresenceShown(ControlMessage, array_like=True, tag="shown"):
    """Who may see these users may have changed."""

    tenant: str
    users: list[str]


Question = AskHealth | AskSessions | AskKick | AskTrace
encode_order = msgpack.Encoder().encode


def decoder(packages: Iterable[str] = ("chatd",)) -> "msgpack.Decoder[ControlMessage]":
    """For all control messages that are declared in these packages."""
    declared = (kind for kind in declared_below(ControlMessage, packages) if kind is not HubMessage)
    kinds = sorted(declared, key=lambda kind: kind.__name__)
    return msgpack.Decoder(Union[tuple(kinds)])  # noqa: UP007
