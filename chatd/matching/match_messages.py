"""What nodes say to each other of the match pool: see `orders`."""

from msgspec import Raw

from chatd.cluster.control_messages import ControlMessage
from chatd.matching.criteria import Ticket


class MatchFind(ControlMessage, array_like=True, tag="find"):
    """For the node that owns the match pool: somebody waits. `now` by the clock of the ticket; 0: not said."""

    ticket: Ticket
    now: int = 0


class MatchLeave(ControlMessage, array_like=True, tag="leave"):
    """For the owner: the ticket of this user is given up."""

    tenant: str
    user: str
    reason: str


class MatchDrop(ControlMessage, array_like=True, tag="drop"):
    """Whoever has a ticket of this user forgets it, and the owner gives it up."""

    tenant: str
    user: str
    reason: str


class MatchAvoid(ControlMessage, array_like=True, tag="avoid"):
    """Whoever has a ticket of this user: they are not to meet `other` any more."""

    tenant: str
    user: str
    other: str


class MatchHere(ControlMessage, array_like=True, tag="here"):
    """This user has connected here: is there a ticket of theirs?"""

    tenant: str
    user: str


class MatchHeld(ControlMessage, array_like=True, tag="held"):
    """A ticket for the node that its user is connected to. `now` by the clock of the ticket; 0: not said."""

    ticket: Ticket
    now: int = 0


class MatchHandOver(ControlMessage, array_like=True, tag="hand over"):
    """From a node that leaves: the ticket of a user of its own, for whichever node they come to in the grace. `now` as above."""

    ticket: Ticket
    now: int = 0


class MatchConfirm(ControlMessage, array_like=True, tag="confirm"):
    """For the owner: one of a pair wants it."""

    tenant: str
    user: str
    match: str


class MatchOwner(ControlMessage, array_like=True, tag="owner"):
    """From the owner, every second: who it is, its number, and its longest lines (tenant, queue, waiting, estimate)."""

    node: str
    fence: int
    lines: list[tuple[str, str, int, int | None]]


class MatchOver(ControlMessage, array_like=True, tag="over"):
    """From the owner: the tickets of these users are no more; `met`: because they have met."""

    tenant: str
    users: list[str]
    met: bool


class MatchNews(ControlMessage, array_like=True, tag="match-news"):
    """For all sessions of a user but `but`: this match has begun, or is over; `event` is the body in msgpack.

    Nodes whose user knows it do not tell it again.
    """

    tenant: str
    user: str
    match: str
    began: bool
    but: str | None
    event: Raw


class MatchClosed(ControlMessage, array_like=True, tag="match-closed"):
    """For the owner, who writes the journal: a match that stood is over."""

    match: str
    reason: str


class MatchForget(ControlMessage, array_like=True, tag="match-forget"):
    """This user is erased: their ticket is dropped, and the owner takes what they said of themselves out of the journal."""

    tenant: str
    user: str
