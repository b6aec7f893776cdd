"""Hours in which somebody does not want to be notified, in their own time zone."""

from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Meta, Struct, ValidationError, convert, field

from chatd.core.ids import PYTHON_END
from chatd.wire.texts import PRIVATE

Hour = Annotated[str, Meta(pattern=f"^([01][0-9]|2[0-3]):[0-5][0-9]{PYTHON_END}")]


class Quiet(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """From and to as "22:30", in a time zone such as Europe/Berlin. Where `to` comes before `from` it is of the next day."""

    from_: Hour = field(name="from")
    to: Hour
    zone: Annotated[str, Meta(max_length=64, extra=PRIVATE)]

    @classmethod
    def read(cls, value: Any) -> "Quiet | None":
        """As it was stored; what other programs have stored in another form is as if it were not there."""
        try:
            return convert(value, cls | None)
        except ValidationError:
            return None


# It reads the whole folder of time zones, so it is asked once.
ZONES = frozenset(available_timezones())


def is_zone(name: str) -> bool:
    return name in ZONES


def is_quiet(quiet: Quiet | None, now: int) -> bool:
    """Whether it is quiet at this moment (milliseconds). Summer time is that of the zone."""
    if quiet is None or not is_zone(quiet.zone):
        return False
    clock = datetime.fromtimestamp(now / 1000, ZoneInfo(quiet.zone)).strftime("%H:%M")
    if quiet.from_ <= quiet.to:
        return quiet.from_ <= clock < quiet.to
    return clock >= quiet.from_ or clock < quiet.to
