"""Events about changes of conversations. Each has a `rev`: its place in the order of the conversation."""

from typing import ClassVar, Literal

from msgspec import UNSET, UnsetType

from chatd.conversations.entities import Conversation, Departure, Member, Message, Replies
from chatd.wire.base import Event, Id, Rev
from chatd.wire.reference.examples import Example

Why = Literal["edit", "delete", "expire", "reaction", "pin", "vote", "close", "preview", "actions"]


class MessageNew(Event, tag="message.new"):
    """A message was committed. Sent to every session of every member except the one that sent it."""

    conversation: Id
    rev: Rev
    message: Message


class MessageUpdate(Event, tag="message.update"):
    """A message has changed; `message` is its new state. `change` is the reason, `by` the user who has changed it, if
    any.

    `emoji` comes with a reaction. `on`: whether the reaction or the pin was added or removed. A vote in an anonymous
    poll comes without `by`. `close`: the poll has ended. `preview`: that of the first link was added, replaced or
    removed. `actions`: a bot has changed the buttons only.
    """

    conversation: Id
    rev: Rev
    message: Message
    change: Why
    by: Id | UnsetType = UNSET
    emoji: str | UnsetType = UNSET
    on: bool | UnsetType = UNSET
    EXAMPLE: ClassVar = Example(absent_if_missed=("change",))


class ThreadUpdate(Event, tag="thread.update"):
    """A thread has new replies, or some were deleted. `thread` is its root, of which `rev` and `replies` are the new
    state; null: none is left.
    """

    conversation: Id
    rev: Rev
    thread: Id
    replies: Replies | None


class MemberUpdate(Event, tag="member.update"):
    """A user has become a member, or has another role."""

    conversation: Id
    rev: Rev
    member: Member


class MemberLeft(Event, tag="member.left"):
    """A user is no longer a member. The former member gets it as the last event of the conversation."""

    conversation: Id
    rev: Rev
    departure: Departure


class ConversationUpdate(Event, tag="conversation.update"):
    """A conversation is new for this user, or something other than its messages has changed.

    With `rev` it is a change in the order of the conversation, sent to all members; without `rev` it is for this user
    only.
    """

    conversation: Conversation
    rev: Rev | UnsetType = UNSET
