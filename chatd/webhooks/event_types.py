"""The types of events that webhooks send, and the form of their `data`.

Each follows from a committed change (sql/webhooks/schema/functions.sql). `data` is read when the event is sent: it is
the present state of what has changed, so that nothing leaves which was deleted in between. docs/webhooks.md lists them;
a test compares it with this module.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from chatd.conversations.entities import Joining, Json, Role

# A type, all types that begin alike, or all types.
PATTERN = r"^(\*|[a-z]{1,30}\.(\*|[a-z]{1,30}))$"
TEST = "webhook.test"


class Data(Struct, kw_only=True, frozen=True):
    """The content of an event. Ids are user ids, also in matches. Times are in milliseconds since 1970 UTC."""


class MessageData(Data, frozen=True):
    """A message. If it is deleted or has expired, `deleted_at` is set and the content is null.

    `system`: what the sender has done, in a system message. `mentions`: the ids of mentioned users.
    """

    conversation: str
    message: str
    seq: int
    rev: int
    sender: str
    client_id: str
    text: str | None
    attachments: list[Json]
    reply_to: str | None
    meta: Json | None
    system: Json | None
    mentions: list[str]
    mentions_everybody: bool
    forwarded: Json | None
    created_at: int
    edited_at: int | None
    deleted_at: int | None
    expires_at: int | None


class ConversationData(Data, frozen=True):
    """A conversation."""

    conversation: str
    kind: Literal["direct", "group", "match"]
    title: str | None
    description: str | None
    picture: str | None
    creator: str | None
    member_count: int
    announce: bool
    joining: Joining
    history: Literal["all", "joined"]
    disappear: int
    slow_seconds: int
    created_at: int


class MemberData(Data, frozen=True):
    """A membership. `role`: null for a user who is not a member any more. `actor`: the user who has removed them, or
    themselves; null if no user did.
    """

    conversation: str
    user: str
    role: Role | None
    actor: str | None


class UserData(Data, frozen=True):
    """A user. `external_id`: the id in the tokens of your backend, if that is not `user`. `avatar`: an upload;
    `picture_url`: a claim of the tokens. `deactivated_at`: since when the user may not sign in.
    """

    user: str
    external_id: str | None
    name: str | None
    handle: str | None
    avatar: str | None
    picture_url: str | None
    status_text: str | None
    locale: str | None
    time_zone: str | None
    profile: Json | None
    roles: list[str]
    anonymous: bool
    created_at: int
    deactivated_at: int | None


class ErasedUserData(Data, frozen=True):
    """A user whose data was erased, or an anonymous account that was never used again."""

    user: str


class BanData(Data, frozen=True):
    """A ban of a user. `expires_at`: null for a permanent one."""

    ban: str
    user: str
    reason: str
    actor: str
    created_at: int
    expires_at: int | None
    lifted_at: int | None


class ReportData(Data, frozen=True):
    """A report of `reporter` about `user`. The evidence is read with `admin.report`."""

    report: str
    reporter: str
    user: str
    conversation: str
    message: str | None
    reason: str
    text: str | None
    state: Literal["open", "resolved"]
    outcome: Literal["upheld", "dismissed"] | None
    resolved_by: str | None
    created_at: int
    resolved_at: int | None


class MatchData(Data, frozen=True):
    """A match of strangers. `reason`: why it ended, such as `kept`."""

    match: str
    conversation: str
    queue: str
    users: list[str]
    created_at: int
    ended_at: int | None
    reason: str | None


class TestData(Data, frozen=True):
    """The content of a test."""

    __test__ = False
    message: str


class EventType(NamedTuple):
    """What has happened, and the form of `data`."""

    about: str
    data: type[Data]


EVENT_TYPES = {
    "message.created": EventType("A message was sent, or a system message was added.", MessageData),
    "message.edited": EventType("The text of a message was changed.", MessageData),
    "message.deleted": EventType("A message was deleted, or has expired.", MessageData),
    "conversation.created": EventType("A conversation of any kind began.", ConversationData),
    "conversation.updated": EventType("The title or another shared setting was changed.", ConversationData),
    "member.added": EventType("A user became a member.", MemberData),
    "member.updated": EventType("The role of a member was changed.", MemberData),
    "member.removed": EventType("A user left or was removed; the members of a match, when it ends.", MemberData),
    "user.created": EventType("A user was created.", UserData),
    "user.updated": EventType("The profile of a user was changed, or the user was deactivated.", UserData),
    "user.erased": EventType("The erasure of a user began, or an idle anonymous account was deleted.", ErasedUserData),
    "user.banned": EventType("A user was banned.", BanData),
    "user.unbanned": EventType("A ban of a user was lifted before its end.", BanData),
    "report.created": EventType("A user has reported another one.", ReportData),
    "report.resolved": EventType("A report was resolved.", ReportData),
    "match.created": EventType("Strangers were matched.", MatchData),
    "match.ended": EventType("A match ended.", MatchData),
}


def matches(pattern: str, type_: str) -> bool:
    """Whether a filter selects a type. `route` of sql/webhooks/queue.sql has the same rule."""
    return pattern in ("*", type_, f"{type_.partition('.')[0]}.*")


def expand(patterns: Iterable[str]) -> set[str]:
    """The types that these filters select."""
    patterns = set(patterns)
    return {type_ for type_ in EVENT_TYPES if any(matches(pattern, type_) for pattern in patterns)}


def unknown(patterns: Sequence[str]) -> list[str]:
    """Filters that select nothing."""
    return [pattern for pattern in patterns if not re.fullmatch(PATTERN, pattern) or not expand([pattern])]


def body_fields(type_: str, timestamp: str, tenant: str, data: Data) -> dict[str, Any]:
    """The body of a request, as Standard Webhooks recommends it, with the tenant."""
    return {"type": type_, "timestamp": timestamp, "tenant": tenant, "data": data}
