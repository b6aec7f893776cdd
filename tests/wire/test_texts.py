"""Every free text of a command declares what it is for: whether others read it, and so whether the filters see it."""

from typing import Annotated, Any

import pytest
from msgspec import Meta, inspect

from chatd.app.registry import Guard, Row
from chatd.subsystems import load_registry
from chatd.wire.base import Command
from chatd.wire.codec import tag_of
from chatd.wire.texts import NAME, TextKind, text_fields, undeclared
from chatd.wire.times import time_fields

ROWS = tuple(load_registry().commands.values())


def open_fields(kind: type[Command]) -> list[str]:
    form = inspect.type_info(kind)
    assert isinstance(form, inspect.StructType)
    return [path for field in form.fields for path in undeclared(field.type, field.encode_name)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.tag))
def test_free_texts_declare_their_kind(row: Row) -> None:
    """Texts of admins are the operator's own, and pass no filter."""
    if row.guard is not Guard.ADMIN:
        assert open_fields(row.command) == [], "declare it: see chatd/wire/texts.py"


class Careless(Command, tag="careless"):
    """A command without declared kinds of text."""

    motto: str
    places: list[dict[str, Any]]
    inner: Annotated[dict[str, Annotated[str, Meta(max_length=9)]], Meta(max_length=3)]
    fixed: Annotated[str, Meta(pattern="^[a-z]$")] = "a"
    title: Annotated[str, Meta(extra=NAME)] | None = None


def test_undeclared_free_text_is_found() -> None:
    assert open_fields(Careless) == ["motto", "places", "places", "inner", "inner"]
    assert text_fields(Careless) == (("title", TextKind.NAME),)


BOT_TEXTS = ("handle", "name", "description")


def test_texts_that_others_read_are_declared() -> None:
    """A change here is a change of what the filters see."""
    read = (TextKind.NAME, TextKind.PROSE, TextKind.KEY, TextKind.MESSAGE)
    found = {(tag_of(row.command), name) for row in ROWS for name, kind in text_fields(row.command) if kind in read}
    assert found == {
        ("auth.anonymous", "name"),
        ("conversation.create", "title"),
        ("conversation.edit", "title"),
        ("conversation.edit", "description"),
        ("conversation.join", "text"),
        # Attachments of a draft, which pass the filters when they are sent.
        ("conversation.settings", "draft_parts"),
        ("match.find", "tags"),
        ("match.find", "attributes"),
        ("reaction.add", "emoji"),
        ("message.send", "text"),
        ("message.send", "attachments"),
        ("message.send", "meta"),
        ("message.send", "actions"),
        ("message.schedule", "text"),
        ("message.schedule", "attachments"),
        ("message.schedule", "meta"),
        ("message.edit", "text"),
        ("message.edit", "actions"),
        ("bot.notify", "text"),
        ("schedule.edit", "text"),
        ("poll.create", "question"),
        ("poll.create", "options"),
        ("user.update", "name"),
        ("user.update", "handle"),
        ("user.update", "status_text"),
        ("user.update", "profile"),
        ("bot.commands.set", "commands"),
        *((f"{by}.bot.{act}", name) for by in ("admin", "server") for act in ("add", "update") for name in BOT_TEXTS),
        ("server.conversation.create", "title"),
        ("server.conversation.edit", "title"),
        ("server.conversation.edit", "description"),
        ("server.message.send", "text"),
        ("server.message.send", "attachments"),
        ("server.message.send", "meta"),
        ("server.message.send", "actions"),
        ("server.message.edit", "text"),
        ("server.message.edit", "actions"),
    }


def named_as_a_time(field: inspect.Field) -> bool:
    """By its name, or by its description."""
    schema = str(field.type)
    return (
        field.encode_name in ("at", "until")
        or field.encode_name.endswith(("_at", "_until"))
        or "Milliseconds since" in schema
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.tag))
def test_times_are_declared(row: Row) -> None:
    form = inspect.type_info(row.command)
    assert isinstance(form, inspect.StructType)
    named = {field.encode_name for field in form.fields if named_as_a_time(field)}
    # What a ping carries comes back as it was.
    assert named - ({"ts"} if row.tag == "ping" else set()) <= set(time_fields(row.command))
