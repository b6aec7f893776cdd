"""Days as numbers: days since 1970 in UTC."""

from datetime import UTC, datetime

DAY_MS = 86_400_000
WEEK = 7
# 5 January 1970, the first Monday.
FIRST_MONDAY = 4


def day_of(at_ms: int) -> int:
    return at_ms // DAY_MS


def monday_of(day: int) -> int:
    """The first day of the week of a day."""
    return day - (day - FIRST_MONDAY) % WEEK


def text_of(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, tz=UTC).strftime("%Y-%m-%d")
