"""Times of the matching service that are not settings: no operator has to change them, and tests shorten them."""

from msgspec import Struct


class MatchTunables(Struct, frozen=True, kw_only=True):
    """Times of the matching service.

    `audit_s`: time between two look-ups of open matches and erased users. `erased_for_ms`: delay after an erasure until
    it is looked up; by then no session of the user can submit a ticket.

    `disconnected_beats`: heartbeats of the cluster between two look-ups of users in matches who are connected nowhere,
    if nothing happens.
    """

    audit_s: float = 5.0
    erased_for_ms: int = 60_000
    disconnected_beats: int = 30


TUNABLES = MatchTunables()
