"""Events of matching. They are sent by `matches` and `pairing`."""

from typing import Any

from msgspec import Struct

from chatd.wire.base import Event, Id


class Partner(Struct, kw_only=True, frozen=True):
    """Another user of your match. `id` is their alias, which is valid in this match."""

    id: Id
    name: str | None
    attributes: dict[str, Any]


class MatchProposed(Event, tag="match.proposed"):
    """A partner was found. Send `match.confirm` within `expires_in` seconds. Only in queues that require
    confirmation.
    """

    match: Id
    expires_in: float


class MatchFound(Event, tag="match.found"):
    """You are in a match, and can write to your partners in its conversation.

    `matched_on`: tags and attributes that all users of the match have in common. `relaxed`: which of your criteria
    `should` and `tags` the match does not satisfy. `partner` is the first of `partners`. Their ids are aliases, which
    replace the user ids in this match; `alias` is yours.
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
    """The match has ended. Its conversation can no longer be read or written. `reason`: `left`, `skipped` or
    `disconnected`.
    """

    match: Id
    reason: str


class MatchKept(Event, tag="match.kept"):
    """All users voted to keep in touch: the match has ended, and its conversation stays with all of its messages.

    It becomes the direct conversation of the two users, or a group if they have one already or the match has more than
    two users.
    """

    match: Id
    conversation: Id


class MatchRequeued(Event, tag="match.requeued"):
    """A proposed match was withdrawn: a partner did not confirm or left. Your search continues with its waiting
    time.
    """

    ticket: Id
    reason: str


class MatchExpired(Event, tag="match.expired"):
    """Your search has ended: no partner was found, or you did not confirm."""

    ticket: Id
    reason: str
