"""How the time of a function grows with the size of its input, judged by the CPU time of this thread."""

import time
from collections.abc import Callable
from typing import TypeVar

# Four times the input may take at most eight times as long. What takes less time than this is not judged.
GROWTH, LEAST_S = 8, 0.0005
SIZES = [4**power for power in range(1, 7)]
Input = TypeVar("Input")


def seconds(use: Callable[[Input], object], given: Input) -> float:
    before = time.thread_time()
    use(given)
    return time.thread_time() - before


def grows(use: Callable[[Input], object], make: Callable[[int], Input], sizes: list[int] = SIZES) -> bool:
    """Whether some input takes out of proportion longer than one of a quarter of its size."""
    first, *others = sizes
    before = seconds(use, make(first))
    for size in others:
        limit = max(LEAST_S, GROWTH * before)
        took = seconds(use, make(size))
        for _ in range(3):
            # Another process may have taken the caches away: once in time is in time.
            took = took if took <= limit else min(took, seconds(use, make(size)))
        if took > limit:
            return True
        before = took
    return False
