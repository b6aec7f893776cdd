"""Rows as the arrays that a statement takes: `unnest` makes rows of them again."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def columns_of(rows: Iterable[Sequence[Any]], width: int) -> list[list[Any]]:
    """A list for each column: `width` of them, also where there are no rows."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def slices(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The rows in parts of at most `size`: one statement for each part keeps the work of a statement bounded."""
    return (rows[start : start + size] for start in range(0, len(rows), size))
