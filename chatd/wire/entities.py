"""What several commands and events speak of: messages, members, conversations. States, as they are now."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from chatd.wire.messages import ClientId, Id, Millis, Rev, Seq

Json = dict[str, Any]
SlowSeconds = Annotated[int, Meta(ge=0, le=3600, description="A member may send one message in so many seconds; 0: no limit")]


class Message(Struct, kw_only=True, frozen=True):
    """A message. `seq` is its place in the conversation, `rev` the number of its last change."""

    id: Id
    seq: Seq
    rev: Rev
    sender: Id
    client_id: ClientId
    text: str | None
    attachments: list[Json]
    reply_to: Id | None
    created_at: Millis
    meta: Json | None


class Member(Struct, kw_only=True, frozen=True):
    """Somebody in a conversation, and how far they have received and read. `rev` is the number of the last change."""

    user: Id
    name: str | None
    delivered_seq: Seq
    read_seq: Seq
    joined_at: Millis
    rev: Rev


class Conversation(Struct, kw_only=True, frozen=True):
    """A conversation as one of its members sees it.

    `unread` counts the messages of others after `read_seq`, up to 1000. `members` holds at most 50, `member_count` all.
    """

    id: Id
    kind: Literal["direct", "group", "match"]
    title: str | None
    seq: Seq
    rev: Rev
    read_seq: Seq
    delivered_seq: Seq
    unread: int
    member_count: int
    members: list[Member]
    last_message: Message | None
    created_at: Millis
    slow_seconds: SlowSeconds


class Counters(Struct, kw_only=True, frozen=True):
    """The position of one member in a conversation. `unread` as in Conversation."""

    id: Id
    kind: Literal["direct", "group", "match"]
    title: str | None
    seq: Seq
    rev: Rev
    read_seq: Seq
    delivered_seq: Seq
    unread: int
    slow_seconds: SlowSeconds
