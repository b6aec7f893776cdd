"""Signals of the cluster. See `core/signals`."""

from msgspec import Struct

from chatd.wire.base import Event


class Resync(Struct, frozen=True):
    """Control messages may have been lost: read the state that they would have changed."""


class UserBanned(Struct, frozen=True):
    """A user was banned, on any node. Sent without awaiting, possibly more than once per ban."""

    tenant: str
    user: str


class EventSent(Struct, frozen=True):
    """This node sends an event to a conversation. The change is committed. Sent without awaiting."""

    tenant: str
    conversation: str
    event: Event
