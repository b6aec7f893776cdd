"""The rules of a queue, and the events of a match pool. Each event is stored in the event log, under its tag."""

from msgspec import Struct

from chatd.core.identity import UserKey
from chatd.matching.criteria import Ticket


class Queue(Struct, frozen=True):
    """The rules of one queue. Durations are in milliseconds. `confirm`: 0 if pairs need no confirmation."""

    size: int = 2
    relax: int = 5000
    confirm: int = 0
    longest: int = 600_000


class Queued(Struct, frozen=True, tag="queued"):
    """A ticket enters the pool."""

    ticket: Ticket


class TicketRemoved(Struct, frozen=True, tag="gone"):
    """A ticket leaves the pool without a match: cancelled, expired, disconnected, banned, not confirmed."""

    ticket: str
    reason: str
    user: UserKey


class Paired(Struct, frozen=True, tag="paired"):
    """The pool selects a group of tickets. `until`: deadline of the confirmations in milliseconds, 0 if none are
    needed.
    """

    match: str
    tickets: list[str]
    at: int
    matched_on: list[str]
    relaxed: dict[str, list[str]]
    until: int = 0


class Pending(Paired, frozen=True, tag="pending"):
    """In a snapshot: a pair that was made earlier and is neither committed nor dissolved."""


class Confirmed(Struct, frozen=True, tag="confirmed"):
    """One user confirms a proposed pair."""

    match: str
    ticket: str


class PairDissolved(Struct, frozen=True, tag="broken"):
    """A pair does not become a match; its remaining tickets keep their waiting time. `announced`: the pair was
    proposed.
    """

    match: str
    reason: str
    users: list[UserKey]
    announced: bool


class MatchCommitted(Struct, frozen=True, tag="settled"):
    """The match is in the database; its tickets are used."""

    match: str


class Ended(Struct, frozen=True, tag="ended"):
    """A committed match ends. For readers of the event log: the pool does not track committed matches."""

    match: str
    reason: str


class Reset(Struct, frozen=True, tag="reset"):
    """A snapshot of the whole pool follows."""


PoolEvent = Reset | Ended | Queued | TicketRemoved | Paired | Pending | Confirmed | PairDissolved | MatchCommitted


DEFAULT = Queue()
