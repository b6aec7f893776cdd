"""Kinds of free text in commands. Each field with free text declares its kind, for `chatd.app.command_texts`.

The declaration is part of the type: `Annotated[str, Meta(max_length=100, extra=NAME)]`. A test fails for a command with
a field of free text without a declaration.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

from msgspec import Struct, inspect


class TextKind(Enum):
    """The kinds, by who reads the text."""

    NAME = "one line that other users read: a name, a title"
    PROSE = "several lines that other users read"
    KEY = "compared with texts of other users, who read it: a tag, an attribute, a reaction"
    LOOKUP = "refers to a key: normalized in the same way, but not shown"
    MESSAGE = "the content of a message: `conversations.messages.sending` and `message.edit` have it screened"
    PRIVATE = "not shown to other users, or only to admins as evidence: a draft, a query, a secret, a report"


DECLARED: Final = "text"
NAME: Final = {DECLARED: TextKind.NAME}
PROSE: Final = {DECLARED: TextKind.PROSE}
KEY: Final = {DECLARED: TextKind.KEY}
LOOKUP: Final = {DECLARED: TextKind.LOOKUP}
MESSAGE: Final = {DECLARED: TextKind.MESSAGE}
PRIVATE: Final = {DECLARED: TextKind.PRIVATE}
Fields = tuple[tuple[str, TextKind], ...]


def text_fields(command: type[Struct]) -> Fields:
    """The fields of a command with free text, and their kinds."""
    form = inspect.type_info(command)
    assert isinstance(form, inspect.StructType)
    found = ((field.name, next(kinds_in(field.type), None)) for field in form.fields)
    return tuple((name, kind) for name, kind in found if kind is not None)


def kinds_in(form: inspect.Type) -> Iterator[TextKind]:
    """The declarations within a type."""
    if isinstance(form, inspect.Metadata) and DECLARED in (form.extra or {}):
        yield (form.extra or {})[DECLARED]
    else:
        for part in parts_of(form):
            yield from kinds_in(part)


def undeclared(form: inspect.Type, path: str) -> Iterator[str]:
    """Paths in a type to free text without a declaration. Text with a pattern or a list of values is not free."""
    if isinstance(form, inspect.Metadata) and DECLARED in (form.extra or {}):
        return
    if isinstance(form, inspect.AnyType | inspect.RawType) or (
        isinstance(form, inspect.StrType) and form.pattern is None
    ):
        yield path
    if isinstance(form, inspect.StructType):
        for field in form.fields:
            yield from undeclared(field.type, f"{path}.{field.encode_name}")
        return
    for part in parts_of(form):
        yield from undeclared(part, path)


def parts_of(form: Any) -> Iterator[inspect.Type]:
    match form:
        case inspect.Metadata():
            yield form.type
        case inspect.UnionType():
            yield from form.types
        case inspect.ListType() | inspect.SetType() | inspect.VarTupleType():
            yield form.item_type
        case inspect.DictType():
            yield from (form.key_type, form.value_type)
        case inspect.StructType():
            yield from (field.type for field in form.fields)
