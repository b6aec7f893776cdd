"""The maps of a message that have a form of their own: what `system` and `forwarded` say."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from chatd.conversations.entities import Message, Role
from chatd.wire.base import Id, Millis
from chatd.wire.reference.description import Shape

Act = Literal[
    "member.added",
    "member.joined",
    "member.approved",
    "member.left",
    "member.removed",
    "member.role",
    "conversation.transferred",
    "conversation.edited",
    "message.pinned",
]


class SystemAct(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a message with `system` says; its `sender` has done it.

    `users`: to whom, the first 20 of `count`. `role`: the new one, with `member.role`. `message`: with
    `message.pinned`. The others come with `conversation.edited`: what was changed, as it is now.
    """

    act: Act
    users: list[Id] | UnsetType = UNSET
    count: int | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    message: Id | UnsetType = UNSET
    title: str | UnsetType | None = UNSET
    picture: Id | UnsetType | None = UNSET
    announce: bool | UnsetType = UNSET
    disappear: int | UnsetType = UNSET
    keep_days: int | UnsetType | None = UNSET


class ForwardedFrom(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Who wrote first what was forwarded, and when."""

    sender: Id
    created_at: Millis


SHAPES = (Shape(Message, "system", SystemAct), Shape(Message, "forwarded", ForwardedFrom))
