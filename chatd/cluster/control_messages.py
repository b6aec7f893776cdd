"""What nodes say to each other. Arrays on the wire of the cluster, because most of it is for nobody here, and skipped."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Union

from msgspec import Raw, msgpack

from chatd.wire.base import Control, declared_below


class TellConversation(Control, array_like=True, tag="event"):
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


class TellBehind(Control, array_like=True, tag="behind"):
    """Something of the conversation up to `rev` may have been told to nobody."""

    tenant: str
    conversation: str
    rev: int


class TellUser(Control, array_like=True, tag="user"):
    """An event for all sessions of a user."""

    tenant: str
    user: str
    but: str | None
    event: Raw


class Recount(Control, array_like=True, tag="recount"):
    """This user has read further: their sessions, but this one, are to be told how the conversation stands for them."""

    tenant: str
    user: str
    conversation: str
    but: str | None


class Joined(Control, array_like=True, tag="join"):
    """These hear it, from `rev` on; `anew`: their membership begins; `hidden`: whom each of them sees under a pseudonym."""

    tenant: str
    conversation: str
    users: list[str]
    rev: int
    anew: bool = False
    hidden: Mapping[str, Sequence[str]] = {}


class Acquainted(Control, array_like=True, tag="known"):
    """From now on these users see each other's ids."""

    tenant: str
    users: list[str]


class Parted(Control, array_like=True, tag="part"):
    """These users hear the conversation no more."""

    tenant: str
    conversation: str
    users: list[str]


class Hushed(Control, array_like=True, tag="hush"):
    """Nothing volatile is told in this conversation, or it is again."""

    tenant: str
    conversation: str
    on: bool


class Doubtful(Control, array_like=True, tag="doubt"):
    """Who hears this conversation, and how far it is, has to be looked up."""

    tenant: str
    conversation: str


class CloseUser(Control, array_like=True, tag="close"):
    """Close the sessions of a user: all, or those of one credential. `at`: when that was committed, in milliseconds, or 0."""

    tenant: str
    user: str
    close: str
    credential: str | None
    at: int = 0


class CloseRange(Control, array_like=True, tag="close-range"):
    """Close the sessions that come from a range of addresses; `hash` as it is kept, `at` as above."""

    tenant: str
    hash: bytes
    at: int


class Seek(Control, array_like=True, tag="seek"):
    """Is this user connected to anybody? Whoever has them answers the asker."""

    tenant: str
    user: str
    asker: str


class Seen(Control, array_like=True, tag="seen"):
    """The answer."""

    tenant: str
    user: str
    asker: str


class WhoIsHere(Control, array_like=True, tag="who"):
    """Which of these users (tenant, id) are connected to you? Everybody answers the asker."""

    asker: str
    number: int
    users: list[tuple[str, str]]


class TheseAreHere(Control, array_like=True, tag="these"):
    """The answer."""

    asker: str
    number: int
    node: str
    users: list[tuple[str, str]]


class MaintenanceChanged(Control, array_like=True, tag="maintenance"):
    """Look into Postgres whether the cluster is under maintenance."""


class DrainNodes(Control, array_like=True, tag="drain"):
    """Stop in good order: the node of this name, or all where it is empty.

    Sessions are closed one by one, within `over` seconds. `by`: the operator who ordered it, for the log.
    """

    node: str
    over: float
    by: str = ""


class AskHealth(Control, array_like=True, tag="ask-health"):
    """How are you? To be answered, as all that begin with Ask, on the list of this id. See `operations/node_queries`."""

    reply: str


class AskSessions(Control, array_like=True, tag="ask-sessions"):
    """The sessions of a tenant, at most `limit`: all, those of a user, or the one of this id."""

    reply: str
    tenant: str
    user: str | None
    session: str | None
    limit: int


class AskKick(Control, array_like=True, tag="ask-kick"):
    """Close the sessions of a user, or the one of this id. They may come back. The answer is which they were."""

    reply: str
    tenant: str
    user: str | None
    session: str | None


class AskTrace(Control, array_like=True, tag="ask-trace"):
    """What became of this message, which has this place in its conversation?"""

    reply: str
    message: str
    conversation: str
    rev: int
    seq: int


class PresenceChanged(Control, array_like=True, tag="presence"):
    """Users (tenant, id) of this node are what they are now: 0 gone, 1 away, 2 online."""

    node: str
    changes: list[tuple[str, str, int]]


class PresenceWritten(Control, array_like=True, tag="presences"):
    """A node has written all of its users anew: look at the board."""


class PresenceShown(Control, array_like=True, tag="shown"):
    """Who may see these users may have changed."""

    tenant: str
    users: list[str]


Question = AskHealth | AskSessions | AskKick | AskTrace
encode_order = msgpack.Encoder().encode


def decoder(packages: Iterable[str] = ("chatd",)) -> "msgpack.Decoder[Control]":
    """For all control messages that are declared in these packages."""
    kinds = sorted(declared_below(Control, packages), key=lambda kind: kind.__name__)
    return msgpack.Decoder(Union[tuple(kinds)])  # noqa: UP007
