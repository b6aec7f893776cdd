"""Presence on the wire: the status of a user, as far as the recipient may see it."""

from typing import Literal

from msgspec import Struct

from chatd.wire.base import Event, Id, Millis

Status = Literal["online", "away", "offline"]


class PresenceState(Struct, kw_only=True, frozen=True):
    """The presence of a user.

    `last_seen` is null if the user is online or away, or if it is unknown. Users whose presence you may not see are
    `offline`, without `last_seen`.
    """

    user: Id
    status: Status
    last_seen: Millis | None


class PresenceUpdate(Event, tag="presence.update"):
    """The presence of a user to whom this session is subscribed (`presence.watch`) has changed.

    At most once per second and user.
    """

    user: Id
    status: Status
    last_seen: Millis | None
