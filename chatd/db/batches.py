"""Long deletions in short statements: each holds its locks for a moment only, and others get a turn between two of them."""

from typing import Any

from chatd.db.postgres import Postgres

BATCH_SIZE = 10_000


async def delete_all(db: Postgres, statement: str, *args: Any, batch_size: int = BATCH_SIZE) -> int:
    """Run a statement that deletes at most as many rows as its last argument says and returns their number, until none is left.

    Returns how many rows it deleted. Raises as `Postgres.value` does.
    """
    total = 0
    while True:
        deleted: int = await db.value(statement, *args, batch_size)
        total += deleted
        if deleted < batch_size:
            return total
