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
    return any(is_disproportionate(use, make, size) for size in sizes[1:])


def is_disproportionate(use: Callable[[Input], object], make: Callable[[int], Input], size: int) -> bool:
    """Measured in pairs: another process may slow down one of the two, or evict the caches. One good pair suffices.

    Most inputs are read too quickly to be measured: for these a quarter is neither made nor measured.
    """
    whole, quarter = make(size), None
    for _ in range(PAIRS):
        took = seconds(use, whole)
        if took <= LEAST_S:
            return False
        quarter = quarter or make(size // 4)
        if took <= GROWTH * seconds(use, quarter):
            return False
    return True
