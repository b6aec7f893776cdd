"""Removes uploads that nothing uses, and finishes removals that a crash or a store interrupted."""

from collections.abc import Sequence
from typing import Any

from chatd.app.context import Node
from chatd.core.ids import NIL
from chatd.db import queries
from chatd.db.batches import delete_all, to_unnest_arrays
from chatd.db.postgres import Row, Tx
from chatd.uploads.quotas import DAY_MS, HOUR_MS
from chatd.uploads.service import erase

SQL = queries.load("uploads/sweep")
# How long the row of a removed file is kept, without name and bytes.
REMOVED_ROWS_KEPT_MS = 30 * DAY_MS


class Sweep:
    """Sweeps all uploads, a bounded number in each run; the next run continues after the last one.

    Removes uploads that nothing has used for a day, finishes interrupted work, and deletes the rows of files that were
    removed a month ago.
    """

    BEGINNING = (NIL, "")

    def __init__(self, node: Node, page: int = 1000, pages: int = 100) -> None:
        self._node = node
        self._page = page
        self._pages = pages
        self._position = self.BEGINNING

    async def run(self, now: int) -> None:
        """Sweep once. Raises Refused if a database or the store is unavailable; the next run continues there."""
        await delete_all(self._node.db, SQL.sweep_addresses, (now - DAY_MS) // HOUR_MS)
        for _ in range(self._pages):
            rows = await self._node.db.all(
                SQL.page_for_sweep, *self._position, now - DAY_MS, self._page, now, now - REMOVED_ROWS_KEPT_MS
            )
            for row in rows:
                if row["bytes_remain"]:
                    await erase(self._node, row["tenant"], row["id"], row["key"])
            await self._take([(row["tenant"], row["id"]) for row in rows if row["unused"]], now)
            old = [(row["tenant"], row["id"]) for row in rows if row["row_expired"]]
            if old:
                await self._node.db.run(SQL.delete_old_rows, *to_unnest_arrays(old, 2))
            self._position = (rows[-1]["id"], rows[-1]["tenant"]) if len(rows) == self._page else self.BEGINNING
            if self._position == self.BEGINNING:
                return

    async def _take(self, unused: list[tuple[str, str]], now: int) -> None:
        if not unused:
            return
        for row in await self._node.db.in_transaction(claim_unused, unused, now):
            await erase(self._node, row["tenant"], row["id"], row["key"])


async def claim_unused(tx: Tx, unused: Sequence[tuple[str, str]], now: int) -> list[Row]:
    """Mark those as removed that are still unused."""
    locked: list[Any] = list(await tx.all(SQL.lock_unused, *to_unnest_arrays(unused, 2)))
    return await tx.all(SQL.claim_unused, *to_unnest_arrays(locked, 2), now)


async def sweep(node: Node) -> bool:
    """Run a bounded part of the sweep; see `Sweep`."""
    await node.get(Sweep).run(node.clock())
    return False
