"""The lines of an import file: their types, and how a file is read. docs/importing.md describes the format."""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from chatd.accounts.profile_claims import MAX_ROLE, MAX_ROLES
from chatd.conversations.attachment_types import MAX_ATTACHMENTS
from chatd.conversations.button_types import Buttons
from chatd.core.emoji import MAX_LENGTH
from chatd.wire.explanations import explain

MAX_LINE_BYTES = 1_048_576
Ext = Annotated[str, Meta(min_length=1, max_length=255)]
# Milliseconds since 1970 UTC, or a time in the form of ISO 8601 with a time zone.
Time = int | str


class BadLine(Exception):
    """A line that cannot be imported. The text says why."""


class Line(Struct, tag_field="type", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One line of an import file. Ids are those of the other product."""


class UserLine(Line, tag="user", kw_only=True, frozen=True):
    """A user."""

    id: Ext
    name: Annotated[str, Meta(max_length=100)] | None = None
    picture_url: Annotated[str, Meta(max_length=2048)] | None = None
    locale: Annotated[str, Meta(max_length=35)] | None = None
    roles: Annotated[list[Annotated[str, Meta(min_length=1, max_length=MAX_ROLE)]], Meta(max_length=MAX_ROLES)] = []
    created_at: Time | None = None


class ConversationLine(Line, tag="conversation", kw_only=True, frozen=True):
    """A conversation, optionally with its members. A direct one has two, which do not change."""

    id: Ext
    kind: Literal["group", "direct"]
    title: Annotated[str, Meta(max_length=100)] | None = None
    description: Annotated[str, Meta(max_length=1000)] | None = None
    creator: Ext | None = None
    members: Annotated[list[Ext], Meta(max_length=10_000)] = []
    created_at: Time | None = None


class MemberLine(Line, tag="member", kw_only=True, frozen=True):
    """A member of a group."""

    conversation: Ext
    user: Ext
    role: Literal["owner", "admin", "moderator", "member"] = "member"
    joined_at: Time | None = None


class AttachmentLine(Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """An attachment of a message: a link, or a file by its path below the folder of the files. `name`: as members see
    the file.
    """

    url: Annotated[str, Meta(min_length=1, max_length=2048)] = ""
    file: Annotated[str, Meta(min_length=1, max_length=1000)] = ""
    name: Annotated[str, Meta(min_length=1, max_length=200)] = ""


class MessageLine(Line, tag="message", kw_only=True, frozen=True):
    """A message. Without `sender` it is one of the system."""

    conversation: Ext
    id: Ext
    created_at: Time
    sender: Ext | None = None
    text: str | None = None
    attachments: Annotated[list[AttachmentLine], Meta(max_length=MAX_ATTACHMENTS)] = []
    reply_to: Ext | None = None
    meta: dict[str, Any] | None = None
    mentions: Annotated[list[Ext], Meta(max_length=50)] = []
    actions: Buttons = []
    edited_at: Time | None = None
    deleted_at: Time | None = None


class ReactionLine(Line, tag="reaction", kw_only=True, frozen=True):
    """A reaction of a user to a message."""

    conversation: Ext
    message: Ext
    user: Ext
    emoji: Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH)]
    created_at: Time | None = None


class ReadLine(Line, tag="read", kw_only=True, frozen=True):
    """The last message that a member has read. Without `message`: all messages of the lines before."""

    conversation: Ext
    user: Ext
    message: Ext | None = None


AnyLine = UserLine | ConversationLine | MemberLine | MessageLine | ReactionLine | ReadLine
DECODER: msgspec.json.Decoder[AnyLine] = msgspec.json.Decoder(AnyLine)


class Numbered(Struct, frozen=True):
    """The bytes of a line, its number (the first is 1), and the offset in the file after it."""

    number: int
    end: int
    data: bytes


def decode(line: Numbered) -> AnyLine:
    """Decode a line. Raises BadLine."""
    if len(line.data) > MAX_LINE_BYTES:
        raise BadLine(f"expected at most {MAX_LINE_BYTES} bytes in a line")
    try:
        return DECODER.decode(line.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadLine(explain(error, AnyLine) if isinstance(error, msgspec.DecodeError) else "not valid JSON") from None


def tag_of(line: AnyLine) -> str:
    """The type of a line, as in the file."""
    return str(type(line).__struct_config__.tag)


def conversation_of(line: AnyLine) -> str | None:
    """The external id of the conversation that a line names."""
    if isinstance(line, ConversationLine):
        return line.id
    return None if isinstance(line, UserLine) else line.conversation


def read(path: Path, start: Numbered | None = None, digest: "hashlib._Hash | None" = None) -> Iterator[Numbered]:
    """The lines of a file after `start`, without empty ones. `digest` is updated with all bytes that are read."""
    number, end = (start.number, start.end) if start is not None else (0, 0)
    with path.open("rb") as file:
        file.seek(end)
        while data := file.readline(MAX_LINE_BYTES + 1):
            number, end = number + 1, end + len(data)
            if digest is not None:
                digest.update(data)
            while not data.endswith(b"\n") and (rest := file.readline(MAX_LINE_BYTES)):
                # The rest of a line that is too long; the line itself is refused.
                end += len(rest)
                if digest is not None:
                    digest.update(rest)
                data = data[: MAX_LINE_BYTES + 1] + rest[-1:]
            if data.strip():
                yield Numbered(number, end, data)


def millis(time: Time, field: str) -> int:
    """A time in milliseconds. Raises BadLine."""
    if isinstance(time, int):
        found = time
    else:
        try:
            at = datetime.fromisoformat(time)
        except ValueError:
            raise BadLine(f"$.{field}: expected milliseconds, or a time such as 2024-05-01T12:00:00Z") from None
        if at.tzinfo is None:
            raise BadLine(f"$.{field}: expected a time with a time zone, such as 2024-05-01T12:00:00Z")
        found = round(at.timestamp() * 1000)
    if not 0 <= found < 2**53:
        raise BadLine(f"$.{field}: expected a time since 1970")
    return found
