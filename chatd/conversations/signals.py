"""Signals of conversations to other subsystems. See `core/signals`."""

from collections.abc import Sequence

from msgspec import Struct

from chatd.conversations.entities import Message
from chatd.conversations.log.entries import Appended, NewMessage


class UserBlocked(Struct, frozen=True):
    """`user` has blocked `blocked` by the id `shown_as`: a user id or an alias. The block is committed."""

    tenant: str
    user: str
    blocked: str
    shown_as: str


class MessageSent(Struct, frozen=True):
    """A message is committed and published, on the node of its sender. Sent in the order of the log."""

    message: NewMessage
    done: Appended


class MessageEdited(Struct, frozen=True):
    """A message has another text. The edit is committed and published, on the node that made it. `message`: as all
    members see it, so `sender` is an alias in a match.
    """

    tenant: str
    conversation: str
    kind: str
    message: Message


class VisibilityChanged(Struct, frozen=True):
    """The visibility of the presence of these users may have changed: by a block, or by a setting."""

    tenant: str
    users: Sequence[str]
