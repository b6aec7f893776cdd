"""The clock on the wall. Only what starts things asks it; everything else is given a time, or a function such as this."""

import time


def now_ms() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000
