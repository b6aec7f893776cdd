"""Rules about blocks between users. Blocks are private: they are only shown to the blocker."""

from collections.abc import Sequence

from chatd.app.context import Ctx
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Tx

SQL = queries.load("conversations/block_rules")


async def check_not_blocked(ctx: Ctx, users: Sequence[str]) -> None:
    """Check that the requester is not blocked. Raises Refused: `blocked` if one of these users has blocked the
    requester.
    """
    if await ctx.node.db.one(SQL.is_blocked_by_any, ctx.tenant, ctx.user, users) is not None:
        raise Refused("blocked")


async def lock_pair(tx: Tx, tenant: str, one: str, other: str) -> frozenset[str]:
    """Lock decisions about these two users until the end of the transaction.

    Returns the ids by which either has blocked the other.
    """
    await tx.run(SQL.lock_pair, tenant, one, other)
    return frozenset(row["blocked_as"] for row in await tx.all(SQL.ids_of_blocks_between, tenant, one, other))
