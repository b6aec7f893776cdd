"""Whether people want to have to do with each other. A block is nobody's business but the blocker's: nothing is told of it."""

from collections.abc import Sequence

from chatd.app.context import Ctx
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Tx

SQL = queries.load("conversations/blocks")
MOST_AVOIDED = 5000


async def check_not_blocked(ctx: Ctx, users: Sequence[str]) -> None:
    """Raises Refused: `blocked` when one of them has blocked the asker."""
    if await ctx.node.db.one(SQL.between, ctx.tenant, ctx.user, users) is not None:
        raise Refused("blocked")


async def avoided(ctx: Ctx) -> tuple[str, ...]:
    """Whom the asker must not be brought together with: those they have blocked, and those who have blocked them."""
    rows = await ctx.node.db.all(SQL.around, ctx.tenant, ctx.user, MOST_AVOIDED)
    return tuple(row["user"] for row in rows)


async def lock_pair(tx: Tx, tenant: str, one: str, other: str) -> frozenset[str]:
    """Within a transaction: nobody else decides about these two until its end. By which ids one has blocked the other."""
    await tx.run(SQL.lock_pair, tenant, one, other)
    return frozenset(row["shown_as"] for row in await tx.all(SQL.between_two, tenant, one, other))
