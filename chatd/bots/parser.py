"""Parses the text of a command: `/name`, or `/name@handle`, and its arguments. Pure; in linear time.

Arguments are words, in the order of the declaration, or `name=value`. A value in double quotes contains spaces; in it,
a backslash precedes a quote or a backslash. The last declared argument, if it is a string, takes the rest of the text
as it is: `/remind tomorrow buy milk`.
"""

import math
import re
from collections.abc import Callable, Sequence

from msgspec import Struct

from chatd.bots.declarations import Argument
from chatd.core.ids import is_uuid

CALL = re.compile(r"/([A-Za-z][A-Za-z0-9_]{0,31})(?:@([^\s@/]{1,64}))?(?=\s|\Z)")
WORD = re.compile(r"\S+")
NAMED = re.compile(r"([A-Za-z][A-Za-z0-9_]{0,31})=")
INTEGER = re.compile(r"[+-]?[0-9]{1,16}")
NUMBER = re.compile(r"[+-]?(?:[0-9]{1,16}(?:\.[0-9]{0,16})?|\.[0-9]{1,16})(?:[eE][+-]?[0-9]{1,3})?")
HANDLE = re.compile(r"@[^@/\s]{1,64}")
MAX_INTEGER = 2**53 - 1
# The quotes that keyboards of phones write.
QUOTES = {'"': '"', "\u201c": "\u201d", "\u201e": "\u201c", "\u00ab": "\u00bb"}
# By the closing quote, what ends a part of a quoted value.
STOPS = {
    '"': re.compile(r'["\\]'),
    "\u201d": re.compile("[\u201d\\\\]"),
    "\u201c": re.compile("[\u201c\\\\]"),
    "\u00bb": re.compile("[\u00bb\\\\]"),
}
YES = frozenset({"true", "yes", "on", "1"})
NO = frozenset({"false", "no", "off", "0"})
MAX_SHOWN = 40
Value = str | int | float | bool


class Call(Struct, frozen=True):
    """A text that may be a command. `rest`: what follows the name."""

    name: str
    handle: str | None
    rest: str


class NamedUser(Struct, frozen=True):
    """An argument that names a user, by id or by `@handle`."""

    text: str


class BadArguments(ValueError):
    """Arguments do not fit the declaration. The text is for the user."""


def call_in(text: str) -> Call | None:
    """What a text calls; None if it does not have the form of a command."""
    match = CALL.match(text)
    return None if match is None else Call(match[1].lower(), match[2], text[match.end() :])


def arguments(rest: str, declared: Sequence[Argument]) -> dict[str, Value | NamedUser]:
    """The arguments in the text after the name. Raises BadArguments."""
    values, left = dict[str, str](), list(declared)
    at = skip_spaces(rest, 0)
    while at < len(rest):
        named = name_at(rest, at, declared)
        if named is None and len(left) == 1 and left[0].type == "string" and left[0] is declared[-1]:
            values[left[0].name] = whole(rest[at:].rstrip())
            left, at = [], len(rest)
            break
        argument, at = (left[0] if left else None, at) if named is None else named
        if argument is None:
            raise BadArguments(f"there is no argument for {shown(rest[at:])}")
        if argument.name in values:
            raise BadArguments(f"{argument.name} is given twice")
        values[argument.name], at = value_at(rest, at)
        left = [one for one in left if one is not argument]
        at = skip_spaces(rest, at)
    missing = next((one.name for one in left if one.required), None)
    if missing is not None:
        raise BadArguments(f"{missing} is missing")
    return {one.name: typed(one, values[one.name]) for one in declared if one.name in values}


def skip_spaces(text: str, at: int) -> int:
    word = WORD.search(text, at)
    return len(text) if word is None else word.start()


def name_at(text: str, at: int, declared: Sequence[Argument]) -> tuple[Argument, int] | None:
    """The argument that is named here by `name=`, and where its value begins."""
    match = NAMED.match(text, at)
    found = None if match is None else next((one for one in declared if one.name == match[1].lower()), None)
    return None if match is None or found is None else (found, match.end())


def value_at(text: str, at: int) -> tuple[str, int]:
    """The word or the quoted value that begins here, and where it ends. Raises BadArguments."""
    if text[at : at + 1] in QUOTES:
        return quoted_at(text, at)
    word = WORD.match(text, at)
    return ("", at) if word is None else (word[0], word.end())


def quoted_at(text: str, at: int) -> tuple[str, int]:
    """The value in quotes that begins here, and the place after it. Raises BadArguments."""
    end_mark, parts, place = QUOTES[text[at]], list[str](), at + 1
    stop = STOPS[end_mark]
    while (found := stop.search(text, place)) is not None:
        parts.append(text[place : found.start()])
        if found[0] == end_mark:
            return "".join(parts), found.end()
        escaped = text[found.end() : found.end() + 1]
        parts.append(escaped if escaped in (end_mark, "\\") else f"\\{escaped}")
        place = found.end() + 1
    raise BadArguments(f"a quote is not closed: {shown(text[at:])}")


def whole(text: str) -> str:
    """The rest of a text: without its quotes, if it is one quoted value."""
    if text[:1] in QUOTES:
        try:
            value, end = quoted_at(text, 0)
        except BadArguments:
            return text
        if end == len(text):
            return value
    return text


def typed(argument: Argument, text: str) -> Value | NamedUser:
    """The value of an argument by its type. Raises BadArguments."""
    value = READERS[argument.type](argument, text)
    if value is None:
        raise BadArguments(f"{argument.name}: expected {expected(argument)}, not {shown(text)}")
    return value


def string(argument: Argument, text: str) -> str | None:
    return text or None


def integer(argument: Argument, text: str) -> int | None:
    value = int(text) if INTEGER.fullmatch(text) else None
    return value if value is not None and abs(value) <= MAX_INTEGER else None


def number(argument: Argument, text: str) -> float | None:
    value = float(text) if NUMBER.fullmatch(text) else None
    return value if value is not None and math.isfinite(value) else None


def boolean(argument: Argument, text: str) -> bool | None:
    folded = text.casefold()
    return True if folded in YES else False if folded in NO else None


def user(argument: Argument, text: str) -> NamedUser | None:
    if is_uuid(text.lower()):
        return NamedUser(text.lower())
    return NamedUser(text) if HANDLE.fullmatch(text) else None


def choice(argument: Argument, text: str) -> str | None:
    return next((one for one in argument.choices if one.casefold() == text.casefold()), None)


READERS: dict[str, Callable[[Argument, str], Value | NamedUser | None]] = {
    **{"string": string, "integer": integer, "number": number},
    **{"boolean": boolean, "user": user, "choice": choice},
}


def expected(argument: Argument) -> str:
    """What a value of this type looks like, for the user."""
    if argument.type == "choice":
        return f"one of {', '.join(argument.choices)}"
    return {
        **{"string": "a text", "integer": "a whole number", "number": "a number"},
        **{"boolean": "yes or no", "user": "@handle or the id of a user"},
    }[argument.type]


def shown(text: str) -> str:
    """A text in an error: its beginning."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
