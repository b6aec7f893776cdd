"""How the CPU time of a function grows with the size of its input."""

import time
from collections.abc import Callable
from typing import TypeVar

# Four times the input may take at most eight times as long. Shorter times than this are not judged.
GROWTH, LEAST_S = 8, 0.0005
PAIRS = 8
SIZES = [4**power for power in range(1, 7)]
Input = TypeVar("Input")


def seconds(use: Callable[[Input], object], given: Input) -> float:
    before = time.thread_time()
    use(given)
    return time.thread_time() - before


def grows(use: Callable[[Input], object], make: Callable[[int], Input], sizes: list[int] = SIZES) -> bool:
    """Whether an input takes disproportionately longer than a quarter of it."""
    return any(is_disproportionate(use, make(size), make(size * 4)) for size in sizes[:-1])


def is_disproportionate(use: Callable[[Input], object], quarter: Input, whole: Input) -> bool:
    """Measured in pairs: another process may slow down one of the two, or evict the caches. One good pair suffices."""
    return all(seconds(use, whole) > max(LEAST_S, GROWTH * seconds(use, quarter)) for _ in range(PAIRS))
