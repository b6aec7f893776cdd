"""Signals of matching to other subsystems. See `core/signals`."""

from msgspec import Struct


class MatchMade(Struct, frozen=True):
    """A match is committed, on the node that has made it. `at` in ms."""

    tenant: str
    match: str
    at: int


class MatchClosed(Struct, frozen=True):
    """A match has ended, on the node that has ended it; or was kept as a conversation. `at` in ms."""

    tenant: str
    match: str
    at: int
    is_kept: bool
