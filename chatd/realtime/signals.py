"""Signals about sessions and users of this node. See `core/signals`."""

from collections.abc import Mapping

from msgspec import Struct

from chatd.realtime.pending_session import PendingSession
from chatd.realtime.sessions import Session


class SessionOpened(Struct, frozen=True):
    """A session is registered; nothing was sent to it yet. Sent without awaiting."""

    pending: PendingSession


class SessionClosed(Struct, frozen=True):
    """A session has ended. `typing_in`: the conversations in which others still see its user typing, and as whom."""

    tenant: str
    user: str
    typing_in: Mapping[str, str]


class SessionRemoved(Struct, frozen=True):
    """A session has left the hub. Sent without awaiting, before `SessionClosed`."""

    session: Session


class UserConnected(Struct, frozen=True):
    """A user has one more session on this node. Sent without awaiting."""

    tenant: str
    user: str


class UserDisconnected(Struct, frozen=True):
    """The last session of a user on this node has ended. Sent without awaiting."""

    tenant: str
    user: str
