"""What the free text of a command is for. Each field that holds one declares it; `chatd.app.command_texts` acts on it.

A declaration is a part of the type: `Annotated[str, Meta(max_length=100, extra=NAME)]`. A test refuses a command with a field of
free text that declares nothing.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

from msgspec import Struct, inspect


class TextKind(Enum):
    """What a text is, and who reads it."""

    NAME = "one line that others read: a name, a title"
    PROSE = "several lines that others read"
    KEY = "what is compared with the texts of others, and read by them: a tag, an attribute, a reaction"
    LOOKUP = "names what was given as a key: takes the same form, and nobody reads it"
    MESSAGE = "the content of a message: `chatd.conversations.messages.sending` and message.edit have it screened, with the hook"
    PRIVATE = "read by nobody else, or only by admins as evidence: a draft, a query, a secret, a report"


DECLARED: Final = "text"
NAME: Final = {DECLARED: TextKind.NAME}
PROSE: Final = {DECLARED: TextKind.PROSE}
KEY: Final = {DECLARED: TextKind.KEY}
LOOKUP: Final = {DECLARED: TextKind.LOOKUP}
MESSAGE: Final = {DECLARED: TextKind.MESSAGE}
PRIVATE: Final = {DECLARED: TextKind.PRIVATE}
Fields = tuple[tuple[str, TextKind], ...]


def text_fields(command: type[Struct]) -> Fields:
    """The fields of a command that declare free text, each with its kind."""
    form = inspect.type_info(command)
    assert isinstance(form, inspect.StructType)
    found = ((field.name, next(kinds_in(field.type), None)) for field in form.fields)
    return tuple((name, kind) for name, kind in found if kind is not None)


def kinds_in(form: inspect.Type) -> Iterator[TextKind]:
    """What is declared anywhere in a type."""
    if isinstance(form, inspect.Metadata) and DECLARED in (form.extra or {}):
        yield (form.extra or {})[DECLARED]
    else:
        for part in parts_of(form):
            yield from kinds_in(part)


def undeclared(form: inspect.Type, path: str) -> Iterator[str]:
    """Places in a type that can hold any text and declare nothing of it. A pattern or a list of values leaves no free text."""
    if isinstance(form, inspect.Metadata) and DECLARED in (form.extra or {}):
        return
    if isinstance(form, inspect.AnyType | inspect.RawType) or (isinstance(form, inspect.StrType) and form.pattern is None):
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
