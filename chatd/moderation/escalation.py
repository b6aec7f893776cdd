"""Escalation: the bans that follow from a number of strikes, configured as "3:1d". Pure."""

from collections.abc import Sequence

from msgspec import Struct

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Step(Struct, frozen=True):
    """From `strikes` on, each strike leads to a ban of `seconds`; None: permanent."""

    strikes: int
    seconds: int | None


def parse_step(text: str) -> Step:
    """Parse a step of the escalation. `text` has the form of `EscalationStep` in `settings.py`."""
    strikes, _, lasts = text.partition(":")
    return Step(int(strikes), None if lasts == "ever" else int(lasts[:-1]) * UNITS[lasts[-1]])


def step_for(steps: Sequence[str], strikes: int) -> Step | None:
    """The highest step that this number of strikes reaches, if any."""
    reached = [step for step in map(parse_step, steps) if step.strikes <= strikes]
    return max(reached, key=lambda step: step.strikes, default=None)
