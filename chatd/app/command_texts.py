"""Free texts of commands: normalization, and filters for the texts that other users read.

Dispatch calls this for every command; the types of its fields decide what is done. The content of messages passes the
same filters in `conversations/messages/screening.py`, which also calls the moderation hook and skips messages that are
already stored.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from chatd.app.context import Ctx, Node
from chatd.core.emoji import SELECTORS, canonical
from chatd.core.errors import Refused
from chatd.core.slices import Sliced
from chatd.core.text_forms import name_form, prose_form
from chatd.core.turns import in_turns
from chatd.wire.base import Command
from chatd.wire.texts import Fields, TextKind, text_fields


class TextFilter(Protocol):
    """The filter of a tenant for texts that other users read."""

    def apply(self, text: str, path: str, *, may_mask: bool) -> Sliced[str]:
        """The text, or the text with unwanted words masked. Raises Refused: `forbidden`."""


@dataclass(frozen=True, slots=True)
class TextFilters:
    """The filter of each tenant. A node without configured filters has none."""

    of: Callable[[str], TextFilter]


Change = Callable[[str, str], Sliced[str]]


def key_form(text: str) -> str:
    """The canonical spelling of a key, with fully qualified emoji."""
    return canonical(name_form(SELECTORS.sub("", text)))


FORMS: dict[TextKind, Callable[[str], str]] = {
    TextKind.NAME: name_form,
    TextKind.PROSE: prose_form,
    TextKind.KEY: key_form,
    TextKind.LOOKUP: key_form,
}


@cache
def formed_fields(command: type[Struct]) -> Fields:
    """The fields of a command whose texts are normalized."""
    return tuple((name, kind) for name, kind in text_fields(command) if kind in FORMS)


async def normalized(ctx: Ctx, command: Command) -> Command:
    """The command with its texts as they are stored. Raises Refused: `bad_request`, `forbidden`."""
    fields = formed_fields(type(command))
    return await in_turns(changed(ctx, command, fields)) if fields else command


def changed(ctx: Ctx, command: Command, fields: Fields) -> Sliced[Command]:
    tenant, new = ctx.tenant or getattr(command, "tenant", ""), dict[str, Any]()
    for name, kind in fields:
        value = getattr(command, name)
        if value:
            new[name] = yield from map_texts(value, f"$.{name}", partial(stored_text, ctx.node, tenant, kind))
    return replace(command, **new) if new else command


def stored_text(node: Node, tenant: str, kind: TextKind, text: str, path: str) -> Sliced[str]:
    """One text, as it is stored. Raises Refused: `bad_request`, `forbidden`."""
    form = FORMS[kind](text)
    if text and not form:
        raise Refused("bad_request", f"{path}: expected at least one visible character")
    yield
    filters = node.services.find(TextFilters)
    if filters is None or kind is TextKind.LOOKUP:
        return form
    return (yield from filters.of(tenant).apply(form, path, may_mask=kind is not TextKind.KEY))


def map_texts(value: Any, path: str, change: Change) -> Sliced[Any]:
    """A copy of the value in which `change` was applied to every text, including the keys of maps."""
    if isinstance(value, str):
        return (yield from change(value, path))
    if isinstance(value, Struct):
        fields = dict[str, Any]()
        for name in value.__struct_fields__:
            fields[name] = yield from map_texts(getattr(value, name), f"{path}.{name}", change)
        return replace(value, **fields)
    if isinstance(value, list):
        items = list[Any]()
        for index, one in enumerate(value):
            items.append((yield from map_texts(one, f"{path}[{index}]", change)))
        return items
    if isinstance(value, dict):
        form = dict[str, Any]()
        for key, one in value.items():
            new = yield from change(key, path)
            form[new] = yield from map_texts(one, f"{path}.{key[:32]}", change)
        return form
    return value
