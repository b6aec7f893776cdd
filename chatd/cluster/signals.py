"""What the cluster tells other parts of the daemon. See `core/signals`."""

from msgspec import Struct

from chatd.wire.base import Event


class Resync(Struct, frozen=True):
    """Control messages may have been lost: look up what they would have said."""


class UserBanned(Struct, frozen=True):
    """A user is banned, by whichever node. Sent without awaiting, and perhaps more than once for a ban."""

    tenant: str
    user: str


class EventSent(Struct, frozen=True):
    """This node sends an event to a conversation; what it says is committed. Sent without awaiting."""

    tenant: str
    conversation: str
    event: Event
