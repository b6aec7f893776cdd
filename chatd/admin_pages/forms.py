"""Forms of the pages: each is declared once, with the admin command that it runs.

The role of an action is that of its command. `tests/admin_pages/test_roles.py` checks every action by this list.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

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
    """One field of a form. `kind` `confirm`: a box that must be ticked, and is no field of the command."""

    name: str
    label: str = ""
    kind: Kind = "text"
    required: bool = True
    max_length: int = 500
    choices: tuple[tuple[str, str], ...] = ()
    hint: str = ""


def hidden(name: str) -> Field:
    return Field(name, kind="hidden", max_length=64)


def confirm(label: str) -> Field:
    return Field("confirm", label, "confirm")


REASON = Field("reason", "Reason", hint="It is in the audit log.")
LASTS = Field("lasts", "Duration", "select", required=False, choices=DURATIONS)


def plain(fields: tuple[Field, ...], values: FormValues) -> dict[str, Any]:
    """The fields of a command as a form has them: an empty one that is not required is left out."""
    found: dict[str, Any] = {}
    for one in fields:
        text = values.get(one.name, "").replace("\r\n", "\n")
        if one.kind == "confirm":
            continue
        if one.kind == "check":
            found[one.name] = text == "on"
        elif text or one.required:
            found[one.name] = text
    return found


@dataclass(frozen=True, slots=True)
class Action:
    """A form, and the admin command that it runs.

    `name`: the last part of its path, and how a page names it. `command`: without `admin.`. `title`: what its button
    says. `done`: what the page says after it. `shows`: the result has something to read, such as a new secret, which
    `template` shows.
    `build`: makes the fields of the command of the values of the form.
    """

    name: str
    command: str
    title: str
    done: str
    fields: tuple[Field, ...]
    is_dangerous: bool = False
    shows: bool = False
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
