"""Statements on many rows: parameters as arrays, pages, and work in batches of bounded size."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from chatd.db.postgres import Postgres

BATCH_SIZE = 10_000
T = TypeVar("T")


def to_unnest_arrays(rows: Iterable[Sequence[Any]], width: int) -> list[list[Any]]:
    """The rows as `width` arrays, one for each column, which `unnest` turns back into rows. `rows` may be empty."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def slices(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The rows in parts of at most `size`."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def page_of(rows: Sequence[T], limit: int) -> tuple[Sequence[T], bool]:
    """A page of at most `limit` rows, and whether there are more: `rows` were read with a limit of one more."""
    return rows[:limit], len(rows) > limit


async def delete_all(db: Postgres, statement: str, *args: Any, batch_size: int = BATCH_SIZE) -> int:
    """Repeat a statement that deletes at most as many rows as its last argument, and that returns their number, until
    it deletes fewer.

    Each run holds its locks for a short time. Returns the number of deleted rows. Raises as `Postgres.value` does.
    """
    total = 0
    while True:
        deleted: int = await db.value(statement, *args, batch_size)
        total += deleted
        if deleted < batch_size:
            return total
