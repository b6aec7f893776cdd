"""Times in commands: milliseconds since 1970 UTC.

Seconds, which many programs use, would be a time in January 1970, and microseconds one thousands of years ahead: both
are refused.
"""

from functools import cache
from typing import Annotated, Final

from msgspec import Meta, Struct, inspect

from chatd.core.errors import Refused

TIME: Final = {"time": True}
# 1973 and 5138. Present times in seconds are below, in microseconds above.
EARLIEST_MS, LATEST_MS = 10**11, 10**14
# A time that means "no end".
PERMANENT = 2**53 - 1
Moment = Annotated[int, Meta(ge=0, le=PERMANENT, extra=TIME, description="Milliseconds since 1970 UTC")]


@cache
def time_fields(command: type[Struct]) -> tuple[str, ...]:
    """The fields of a command that are times."""
    form = inspect.type_info(command)
    assert isinstance(form, inspect.StructType)
    return tuple(field.name for field in form.fields if is_time(field.type))


def is_time(form: inspect.Type) -> bool:
    if isinstance(form, inspect.UnionType):
        return any(map(is_time, form.types))
    return isinstance(form, inspect.Metadata) and (bool((form.extra or {}).get("time")) or is_time(form.type))


def check_times(command: Struct) -> None:
    """Check the times in a command. Raises Refused: `bad_request`."""
    for name in time_fields(type(command)):
        check_time(getattr(command, name), f"$.{name}")


def check_time(value: int | None, path: str) -> None:
    """Accept None, 0 and `PERMANENT`, which mean no time. Raises Refused: `bad_request`."""
    if value not in (None, 0, PERMANENT) and not EARLIEST_MS <= value <= LATEST_MS:
        raise Refused("bad_request", f"{path}: expected milliseconds since 1970, such as {1_770_000_000_000}")
