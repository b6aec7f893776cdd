"""Events of the client itself: its own state, and the results of a sync."""

from chatd.client.types import Counters, Mark, ThreadMark
from chatd.client.wire_base import Event


class ClientState(Event, tag="client.state", kw_only=True, frozen=True):
    """The connection: `state` is connecting, connected, waiting or closed."""

    state: str


class ConversationReset(Event, tag="conversation.reset", kw_only=True, frozen=True):
    """Drop what you have of the conversation, and load its messages up to `seq` and its members again.

    The server was restored from a backup, or a match was kept while this client was offline: its members have user ids
    now in the place of aliases.
    """

    conversation: str
    seq: int


class SessionChanged(Event, tag="session.changed", kw_only=True, frozen=True):
    """Settings, counters, marks or followed threads of this user changed, on another device or while this one was
    offline.

    `own`: call `user.settings`, `block.list`, `contact.list`, `request.list` and `me.get` again. `since`: the cursor of
    the sync before.
    """

    since: str | None
    conversations: list[Counters]
    marks: list[Mark]
    own: bool
    threads: list[ThreadMark] | None = None


class ProfilesBehind(Event, tag="profiles.behind", kw_only=True, frozen=True):
    """Events `user.updated` may be missing: query the users that you show, with `user.query` and `changed_since`."""


OWN_EVENTS: tuple[type[Event], ...] = (ClientState, ConversationReset, SessionChanged, ProfilesBehind)
