"""The index of names: by what a user can be found, and the search in it.

`user.update` writes the entries with the profile. Names come from other sources as well (sign-up, tokens, imports):
the job finds users whose name is not the one in the index. So nothing that writes a name has to know of the index.
Names are indexed if `people.search` is "names", handles always.
"""

from chatd.app.context import Ctx, Node
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Postgres, Row, Tx
from chatd.people.names import entries_of

SQL = queries.load("people/name_index")
BATCH_SIZE = 200
# Entries that one page of a search reads: users whom the requester may not find are among them.
MAX_SCANNED = 2000
LAST_CHARACTER = "\U0010ffff"


class NameIndex:
    """Writes and reads the index. `has_names`: it contains names, and not only handles."""

    def __init__(self, db: Postgres, *, has_names: bool) -> None:
        self.has_names = has_names
        self._db = db

    async def write(self, tx: Tx, tenant: str, row: Row) -> None:
        """Write the entries of a user, whose row is locked."""
        name = row["name"] if self.has_names else None
        entries = entries_of(name, row["handle"])
        await tx.run(SQL.write, tenant, row["id"], *to_unnest_arrays(entries.items(), 2), name)

    async def write_missing(self) -> bool:
        """Write the entries of some users whose name is not in the index. Returns whether there may be more."""
        return await self._db.in_transaction(self._write_batch)

    async def _write_batch(self, tx: Tx) -> bool:
        rows = await tx.all(SQL.claim_unindexed, BATCH_SIZE)
        for row in rows:
            await self.write(tx, row["tenant"], row)
        return len(rows) == BATCH_SIZE

    async def find(
        self, ctx: Ctx, query: str, after: tuple[str, str], limit: int, *, handles_only: bool = False
    ) -> list[Row]:
        """Users of whom a word of the name, or the handle, begins with the query, in the order of the texts.

        `after`: the position, a text that begins with the query and a user.
        """
        span = (*after, query + LAST_CHARACTER, MAX_SCANNED, limit)
        if self.has_names and not handles_only:
            return await self._db.all(SQL.page, ctx.tenant, ctx.user, query, *span)
        return await self._db.all(SQL.page_of_handles, ctx.tenant, ctx.user, *span)


async def index_names(node: Node) -> bool:
    """The job. Any node does it; each takes other users."""
    index = node.get(NameIndex)
    return index.has_names and await index.write_missing()
