"""What several commands and events speak of: messages, members, conversations. States, as they are now.

A field that may be absent says nothing when it is: no reaction, not edited, not pinned.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from chatd.conversations.attachment_types import Attachment
from chatd.wire.base import ClientId, Id, Millis, Rev, Seq

Json = dict[str, Any]
SlowSeconds = Annotated[int, Meta(ge=0, le=3600, description="A member may send one message in so many seconds; 0: no limit")]
Role = Literal["owner", "admin", "moderator", "member"]
Notify = Literal["all", "mentions", "none"]
Joining = Literal["closed", "invite", "request", "open"]


class Quote(Struct, kw_only=True, frozen=True):
    """What a message replies to, as that is now: when it changes, so does every quote of it. `text`: its first 200 characters.

    Absent where the asker may not see it or has hidden it; in events also where another member came too late to see it.
    """

    message: Id
    seq: Seq
    sender: Id
    text: str | None
    deleted: bool


class Message(Struct, kw_only=True, frozen=True):
    """A message. `seq` is its place in the conversation, `rev` the number of its last change.

    One with `deleted_at` is a tombstone: its place stays, its content is gone. One with `system` says what has happened, and
    nobody wrote it: `sender` has done it. `reactions` counts them by emoji; `mine` are the asker's own, and `starred_at` the
    asker's star: neither is in what is told to all.
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


class Member(Struct, kw_only=True, frozen=True):
    """Somebody in a conversation, and how far they have received and read. `rev` is the number of the last change."""

    user: Id
    name: str | None
    role: Role
    delivered_seq: Seq
    read_seq: Seq
    joined_at: Millis
    rev: Rev


class Departure(Struct, kw_only=True, frozen=True):
    """Somebody who is a member no more. `actor`: who removed them, or they themselves; null when nobody has done it."""

    user: Id
    rev: Rev
    left_at: Millis
    actor: Id | None


class Info(Struct, kw_only=True, frozen=True):
    """What all members share of a conversation, but for who is in it.

    `announce`: only moderators and above may write. `disappear`: seconds after which a message vanishes; 0: never. `keep_days`:
    after so many days messages are removed; null: as configured for all. `joining`: who may come in by themselves. `history`:
    whether those who join late see what was said before.
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


class Settings(Struct, kw_only=True, frozen=True):
    """What one member has set for themselves: nobody else sees it, and all their devices do.

    `hidden` ends with the next message. `muted_until` in milliseconds; 2^53-1 stands for ever.
    `notify` null: as the user has set it.
    """

    muted_until: Millis | None
    archived: bool
    pinned_at: Millis | None
    hidden: bool
    draft: str | None
    draft_at: Millis | None
    notify: Notify | None


class Counters(Info, kw_only=True, frozen=True):
    """A conversation, and the position of one member in it.

    `unread` counts the messages of others after `read_seq`, up to 1000, `mentions` those of them that mention this member or
    everybody. `alias`: how this member is known in a match, and absent elsewhere. What is one member's own, from `role` on, is
    absent in what is told to all of them. Messages up to `joined_seq` and
    changes up to `joined_rev` were there before this member came.
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
    """A conversation as one of its members sees it. `members` holds at most 50, `member_count` counts all."""

    created_at: Millis
    members: list[Member] | UnsetType = UNSET
    last_message: Message | UnsetType | None = UNSET


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
