"""What is told of matches. The commands are in `matching/commands`; the matcher tells on its own."""

from typing import Any

from msgspec import Struct

from chatd.wire.base import Event, Id


class Partner(Struct, kw_only=True, frozen=True):
    """A member of the match. `id` is an alias, valid for this match."""

    id: Id
    name: str | None
    attributes: dict[str, Any]


class MatchProposed(Event, tag="match.proposed"):
    """Somebody was found; confirm within `expires_in` seconds. Only in queues that ask for it."""

    match: Id
    expires_in: float


class MatchFound(Event, tag="match.found"):
    """You have been brought together, and can write to each other.

    `matched_on`: tags and attributes that all have in common. `relaxed`: what you had asked for and did not get, of `should`
    and `tags`. `partner` is the first of `partners`. The ids are aliases, which stand for the user ids in this match; `alias` is
    yours.
    """

    match: Id
    conversation: Id
    alias: Id
    partner: Partner
    partners: list[Partner]
    matched_on: list[str]
    relaxed: list[str]
    waited_ms: int


class MatchEnded(Event, tag="match.ended"):
    """The match is over: left, skipped, disconnected. Nobody can read or write in its conversation any more."""

    match: Id
    reason: str


class MatchKept(Event, tag="match.kept"):
    """All want to keep in touch: the conversation stays, with all that was said in it.

    It is the direct conversation of the two; if they have one already, or if the match has more than two people, it is a group.
    """

    match: Id
    conversation: Id


class MatchRequeued(Event, tag="match.requeued"):
    """The other one did not confirm, or has gone: you wait on, from when you began."""

    ticket: Id
    reason: str


class MatchExpired(Event, tag="match.expired"):
    """Nobody was found, or you did not confirm: the ticket is no more."""

    ticket: Id
    reason: str
