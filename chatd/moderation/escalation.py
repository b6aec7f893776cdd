"""What strikes lead to: a ladder of bans, written as "3:1d". Pure."""

from collections.abc import Sequence

from msgspec import Struct

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Rung(Struct, frozen=True):
    """From so many strikes on each further one is a ban of so many seconds; None: for ever."""

    strikes: int
    seconds: int | None


def parse_rung(text: str) -> Rung:
    """`text` has the form that `chatd.core.config.Rung` declares."""
    strikes, _, lasts = text.partition(":")
    return Rung(int(strikes), None if lasts == "ever" else int(lasts[:-1]) * UNITS[lasts[-1]])


def rung_of(ladder: Sequence[str], strikes: int) -> Rung | None:
    """The highest rung that so many strikes reach; None: not even the first."""
    reached = [rung for rung in map(parse_rung, ladder) if rung.strikes <= strikes]
    return max(reached, key=lambda rung: rung.strikes, default=None)
