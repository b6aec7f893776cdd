"""Forms of the pages: each is declared once, with the admin command that it runs.

The role of an action is that of its command. `tests/admin_pages/test_roles.py` checks every action by this list.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from msgspec import inspect

from chatd.wire.base import Command

FormValues = Mapping[str, str]
Kind = Literal["text", "area", "check", "select", "hidden", "confirm"]
# A form has at most this many fields, of at most this many characters together.
MAX_FIELDS = 64
NEVER = ""
DURATIONS = (
    ("3600", "1 hour"),
    ("86400", "1 day"),
    ("604800", "7 days"),
    ("2592000", "30 days"),
    (NEVER, "permanently"),
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form. `kind` `confirm`: a box that must be ticked, and is no field of the command.

    `max_length`, `may_be_empty`: of a text; `bound` takes them from the command.
    """

    name: str
    label: str = ""
    kind: Kind = "text"
    required: bool = True
    max_length: int = 500
    choices: tuple[tuple[str, str], ...] = ()
    hint: str = ""
    may_be_empty: bool = False


def hidden(name: str) -> Field:
    return Field(name, kind="hidden", max_length=64)


def confirm(label: str) -> Field:
    return Field("confirm", label, "confirm")


REASON = Field("reason", "Reason", hint="It is in the audit log.")
LASTS = Field("lasts", "Duration", "select", required=False, choices=DURATIONS)


def plain(fields: tuple[Field, ...], values: FormValues) -> dict[str, Any]:
    """The fields of a command as a form has them. An empty one that is not required is left out, unless the command
    accepts an empty text, which removes the value.
    """
    found: dict[str, Any] = {}
    for one in fields:
        text = values.get(one.name, "").replace("\r\n", "\n")
        if one.kind == "confirm":
            continue
        if one.kind == "check":
            found[one.name] = text == "on"
        elif text or one.required or (one.may_be_empty and one.name in values):
            found[one.name] = text
    return found


@dataclass(frozen=True, slots=True)
class Action:
    """A form, and the admin command that it runs.

    `name`: the last part of its path, and how a page names it. `command`: without `admin.`. `title`: what its button
    says. `done`: what the page says after it. `shows`: the result has something to read, such as a new secret, which
    `template` shows.
    `edits`: the form begins with the present values, and an emptied field removes its value.
    `build`: makes the fields of the command of the values of the form.
    """

    name: str
    command: str
    title: str
    done: str
    fields: tuple[Field, ...]
    is_dangerous: bool = False
    shows: bool = False
    edits: bool = False
    template: str = "result.html"
    build: Callable[[tuple[Field, ...], FormValues], dict[str, Any]] = field(default=plain)

    @property
    def path(self) -> str:
        return f"/admin/do/{self.name}"

    def missing(self, values: FormValues) -> str:
        """What is wrong with a form before its command is made; empty if nothing is."""
        for one in self.fields:
            text = values.get(one.name, "")
            if one.kind == "confirm" and text != "on":
                return "Tick the box to confirm."
            if one.kind == "select" and text not in dict(one.choices):
                return f"{one.label}: choose one of the list."
            if one.required and one.kind in ("text", "area") and not text.strip():
                return f"{one.label}: fill this in."
        return ""


def bound(action: Action, command: type[Command]) -> Action:
    """The action with the limits of its command. An edit form requires the texts that the command cannot empty."""
    form = inspect.type_info(command)
    assert isinstance(form, inspect.StructType)
    declared = {one.name: next(texts_in(one.type), None) for one in form.fields}
    return replace(action, fields=tuple(limited(one, declared.get(one.name), action.edits) for one in action.fields))


def limited(one: Field, text: inspect.StrType | None, is_edited: bool) -> Field:
    """A field with the limits of a text of a command; None: its value is no text."""
    if text is None or one.kind not in ("text", "area"):
        return one
    may_be_empty = not text.min_length and text.pattern is None
    return replace(
        one,
        max_length=text.max_length or one.max_length,
        may_be_empty=may_be_empty,
        required=one.required or (is_edited and not may_be_empty),
    )


def texts_in(form: inspect.Type) -> Iterator[inspect.StrType]:
    """The text in the type of a field, which may be optional and annotated."""
    if isinstance(form, inspect.StrType):
        yield form
    elif isinstance(form, inspect.Metadata):
        yield from texts_in(form.type)
    elif isinstance(form, inspect.UnionType):
        for part in form.types:
            yield from texts_in(part)
