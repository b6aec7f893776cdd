"""The lines that `chatd chat` prints for events."""

from typing import Any

import pytest
from msgspec import convert

from chatd.cli.chat_lines import line_of, message_line
from chatd.client.events import KINDS
from chatd.client.types import Message
from chatd.client.wire_base import typed

MESSAGE = {
    "id": "m", "seq": 3, "rev": 3, "sender": "ann", "client_id": "c", "text": "hi", "attachments": [], "reply_to": None,
    "created_at": 0, "meta": None,
}  # fmt: skip


def update(**fields: Any) -> dict[str, Any]:
    return {"t": "message.update", "conversation": "c", "rev": 1, "message": MESSAGE, **fields}


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (update(change="edit", by="ann"), "ann edited message 3: hi"),
        (update(change="delete", by="bob", message=MESSAGE | {"text": None}), "bob deleted message 3"),
        (update(change="expire", message=MESSAGE | {"text": None}), "message 3 has expired"),
        (update(change="reaction", by="bob", emoji="👍", on=True), "bob reacted 👍 to message 3"),
        (update(change="reaction", by="bob", emoji="👍", on=False), "bob removed the reaction 👍 from message 3"),
        (update(change="pin", by="bob", on=False), "bob unpinned message 3"),
        (update(change="something later"), None),
        (update(), "ann edited message 3: hi"),
        (update(message=MESSAGE | {"text": None, "deleted_at": 1}), "ann deleted message 3"),
        (
            {"t": "message.read", "conversation": "c", "rev": 1, "user": "bob", "seq": 4, "unread": 0, "mentions": 0},
            "bob has read all messages up to 4",
        ),
        ({"t": "something.later"}, None),
    ],
)
def test_lines_of_events(event: dict[str, Any], line: str | None) -> None:
    assert line_of(typed(event, KINDS), str) == line


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "hi"),
        ({"edited_at": 1, "reactions": {"👍": 2}}, "hi (edited)  [👍2]"),
        ({"text": None}, "(no text)"),
        ({"text": None, "deleted_at": 1}, "(deleted)"),
        ({"system": {"act": "member.added", "users": ["bob"], "count": 3}}, "ann added bob and 2 more"),
        ({"system": {"act": "member.role", "users": ["bob"], "count": 1, "role": "admin"}}, "ann made bob admin"),
        ({"system": {"act": "conversation.edited", "title": "{x}"}}, "ann changed title: {x}"),
        ({"system": {"act": "what.{is}.new"}}, "ann: what.is.new"),
    ],
)
def test_lines_of_messages(fields: dict[str, Any], line: str) -> None:
    assert message_line(convert(MESSAGE | fields, Message), str) == line
