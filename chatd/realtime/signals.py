"""Signals about sessions and users of this node. See `core/signals`."""

from msgspec import Struct

from chatd.realtime.pending_session import PendingSession
from chatd.realtime.sessions import Session


class SessionOpened(Struct, frozen=True):
    """A session is registered; nothing was sent to it yet. Sent without awaiting."""

    pending: PendingSession


class SessionEnding(Struct, frozen=True):
    """A session is ending; it is still registered and subscribed. Sent without awaiting."""

    session: Session


class SessionRemoved(Struct, frozen=True):
    """A session has left the hub. Sent without awaiting, between `SessionEnding` and `SessionClosed`."""

    session: Session


class SessionClosed(Struct, frozen=True):
    """A session has ended."""

    session: Session


class UserConnected(Struct, frozen=True):
    """A user has one more session on this node. Sent without awaiting."""

    tenant: str
    user: str


class UserDisconnected(Struct, frozen=True):
    """The last session of a user on this node has ended. Sent without awaiting."""

    tenant: str
    user: str
