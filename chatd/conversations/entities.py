"""Messages, members and conversations on the wire: states, as they are now.

An absent optional field means: no reaction, not edited, not pinned.
"""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from chatd.conversations.attachment_types import MAX_ATTACHMENTS, Attachment, AttachmentInput
from chatd.conversations.button_types import Buttons
from chatd.wire.base import ClientId, Id, Millis, Rev, Seq
from chatd.wire.reference.description import Shape
from chatd.wire.reference.examples import MESSAGE, Example
from chatd.wire.texts import LOOKUP

Json = dict[str, Any]
SlowSeconds = Annotated[
    int, Meta(ge=0, le=3600, description="A member may send one message in this many seconds; 0: no limit")
]
Role = Literal["owner", "admin", "moderator", "member"]
Notify = Literal["all", "mentions", "none"]
Joining = Literal["closed", "invite", "request", "open"]
MAX_LABELS = 20
Label = Annotated[str, Meta(min_length=1, max_length=50, extra=LOOKUP)]


class Quote(Struct, kw_only=True, frozen=True):
    """An excerpt of the message that a message replies to, as it is now: if it changes, so does every quote of it.
    `text`: its first 200 characters.

    It is absent if the requester may not see the message or has hidden it, and in events if another member may not see
    it.
    """

    message: Id
    seq: Seq
    sender: Id
    text: str | None
    deleted: bool


class Replies(Struct, kw_only=True, frozen=True):
    """The replies in the thread of a message, without deleted ones. `last_seq` and `last_at` are those of the last one.

    `participants`: up to 10 of the users who have sent them, by their first reply.
    """

    count: int
    last_seq: Seq
    last_at: Millis
    participants: list[Id]


class Message(Struct, kw_only=True, frozen=True):
    """A message. `seq` is its place in the conversation, `rev` the number of its last change.

    A message with `deleted_at` is a tombstone: its place stays, its content is removed. A message with `system`
    describes what `sender` has done. A message with `thread` is a reply in the thread of that message, which has
    `replies`; a tombstone keeps both. `reactions`: the number of each emoji; `mine`: the reactions of the requester;
    `starred_at`: the star of the requester. `poll`: the options of a poll, whose question is `text`; `voted`: the
    options that the requester has chosen. Events for all members contain none of `mine`, `starred_at` and `voted`.
    `preview`: what the page of the first link says about itself. `command`: the message is a command for a bot.
    `concealed`: a bot gets only the place of this message, with the nil UUID as its sender and without any content.
    `actions`: rows of buttons, in messages of bots.
    """

    id: Id
    seq: Seq
    rev: Rev
    sender: Id
    client_id: ClientId
    text: str | None
    attachments: list[Attachment]
    reply_to: Id | None
    created_at: Millis
    meta: Json | None
    quote: Quote | UnsetType = UNSET
    system: Json | UnsetType = UNSET
    mentions: list[Id] | UnsetType = UNSET
    mentions_everybody: bool | UnsetType = UNSET
    forwarded: Json | UnsetType = UNSET
    reactions: dict[str, int] | UnsetType = UNSET
    mine: list[str] | UnsetType = UNSET
    starred_at: Millis | UnsetType = UNSET
    edited_at: Millis | UnsetType = UNSET
    deleted_at: Millis | UnsetType = UNSET
    expires_at: Millis | UnsetType = UNSET
    pinned_at: Millis | UnsetType = UNSET
    thread: Id | UnsetType = UNSET
    replies: Replies | UnsetType = UNSET
    poll: Json | UnsetType = UNSET
    voted: list[int] | UnsetType = UNSET
    preview: Json | UnsetType = UNSET
    command: Json | UnsetType = UNSET
    concealed: bool | UnsetType = UNSET
    actions: Buttons | UnsetType = UNSET
    EXAMPLE: ClassVar = Example(id=MESSAGE, left_out=("concealed",))


class Member(Struct, kw_only=True, frozen=True):
    """A member of a conversation, with their receipts. `rev` is the number of the last change.

    A change of the profile (`name`, `handle`, `avatar`, `picture_url`) takes no `rev`; `profile_version` grows with it.
    In a match only the name is known. `bot`: a program; absent for people.
    """

    user: Id
    name: str | None
    handle: str | None
    avatar: Id | None
    picture_url: str | None
    profile_version: int
    role: Role
    delivered_seq: Seq
    read_seq: Seq
    joined_at: Millis
    rev: Rev
    bot: bool | UnsetType = UNSET


class Departure(Struct, kw_only=True, frozen=True):
    """A former member. `actor`: the user who removed them, or themselves; null if no user did."""

    user: Id
    rev: Rev
    left_at: Millis
    actor: Id | None


class Info(Struct, kw_only=True, frozen=True):
    """The settings of a conversation that all its members share.

    `announce`: only moderators and above may write. `disappear`: seconds after which a message disappears; 0: never.
    `keep_days`: days after which messages are deleted; null: the setting of the server. `joining`: who may join without
    being added. `history`: whether new members see earlier messages. `requested`: the user who has not accepted this
    direct conversation yet and is no member; null: it is accepted.
    """

    title: str | None
    description: str | None
    picture: Id | None
    announce: bool
    disappear: int
    keep_days: int | None
    slow_seconds: SlowSeconds
    joining: Joining
    history: Literal["all", "joined"]
    member_count: int
    requested: Id | None


class DraftParts(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a draft has besides its text: the fields of message.send. Attachments are as the client named them."""

    attachments: Annotated[list[AttachmentInput], Meta(max_length=MAX_ATTACHMENTS)] = []
    reply_to: Id | None = None
    thread: Id | None = None


class Settings(Struct, kw_only=True, frozen=True):
    """The settings of one member for a conversation. Only the devices of the member get them.

    `hidden` ends with the next message. `muted_until`: in milliseconds; 2^53-1: forever. `notify` null: the setting for
    all conversations. `labels`, `draft_parts`: absent if there are none.
    """

    muted_until: Millis | None
    archived: bool
    pinned_at: Millis | None
    hidden: bool
    draft: str | None
    draft_at: Millis | None
    notify: Notify | None
    labels: list[str] | UnsetType = UNSET
    draft_parts: DraftParts | UnsetType = UNSET


class Counters(Info, kw_only=True, frozen=True):
    """A conversation, and the position of one member in it.

    `unread`: messages of others after `read_seq`, up to 1000; `mentions`: those of them that mention this member or all
    members. `alias`: how this member is known in a match; absent elsewhere. The fields of one member, from `role` on,
    are absent in events for all members. Messages up to `joined_seq` and changes up to `joined_rev` are from before the
    membership.
    """

    id: Id
    kind: Literal["direct", "group", "match"]
    seq: Seq
    rev: Rev
    role: Role | UnsetType = UNSET
    alias: Id | UnsetType = UNSET
    first_seq: Seq | UnsetType = UNSET
    joined_seq: Seq | UnsetType = UNSET
    joined_rev: Rev | UnsetType = UNSET
    read_seq: Seq | UnsetType = UNSET
    delivered_seq: Seq | UnsetType = UNSET
    unread: int | UnsetType = UNSET
    mentions: int | UnsetType = UNSET
    settings: Settings | UnsetType = UNSET


class Conversation(Counters, kw_only=True, frozen=True):
    """A conversation as one of its members sees it. `members` holds at most 50 of the `member_count` members."""

    created_at: Millis
    members: list[Member] | UnsetType = UNSET
    last_message: Message | UnsetType | None = UNSET
    EXAMPLE: ClassVar = Example(absent_if_missed=("kind", "created_at"))


PERSONAL = (
    "role",
    "alias",
    "first_seq",
    "joined_seq",
    "joined_rev",
    "read_seq",
    "delivered_seq",
    "unread",
    "mentions",
    "settings",
)


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
    """The content of a message with `system`; its `sender` has done it.

    `users`: the affected users, the first 20 of `count`. `role`: the new role, with `member.role`. `message`: with
    `message.pinned`. The other fields come with `conversation.edited`: the changed settings, as they are now.
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
    """The first sender of a forwarded message, and the time."""

    sender: Id
    created_at: Millis


class CommandCall(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A command of a message. `bot`: for whom it is. `args`: the arguments by name, of the types that the bot has
    declared; a user is an id.
    """

    bot: Id
    name: str
    args: dict[str, str | int | float | bool]


SHAPES = (
    Shape(Message, "system", SystemAct),
    Shape(Message, "forwarded", ForwardedFrom),
    Shape(Message, "command", CommandCall),
)
