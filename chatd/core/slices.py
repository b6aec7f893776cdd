"""Long work in slices, as generators: `chatd.core.turns` lets other tasks run between two slices.

A slice takes at most about a millisecond. A generator of this kind yields None after each slice and returns the result.
"""

from collections.abc import Generator
from typing import TypeVar

# Characters of a text that are handled in one slice.
SLICE_CHARS = 768
Result = TypeVar("Result")
Sliced = Generator[None, None, Result]


def finish(work: Sliced[Result]) -> Result:
    """Run all slices one after the other."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: Result = done.value
            return result
