"""The rules of a queue, and the steps that a match pool goes through. They are the journal: each is one entry of the stream."""

from msgspec import Struct

from chatd.matching.criteria import Ticket


class Queue(Struct, frozen=True):
    """The rules of one queue. Times in milliseconds; `confirm` 0: nobody has to."""

    size: int = 2
    relax: int = 5000
    confirm: int = 0
    longest: int = 600_000


class Queued(Struct, frozen=True, tag="queued"):
    """Somebody waits."""

    ticket: Ticket


class TicketRemoved(Struct, frozen=True, tag="gone"):
    """A ticket is no more: cancelled, expired, disconnected, banned, declined."""

    ticket: str
    reason: str
    user: tuple[str, str]


class Paired(Struct, frozen=True, tag="paired"):
    """These have been chosen for each other. With `until` all have to confirm by then."""

    match: str
    tickets: list[str]
    at: int
    matched_on: list[str]
    relaxed: dict[str, list[str]]
    until: int = 0


class Pending(Paired, frozen=True, tag="pending"):
    """In a snapshot: a pair that was made before, and is not settled."""


class Confirmed(Struct, frozen=True, tag="confirmed"):
    """One of them wants it."""

    match: str
    ticket: str


class PairDissolved(Struct, frozen=True, tag="broken"):
    """It fell through. Those who are not gone wait on, from when they began. `announced`: they had heard of it."""

    match: str
    reason: str
    users: list[tuple[str, str]]
    announced: bool


class MatchCommitted(Struct, frozen=True, tag="settled"):
    """It stands, and its tickets are used up."""

    match: str


class Ended(Struct, frozen=True, tag="ended"):
    """A match that had stood is over. For readers of the journal: the pool knows no matches that stand."""

    match: str
    reason: str


class Reset(Struct, frozen=True, tag="reset"):
    """What follows is the whole pool."""


PoolEvent = Reset | Ended | Queued | TicketRemoved | Paired | Pending | Confirmed | PairDissolved | MatchCommitted


DEFAULT = Queue()
