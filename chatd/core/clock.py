"""The wall clock.

Only entry points read it; all other code gets a time, or a function such as this, as an argument.
"""

import time
from collections.abc import Callable


def now_ms() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def steady(clock: Callable[[], int]) -> Callable[[], int]:
    """A clock that starts at the present time of another one and then follows the monotonic clock, even if the other
    one jumps.
    """
    ahead = clock() - time.monotonic_ns() // 1_000_000
    return lambda: ahead + time.monotonic_ns() // 1_000_000
