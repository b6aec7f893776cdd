"""Days as numbers: days since 1970 in UTC."""

from datetime import UTC, datetime

DAY_MS = 86_400_000


def day_of(at_ms: int) -> int:
    return at_ms // DAY_MS


def text_of(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, tz=UTC).strftime("%Y-%m-%d")
