"""Presence on the wire: whether somebody is there, as far as the one who is told may know."""

from typing import Literal

from msgspec import Struct

from chatd.wire.base import Event, Id, Millis

Status = Literal["online", "away", "offline"]


class PresenceState(Struct, kw_only=True, frozen=True):
    """`last_seen` is null for who is there, and where it is not known. Who may not be seen is `offline`, and never was there."""

    user: Id
    status: Status
    last_seen: Millis | None


class PresenceUpdate(Event, tag="presence.update"):
    """Somebody whom this session looks at (`presence.watch`) is there, away or gone. At most one in a second for each user."""

    user: Id
    status: Status
    last_seen: Millis | None
