"""How the CPU time of a function grows with the size of its input."""

import time
from collections.abc import Callable
from typing import TypeVar

# Four times the input may take at most eight times as long. Shorter times than this are not judged.
GROWTH, LEAST_S = 8, 0.0005
SIZES = [4**power for power in range(1, 7)]
Input = TypeVar("Input")


def seconds(use: Callable[[Input], object], given: Input) -> float:
    before = time.thread_time()
    use(given)
    return time.thread_time() - before


def grows(use: Callable[[Input], object], make: Callable[[int], Input], sizes: list[int] = SIZES) -> bool:
    """Whether an input takes disproportionately longer than a quarter of it."""
    first, *others = sizes
    before = seconds(use, make(first))
    for size in others:
        limit = max(LEAST_S, GROWTH * before)
        took = seconds(use, make(size))
        for _ in range(3):
            # Another process may have evicted the caches: one good attempt suffices.
            took = took if took <= limit else min(took, seconds(use, make(size)))
        if took > limit:
            return True
        before = took
    return False
