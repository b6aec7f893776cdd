"""The base of the client's wire types, and the conversion of a body to one of them."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from chatd.core.errors import REFUSALS, Refused

Body = Mapping[str, Any]


class Part(Struct, kw_only=True, frozen=True):
    """A piece of an answer or event. A field that the server may leave out is None when it is absent."""


class Tagged(Part, frozen=True, tag_field="t"):
    """A body of a frame. `t` names its type, as on the wire."""

    @property
    def t(self) -> str:
        return str(self.__struct_config__.tag)


class Answer(Tagged, frozen=True, tag_field="t"):
    """The answer to a command."""


class Event(Tagged, frozen=True, tag_field="t"):
    """An event of the server or of the client itself."""


class Unknown(Struct, kw_only=True, frozen=True):
    """An answer or event that this version of the client has no type for. `fields` is all of it."""

    t: str
    fields: dict[str, Any]


def by_tag(kinds: tuple[type[Any], ...]) -> dict[str, type[Any]]:
    return {str(kind.__struct_config__.tag): kind for kind in kinds}


def typed(body: Body, kinds: Mapping[str, type[Any]]) -> Any:
    """Convert a body to its struct; `Unknown` for a type of another version."""
    kind = kinds.get(body["t"])
    if kind is not None:
        try:
            return msgspec.convert(body, kind)
        except msgspec.ValidationError:
            pass
    return Unknown(t=body["t"], fields=dict(body))


def refusal(error: Body) -> Refused:
    """Convert an error to an exception; a code that this version does not know counts as `internal`."""
    code = error["code"] if error["code"] in REFUSALS else "internal"
    return Refused(code, error["message"], retry_after=error.get("retry_after"), details=error.get("details"))
