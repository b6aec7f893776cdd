"""What a bot declares of its commands: names, descriptions, and arguments with types. Pure."""

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct

from chatd.core.errors import Refused
from chatd.core.ids import PYTHON_END
from chatd.wire.reference.examples import Example
from chatd.wire.texts import NAME

MAX_ARGUMENTS, MAX_CHOICES, MAX_LOCALES = 10, 25, 20
WORD = f"^[a-z][a-z0-9_]{{0,31}}{PYTHON_END}"
CommandName = Annotated[str, Meta(pattern=WORD, description="1 to 32 of a-z, 0-9 and _, first a letter")]
LocaleTag = Annotated[
    str,
    Meta(
        pattern=f"^[A-Za-z]{{2,8}}(?:-[A-Za-z0-9]{{1,8}}){{0,7}}{PYTHON_END}",
        description="A language tag such as `pt-BR`",
    ),
]
Description = Annotated[str, Meta(min_length=1, max_length=200, extra=NAME)]
Descriptions = Annotated[
    dict[LocaleTag, Description],
    Meta(max_length=MAX_LOCALES, description="By language tag; `en` is the default"),
]
Choice = Annotated[str, Meta(min_length=1, max_length=100, extra=NAME)]
ArgumentType = Literal["string", "integer", "number", "boolean", "user", "choice"]
Scope = Literal["all", "groups", "direct"]


class Argument(Struct, forbid_unknown_fields=True, frozen=True):
    """An argument of a command. `choices`: the values of the type `choice`. Required arguments are before others."""

    name: CommandName
    type: ArgumentType
    description: Descriptions = msgspec.field(default_factory=dict)
    required: bool = False
    choices: Annotated[list[Choice], Meta(max_length=MAX_CHOICES)] = msgspec.field(default_factory=list)
    EXAMPLE: ClassVar = Example(name="city", type="string", description={"en": "where"}, choices=[], required=True)


class Declared(Struct, forbid_unknown_fields=True, frozen=True):
    """A command of a bot. `scope`: where it is offered."""

    name: CommandName
    description: Descriptions
    args: Annotated[list[Argument], Meta(max_length=MAX_ARGUMENTS)] = msgspec.field(default_factory=list)
    scope: Scope = "all"
    EXAMPLE: ClassVar = Example(name="weather", description={"en": "the weather of today"}, scope="all")


def check(commands: Sequence[Declared]) -> None:
    """Check what types cannot declare. Raises Refused: `bad_request`."""
    if again := repeated(one.name for one in commands):
        raise Refused("bad_request", f"$.commands: two commands are called {again}")
    for index, one in enumerate(commands):
        if not one.description:
            raise Refused("bad_request", f"$.commands[{index}].description: expected a description in some language")
        check_arguments(one.args, f"$.commands[{index}].args")


def check_arguments(args: Sequence[Argument], path: str) -> None:
    if again := repeated(one.name for one in args):
        raise Refused("bad_request", f"{path}: two arguments are called {again}")
    for index, one in enumerate(args):
        if one.required and index and not args[index - 1].required:
            raise Refused("bad_request", f"{path}[{index}]: required arguments are before others")
        if (one.type == "choice") is not bool(one.choices):
            raise Refused("bad_request", f"{path}[{index}].choices: expected values, for the type `choice` only")
        if again := repeated(value.casefold() for value in one.choices):
            raise Refused("bad_request", f"{path}[{index}].choices: two values are {again}")


def repeated(names: Iterable[str]) -> str | None:
    """A name that comes twice."""
    seen = set[str]()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def in_locale(descriptions: dict[str, str], locale: str | None) -> str:
    """The description in a language: of the tag itself, of its language, in English, or any."""
    if not descriptions:
        return ""
    by_tag = {tag.casefold(): text for tag, text in descriptions.items()}
    wanted = (locale or "").casefold()
    tags = (wanted, wanted.partition("-")[0], "en", min(by_tag))
    return next(by_tag[tag] for tag in tags if tag in by_tag)
