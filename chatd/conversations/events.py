"""What is told of changes, whichever feature made them. Each has a `rev`: its place in the order of the conversation."""

from typing import ClassVar, Literal

from msgspec import UNSET, UnsetType

from chatd.conversations.entities import Conversation, Departure, Member, Message
from chatd.wire.base import Event, Id, Rev
from chatd.wire.reference.examples import Example

Why = Literal["edit", "delete", "expire", "reaction", "pin"]


class MessageNew(Event, tag="message.new"):
    """A message was committed. For every session of every member but the one that sent it."""

    conversation: Id
    rev: Rev
    message: Message


class MessageUpdate(Event, tag="message.update"):
    """A message is not what it was: `message` is what it is now. `change` says why, `by` who has done it, where somebody has.

    `emoji` comes with a reaction, and `on` says whether it, or the pin, was set or taken back.
    """

    conversation: Id
    rev: Rev
    message: Message
    change: Why
    by: Id | UnsetType = UNSET
    emoji: str | UnsetType = UNSET
    on: bool | UnsetType = UNSET
    EXAMPLE: ClassVar = Example(absent_if_missed=("change",))


class MemberUpdate(Event, tag="member.update"):
    """Somebody is a member now, or has another role."""

    conversation: Id
    rev: Rev
    member: Member


class MemberLeft(Event, tag="member.left"):
    """Somebody is a member no more. Who has gone hears it too, as the last thing of this conversation."""

    conversation: Id
    rev: Rev
    departure: Departure


class ConversationUpdate(Event, tag="conversation.update"):
    """A conversation is new for this user, or something about it other than its messages has changed.

    With `rev` it has its place in the order, as other changes have, and is told to all members; without, to one user alone.
    """

    conversation: Conversation
    rev: Rev | UnsetType = UNSET
