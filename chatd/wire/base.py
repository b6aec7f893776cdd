"""The base types of everything on the wire. A frame is `[id, body]`; `body` is one of these, its type named by `t`.

Field types contain their limits, so that a decoded body has the declared form: ids are lower-case UUIDs, positions fit
a Postgres bigint, texts are bounded. `validation` checks what a struct cannot declare (depth, NUL).
"""

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from chatd.core.errors import Refused
from chatd.core.ids import UUID_PATTERN
from chatd.wire.texts import NAME, PRIVATE

T = TypeVar("T", bound=Struct)
MAX_BIGINT = 2**63 - 1

Id = Annotated[str, Meta(pattern=UUID_PATTERN, description="UUID, lower case")]
ClientId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        extra=PRIVATE,
        description="Chosen by the client, unique per sender without a time limit",
    ),
]
Seq = Annotated[
    int, Meta(ge=0, le=MAX_BIGINT, description="Number of a message in its conversation: 1, 2, 3, without gaps")
]
Rev = Annotated[int, Meta(ge=0, le=MAX_BIGINT, description="Number of a change in its conversation")]
Millis = Annotated[int, Meta(description="Milliseconds since 1970 UTC")]
Name = Annotated[str, Meta(min_length=1, max_length=100, extra=NAME)]
Cursor = Annotated[str, Meta(max_length=200, extra=PRIVATE, description="Opaque position from an earlier answer")]
Limit = Annotated[int, Meta(ge=1, le=200)]


class Command(Struct, tag_field="t", forbid_unknown_fields=True):
    """A command of a client. Undeclared fields are refused."""


class Result(Struct, tag_field="t"):
    """The answer to a command, under its id."""


class Event(Struct, tag_field="t"):
    """A message that the server sends unasked, under id 0."""


def declared_below(kind: type[T], packages: Iterable[str]) -> list[type[T]]:
    """All subclasses that modules of these packages declare. Those of tests are not part of the protocol."""
    prefixes = tuple(f"{package}." for package in packages)
    return [found for found in classes_below(kind) if f"{found.__module__}.".startswith(prefixes)]


def classes_below(kind: type[T]) -> list[type[T]]:
    return [found for below in kind.__subclasses__() for found in (below, *classes_below(below))]


class Ok(Result, tag="ok"):
    """The command succeeded. `ticket`: in the answer to `match.skip`, the ticket of the new search."""

    ticket: Id | UnsetType = UNSET


class Error(Result, tag="error"):
    """A refusal; `code` is one of the table of refusals. `retry_after` is in seconds."""

    code: str
    message: str
    retryable: bool
    retry_after: float | UnsetType = UNSET
    details: dict[str, Any] | UnsetType = UNSET


def error_of(refused: Refused) -> Error:
    """The wire form of a refusal."""
    return Error(
        code=refused.code,
        message=refused.message,
        retryable=refused.row.retryable,
        retry_after=UNSET if refused.retry_after is None else round(refused.retry_after, 3),
        details=UNSET if refused.details is None else refused.details,
    )


def refused_by(error: Error) -> Refused:
    """The refusal of a wire form."""
    retry_after = None if error.retry_after is UNSET else error.retry_after
    details = None if error.details is UNSET else error.details
    return Refused(error.code, error.message, retry_after=retry_after, details=details)
