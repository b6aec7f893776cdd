"""Describes to a client what is wrong with a body, and what is expected in its place."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from msgspec import inspect

from chatd.core.ids import UUID_PATTERN

# Maximum characters of a path, and of a description that contains a value of the client.
MAX_SHOWN = 200
ACRONYM = re.compile(r"[A-Z]{2}")
STEP = re.compile(r"\.([^.\[]+)|\[")
# The texts of msgspec for a value that is none of a Literal, and a tag that is none of a union.
NOT_A_CHOICE = ("Invalid enum value ", "Invalid value ")
PATTERN = "str matching regex "


def explain(error: Exception, kind: Any = None) -> str:
    """Describe what is wrong at which path: `$.text: expected str, got int`. Values of the client are shortened.

    `kind` is the type that the body should have. With it, the choices of a field are listed, and a pattern that has a
    description is replaced by it.
    """
    if isinstance(error, RecursionError):
        return "$: nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "$: expected UTF-8 in every text"
    what, _, where = str(error).replace("`", "").rpartition(" - at ")
    what, where = (what, where) if what else (where, "$")
    return f"{where[:MAX_SHOWN]}: {described(what, where, kind)}"


def described(what: str, where: str, kind: Any) -> str:
    for start in NOT_A_CHOICE:
        if what.startswith(start) and (known := choices(kind, where)):
            return f"expected {listed(known)}, got {what.removeprefix(start)[:MAX_SHOWN]}"
    what = what.replace(f"{PATTERN}{UUID_PATTERN!r}", "UUID")
    if PATTERN in what and (texts := descriptions(kind, where)):
        return f"expected {texts[0]}"
    return f"{what[:1] if what.startswith('JSON') else what[:1].lower()}{what[1:MAX_SHOWN]}"


def listed(values: Sequence[str]) -> str:
    """A list in words: `a, b or c`."""
    return " or ".join(part for part in (", ".join(values[:-1]), values[-1]) if part)


def choices(kind: Any, where: str) -> list[str]:
    """The values that a field of this type may have, or the tags of a union. Empty if it is neither."""
    parent, _, name = where.rpartition(".")
    values = [str(value) for form in forms_at(kind, where) for value in values_of(form)]
    tags = [tag for form in forms_at(kind, parent) for tag in tags_of(form, name)]
    return list(dict.fromkeys(values or tags))


def values_of(form: inspect.Type) -> Sequence[Any]:
    return form.values if isinstance(form, inspect.LiteralType) else ()


def tags_of(form: inspect.Type, name: str) -> Sequence[str]:
    return (str(form.tag),) if isinstance(form, inspect.StructType) and form.tag_field == name else ()


def descriptions(kind: Any, where: str) -> list[str]:
    """What the types at a path say about themselves (`Meta(description=...)`)."""
    found = (form.extra_json_schema for form in forms_at(kind, where) if isinstance(form, inspect.Metadata))
    return [text if ACRONYM.match(text) else text[:1].lower() + text[1:] for text in texts_of(found)]


def texts_of(schemas: Iterator[dict[str, Any] | None]) -> list[str]:
    return [schema["description"] for schema in schemas if schema and "description" in schema]


def forms_at(kind: Any, where: str) -> list[inspect.Type]:
    """The types that a value at this path may have: `$.users[0].role`. Empty if the path is not part of `kind`."""
    if kind is None:
        return []
    forms = alternatives(type_of(kind))
    for step in STEP.finditer(where):
        forms = [part for form in forms for inner in parts(form, step[1]) for part in alternatives(inner)]
    return forms


@cache
def type_of(kind: Any) -> inspect.Type:
    """The type of a body, inspected once: it takes a millisecond."""
    return inspect.type_info(kind)


def alternatives(form: inspect.Type) -> list[inspect.Type]:
    """A type, and the types that it is made of in the same place."""
    match form:
        case inspect.UnionType():
            return [part for one in form.types for part in alternatives(one)]
        case inspect.Metadata():
            return [form, *alternatives(form.type)]
    return [form]


def parts(form: inspect.Type, name: str | None) -> list[inspect.Type]:
    """The types of a field, or of the items of a list (None)."""
    match form:
        case inspect.StructType() if name is not None:
            return [field.type for field in form.fields if field.encode_name == name]
        case inspect.ListType() if name is None:
            return [form.item_type]
    return []
