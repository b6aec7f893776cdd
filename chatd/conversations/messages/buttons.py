"""Checks of the buttons of a message, and their filters."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.conversations.button_types import FIELDS, MAX_DATA_BYTES, Button
from chatd.conversations.messages.attachments import is_web_url
from chatd.core.errors import Refused
from chatd.core.slices import Sliced
from chatd.core.text_forms import name_form
from chatd.db import queries
from chatd.filters.service import Filter

SQL = queries.load("conversations/buttons")
Rows = Sequence[Sequence[Button]]
COMMAND = re.compile(r"/\w[^\n]*")
ONLY_BOTS = "$.actions: only bots can send buttons"


async def check_may_have_buttons(ctx: Ctx) -> None:
    """Check that the requester is a bot. Raises Refused: `forbidden`."""
    if await ctx.node.db.one(SQL.bot, ctx.tenant, ctx.user) is None:
        raise Refused("forbidden", ONLY_BOTS)


def checked(rows: Rows) -> list[list[Button]]:
    """The buttons as they are stored: labels and commands are one line. Raises Refused: `bad_request`."""
    found, known = list[list[Button]](), set[str]()
    for row, buttons in enumerate(rows):
        found.append([checked_one(one, f"$.actions[{row}][{column}]") for column, one in enumerate(buttons)])
        for column, one in enumerate(buttons):
            if one.data is not None and one.data in known:
                raise Refused("bad_request", f"$.actions[{row}][{column}].data: expected buttons whose data differ")
            known.add(one.data or "")
    return found


def checked_one(given: Button, path: str) -> Button:
    needed = FIELDS[given.kind]
    for field in FIELDS.values():
        if (getattr(given, field) is None) is (field == needed):
            problem = f"needs {needed}" if field == needed else f"has no {field}"
            raise Refused("bad_request", f"{path}: a button of the kind {given.kind} {problem}")
    stored = replace(given, label=one_line(given.label, f"{path}.label"))
    match given.kind:
        case "press" if len((given.data or "").encode()) > MAX_DATA_BYTES:
            raise Refused("bad_request", f"{path}.data: expected at most {MAX_DATA_BYTES} bytes in UTF-8")
        case "url" if not is_https_url(given.url or ""):
            raise Refused("bad_request", f"{path}.url: expected an https address")
        case "copy" if not name_form(given.text or ""):
            raise Refused("bad_request", f"{path}.text: expected at least one visible character")
        case "command":
            stored = replace(stored, command=one_line(given.command or "", f"{path}.command"))
            if COMMAND.fullmatch(stored.command or "") is None:
                raise Refused("bad_request", f"{path}.command: expected a slash and the name of a command")
    return stored


def one_line(text: str, path: str) -> str:
    """Raises Refused: `bad_request`."""
    form = name_form(text)
    if not form:
        raise Refused("bad_request", f"{path}: expected at least one visible character")
    return form


def is_https_url(url: str) -> bool:
    return url[:8].lower() == "https://" and is_web_url(url)


def filtered_buttons(tenant_filter: Filter, rows: Rows) -> Sliced[list[list[Button]]]:
    """The buttons with their texts as the filters leave them. Raises Refused: `forbidden`."""
    found = list[list[Button]]()
    for row, buttons in enumerate(rows):
        found.append([])
        for column, one in enumerate(buttons):
            found[-1].append((yield from filtered_button(tenant_filter, one, f"$.actions[{row}][{column}]")))
    return found


def filtered_button(tenant_filter: Filter, button: Button, path: str) -> Sliced[Button]:
    for name in ("url", "command"):
        if (text := getattr(button, name)) is not None:
            yield from tenant_filter.apply(text, f"{path}.{name}", may_mask=False)
    texts = {"label": (yield from tenant_filter.apply(button.label, f"{path}.label"))}
    if button.text is not None:
        texts["text"] = yield from tenant_filter.apply(button.text, f"{path}.text")
    return replace(button, **texts)


def stored_buttons(rows: Rows) -> list[list[dict[str, Any]]]:
    form: list[list[dict[str, Any]]] = to_builtins(rows)
    return form


def pressable(stored: Any) -> Iterator[str]:
    """The `data` of the buttons of a message that can be pressed. `stored`: its column."""
    for row in stored or ():
        for button in row:
            if "data" in button:
                yield button["data"]
