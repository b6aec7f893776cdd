"""The types of events that webhooks send, and the form of their `data`.

Each follows from a committed change (sql/webhooks/schema/functions.sql). `data` is read when the event is sent: it is
the present state of what has changed, so that nothing leaves which was deleted in between. docs/webhooks.md lists them;
a test compares it with this module.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from msgspec import Struct

from chatd.conversations.entities import Joining, Json, Role
from chatd.core.ids import PYTHON_END
from chatd.wire.base import Id, Millis, Rev, Seq
from chatd.wire.reference.description import Outgoing

# A type, all types that begin alike, or all types.
PATTERN = rf"^(\*|[a-z]{{1,30}}\.(\*|[a-z]{{1,30}})){PYTHON_END}"
TEST = "webhook.test"


class Data(Struct, kw_only=True, frozen=True):
    """The content of an event. Ids are user ids, also in matches. Times are in milliseconds since 1970 UTC."""


class MessageData(Data, frozen=True):
    """A message. If it is deleted or has expired, `deleted_at` is set and the content is null.

    `system`: what the sender has done, in a system message. `mentions`: the ids of mentioned users. `thread`: the
    message in whose thread it is a reply. `poll`: the options with their counts, see `Poll` in the protocol. `actions`:
    rows of buttons.
    """

    conversation: Id
    message: Id
    seq: Seq
    rev: Rev
    sender: Id
    client_id: str
    text: str | None
    attachments: list[Json]
    reply_to: Id | None
    meta: Json | None
    system: Json | None
    mentions: list[Id]
    mentions_everybody: bool
    forwarded: Json | None
    thread: Id | None
    poll: Json | None
    actions: list[list[Json]]
    created_at: Millis
    edited_at: Millis | None
    deleted_at: Millis | None
    expires_at: Millis | None


class ConversationData(Data, frozen=True):
    """A conversation. `requested`: the user who has not accepted this direct conversation yet."""

    conversation: Id
    kind: Literal["direct", "group", "match"]
    title: str | None
    description: str | None
    picture: Id | None
    creator: Id | None
    member_count: int
    announce: bool
    joining: Joining
    history: Literal["all", "joined"]
    disappear: int
    slow_seconds: int
    created_at: Millis
    requested: Id | None


class MemberData(Data, frozen=True):
    """A membership. `role`: null for a user who is not a member any more. `actor`: the user who has removed them, or
    themselves; null if no user did.
    """

    conversation: Id
    user: Id
    role: Role | None
    actor: Id | None


class ReactionData(Data, frozen=True):
    """The reactions of a user to a message. `emoji`: all that the user has now, the earliest first; empty if none is
    left. `reactions`: the number of reactions of all users, by emoji.
    """

    conversation: Id
    message: Id
    seq: Seq
    user: Id
    emoji: list[str]
    reactions: dict[str, int]


class ReceiptData(Data, frozen=True):
    """The receipts of a member: all messages up to these numbers are delivered, and read."""

    conversation: Id
    user: Id
    delivered: Seq
    read: Seq


class VoteData(Data, frozen=True):
    """A vote in a poll. `options`: the indexes that the user has chosen, from 0; empty if the vote was taken back.
    `user` and `options` are null if the poll is anonymous. `poll`: the options with their counts.
    """

    conversation: Id
    message: Id
    seq: Seq
    user: Id | None
    options: list[int] | None
    poll: Json


class PollData(Data, frozen=True):
    """A poll. `poll`: the options with their counts, and when it ended."""

    conversation: Id
    message: Id
    seq: Seq
    poll: Json


class UserData(Data, frozen=True):
    """A user. `external_id`: the id in the tokens of your backend, if that is not `user`. `avatar`: an upload;
    `picture_url`: a claim of the tokens. `bot`: a program. `deactivated_at`: since when the user may not sign in.
    """

    user: Id
    external_id: str | None
    name: str | None
    handle: str | None
    avatar: Id | None
    picture_url: str | None
    status_text: str | None
    locale: str | None
    time_zone: str | None
    profile: Json | None
    roles: list[str]
    anonymous: bool
    bot: bool
    created_at: Millis
    deactivated_at: Millis | None


class BotCommandData(Data, frozen=True):
    """A command for the bot. `args`: its arguments by name, as the bot has declared them; `text`: the whole message."""

    conversation: Id
    message: Id
    seq: Seq
    sender: Id
    name: str
    args: dict[str, str | int | float | bool]
    text: str
    created_at: Millis


class ErasedUserData(Data, frozen=True):
    """A user whose data was erased, or an anonymous account that was never used again."""

    user: Id


class BanData(Data, frozen=True):
    """A ban of a user. `expires_at`: null for a permanent one."""

    ban: Id
    user: Id
    reason: str
    actor: str
    created_at: Millis
    expires_at: Millis | None
    lifted_at: Millis | None


class ReportData(Data, frozen=True):
    """A report of `reporter` about `user`. The evidence is read with `admin.report`."""

    report: Id
    reporter: Id
    user: Id
    conversation: Id
    message: Id | None
    reason: str
    text: str | None
    state: Literal["open", "resolved"]
    outcome: Literal["upheld", "dismissed"] | None
    resolved_by: str | None
    created_at: Millis
    resolved_at: Millis | None


class MatchData(Data, frozen=True):
    """A match of strangers. `reason`: why it ended, such as `kept`."""

    match: Id
    conversation: Id
    queue: str
    users: list[Id]
    created_at: Millis
    ended_at: Millis | None
    reason: str | None


class ActionData(Data, frozen=True):
    """A button of a message of `bot` that `user` has pressed. `data` is that of the button."""

    action: Id
    conversation: Id
    message: Id
    bot: Id
    user: Id
    data: str
    created_at: Millis


class TestData(Data, frozen=True):
    """The content of a test."""

    __test__ = False
    message: str


OUTGOING = (
    Outgoing("message.created", "A message was sent, or a system message was added.", MessageData),
    Outgoing("message.edited", "The text of a message was changed.", MessageData),
    Outgoing("message.deleted", "A message was deleted, or has expired.", MessageData),
    Outgoing("reaction.added", "A user has reacted to a message.", ReactionData),
    Outgoing("reaction.removed", "A user has removed a reaction.", ReactionData),
    Outgoing("receipt.updated", "Messages were delivered to a member, or read by them.", ReceiptData),
    Outgoing("poll.voted", "A user has voted in a poll, or has taken back the vote.", VoteData),
    Outgoing("poll.closed", "A poll has ended.", PollData),
    Outgoing("conversation.created", "A conversation of any kind began.", ConversationData),
    Outgoing("conversation.updated", "A shared setting was changed, or the other user has accepted.", ConversationData),
    Outgoing("member.added", "A user became a member.", MemberData),
    Outgoing("member.updated", "The role of a member was changed.", MemberData),
    Outgoing("member.removed", "A user left or was removed; the members of a match, when it ends.", MemberData),
    Outgoing("user.created", "A user was created.", UserData),
    Outgoing("user.updated", "The profile of a user was changed, or the user was deactivated.", UserData),
    Outgoing("user.erased", "The erasure of a user began, or an idle anonymous account was deleted.", ErasedUserData),
    Outgoing("user.banned", "A user was banned.", BanData),
    Outgoing("user.unbanned", "A ban of a user was lifted before its end.", BanData),
    Outgoing("report.created", "A user has reported another one.", ReportData),
    Outgoing("report.resolved", "A report was resolved.", ReportData),
    Outgoing("match.created", "Strangers were matched.", MatchData),
    Outgoing("match.ended", "A match ended.", MatchData),
    Outgoing("action.created", "A user has pressed a button of a message of a bot.", ActionData),
)
# What the endpoint of a bot gets, besides `message.created` for the messages that the bot may see, and
# `action.created` for its own buttons.
BOT_OUTGOING = (
    Outgoing("bot.command", "To a bot: a user has sent a command for it.", BotCommandData),
    Outgoing("bot.added", "To a bot: it was added to a conversation.", MemberData),
    Outgoing("bot.removed", "To a bot: it was removed from a conversation, or has left it.", MemberData),
)
EVENT_TYPES = {event.name: event for event in OUTGOING}
ALL_TYPES = EVENT_TYPES | {event.name: event for event in BOT_OUTGOING}
BOT_TYPES = ("message.created", "action.created", *(event.name for event in BOT_OUTGOING))
# The changes that the events of bots follow from. `route` of sql/webhooks/queue.sql names them.
BOT_SOURCES = frozenset({"message.created", "action.created", "bot.command", "member.added", "member.removed"})


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
