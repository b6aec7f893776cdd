"""What the connections of this node tell other parts of the daemon. See `core/signals`."""

from collections.abc import Mapping

from msgspec import Struct

from chatd.realtime.pending_session import Arrival
from chatd.realtime.subscriptions import Session


class SessionOpened(Struct, frozen=True):
    """A session is registered; nothing was sent to it yet. Sent without awaiting."""

    arrival: Arrival


class SessionClosed(Struct, frozen=True):
    """A session is gone. `typing_in`: the conversations in which its user was typing on it, and how the user is known there."""

    tenant: str
    user: str
    typing_in: Mapping[str, str]


class SessionRemoved(Struct, frozen=True):
    """A session has left the hub. Sent without awaiting, before `SessionClosed`."""

    session: Session


class UserConnected(Struct, frozen=True):
    """A user has a session more on this node. Sent without awaiting."""

    tenant: str
    user: str


class UserDisconnected(Struct, frozen=True):
    """The last session of a user on this node is gone. Sent without awaiting."""

    tenant: str
    user: str
