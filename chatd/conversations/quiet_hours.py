"""Quiet hours of a user, in their own time zone."""

from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Meta, Struct, ValidationError, convert, field

from chatd.core.ids import PYTHON_END
from chatd.wire.texts import PRIVATE

Hour = Annotated[str, Meta(pattern=f"^([01][0-9]|2[0-3]):[0-5][0-9]{PYTHON_END}", description="A time such as 22:30")]


class Quiet(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The hours without notifications, from and to as "22:30", in a time zone such as Europe/Berlin. If `to` is before
    `from`, it is on the next day.
    """

    from_: Hour = field(name="from")
    to: Hour
    zone: Annotated[str, Meta(max_length=64, extra=PRIVATE)]

    @classmethod
    def read(cls, value: Any) -> "Quiet | None":
        """The stored value; a form that other programs have stored and that cannot be read counts as none."""
        try:
            return convert(value, cls | None)
        except ValidationError:
            return None


# Reads the whole folder of time zones: done once.
ZONES = frozenset(available_timezones())


def is_zone(name: str) -> bool:
    return name in ZONES


def is_quiet(quiet: Quiet | None, now: int) -> bool:
    """Whether these are quiet hours at `now` (milliseconds). Daylight saving time is that of the zone."""
    if quiet is None or not is_zone(quiet.zone):
        return False
    clock = datetime.fromtimestamp(now / 1000, ZoneInfo(quiet.zone)).strftime("%H:%M")
    if quiet.from_ <= quiet.to:
        return quiet.from_ <= clock < quiet.to
    return clock >= quiet.from_ or clock < quiet.to
