"""The clock on the wall.

Only what starts things asks it; everything else is given a time, or a function such as this.
"""

import time
from collections.abc import Callable


def now_ms() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def steady(clock: Callable[[], int]) -> Callable[[], int]:
    """Begins at what the other clock says now, and passes as time does from then on, however the other one jumps."""
    ahead = clock() - time.monotonic_ns() // 1_000_000
    return lambda: ahead + time.monotonic_ns() // 1_000_000
