"""Rows as the arrays that a statement takes: `unnest` makes rows of them again."""

from collections.abc import Iterable, Sequence
from typing import Any


def columns_of(rows: Iterable[Sequence[Any]], width: int) -> list[list[Any]]:
    """A list for each column: `width` of them, also where there are no rows."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]
