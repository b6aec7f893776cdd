"""Buttons of messages: their wire form. `messages/buttons.py` checks them, the subsystem `actions` is about presses."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from chatd.wire.reference.examples import Example
from chatd.wire.texts import MESSAGE, PRIVATE

MAX_ROWS, MAX_PER_ROW = 10, 8
MAX_DATA_BYTES = 256
Kind = Literal["press", "url", "command", "copy"]
Style = Literal["default", "primary", "danger"]
ButtonLabel = Annotated[str, Meta(min_length=1, max_length=64, extra=MESSAGE)]
ButtonData = Annotated[
    str, Meta(min_length=1, max_length=MAX_DATA_BYTES, extra=PRIVATE, description="At most 256 bytes in UTF-8")
]
ButtonUrl = Annotated[str, Meta(min_length=1, max_length=2048, extra=MESSAGE, description="https")]
ButtonText = Annotated[str, Meta(min_length=1, max_length=256, extra=MESSAGE)]


class Button(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A button of a message of a bot.

    `kind`: what a client does when it is pressed, absent for `press`. `style`: absent for `default`.

    `press`: it sends `data` with message.action, which goes to the bot; all members can read it. `url`: it opens `url`,
    after showing where that leads. `command`: it puts `command`, such as `/help`, into the input of the user. `copy`:
    it copies `text`. A button has the field of its kind and no other.
    """

    label: ButtonLabel
    kind: Kind = "press"
    data: ButtonData | None = None
    url: ButtonUrl | None = None
    command: ButtonText | None = None
    text: ButtonText | None = None
    style: Style = "default"
    EXAMPLE: ClassVar = Example(
        label="Accept", kind="press", data="accept:17", style="primary", left_out=("url", "command", "text")
    )


ButtonRow = Annotated[list[Button], Meta(min_length=1, max_length=MAX_PER_ROW)]
Buttons = Annotated[list[ButtonRow], Meta(max_length=MAX_ROWS)]
# By kind: the field that it has, and that others do not have.
FIELDS: dict[Kind, str] = {"press": "data", "url": "url", "command": "command", "copy": "text"}
