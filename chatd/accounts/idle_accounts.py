"""Removes unused anonymous accounts, invite links that can no longer be used, and old entries of the bus.

An account is removed if no login can be renewed and nothing references the user. One node does this hourly, in batches.
"""

from chatd.accounts.settings import AccountRetention
from chatd.app.context import Node
from chatd.app.jobs import is_due
from chatd.core import log
from chatd.core.ids import NIL
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Postgres

LOG = log.get(__name__)
SQL = queries.load("accounts/idle_accounts")
PAGE = 500
EVERY_MS, DAY_MS = 3_600_000, 86_400_000
# Entries of the bus contain messages. Nodes read them at once.
BUS_KEPT_MS = 3_600_000


async def remove_idle(node: Node) -> bool:
    """The job, which one node runs hourly."""
    if await is_due(node.db, "idle", EVERY_MS):
        await remove_invites(node.db)
        if node.config.get(AccountRetention).anonymous_days:
            await remove_accounts(node.db, node.clock() - node.config.get(AccountRetention).anonymous_days * DAY_MS)
        await node.redis.call("XTRIM", node.redis.key("bus"), "MINID", node.clock() - BUS_KEPT_MS)
    return False


async def remove_invites(db: Postgres) -> None:
    """Remove links that are revoked, used up or expired. Raises Refused."""
    while await db.value(SQL.sweep_invites, PAGE) == PAGE:
        pass


async def remove_accounts(db: Postgres, before: int) -> None:
    """Remove accounts that were created before a time in milliseconds. Raises Refused."""
    position, removed = (0, NIL), 0
    while True:
        rows = await db.all(SQL.page_anonymous, before, *position, PAGE)
        idle = [(row["tenant"], row["id"]) for row in rows if row["is_idle"]]
        if idle:
            await db.run(SQL.delete_accounts, *to_unnest_arrays(idle, 2))
        removed += len(idle)
        if len(rows) < PAGE:
            break
        position = (rows[-1]["created_at"], rows[-1]["id"])
    if removed:
        LOG.info("removed unused anonymous accounts", extra={"accounts": removed})
