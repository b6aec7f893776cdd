"""What nobody needs any more: anonymous accounts that never came back, links that let nobody in, old entries of the bus.

An account goes when its login can be renewed no more and it has left no trace: nobody can come in as this user, and nothing
points at them. One node does it, once an hour, a page at a time.
"""

from chatd.accounts.settings import AccountRetention
from chatd.app.context import Node
from chatd.app.jobs import is_due
from chatd.core import log
from chatd.core.ids import NIL
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.db.unnest import columns_of

LOG = log.get(__name__)
SQL = queries.load("accounts/idle_accounts")
PAGE = 500
# Milliseconds between two rounds, and of a day.
EVERY_MS, DAY_MS = 3_600_000, 86_400_000
# Milliseconds that an entry of the bus is kept, with what was said in it: nodes read it at once.
BUS_KEPT_MS = 3_600_000


async def remove_idle(node: Node) -> bool:
    """The hourly round."""
    if await is_due(node.db, "idle", EVERY_MS):
        await remove_invites(node.db)
        if node.config.get(AccountRetention).anonymous_days:
            await remove_accounts(node.db, node.clock() - node.config.get(AccountRetention).anonymous_days * DAY_MS)
        await node.redis.call("XTRIM", node.redis.key("bus"), "MINID", node.clock() - BUS_KEPT_MS)
    return False


async def remove_invites(db: Postgres) -> None:
    """Those that are revoked, used up or over. Raises Refused."""
    while await db.value(SQL.old_invites, PAGE) == PAGE:
        pass


async def remove_accounts(db: Postgres, before: int) -> None:
    """Those that were made before a time in milliseconds. Raises Refused."""
    position, removed = (0, NIL), 0
    while True:
        rows = await db.all(SQL.idle, before, *position, PAGE)
        idle = [(row["tenant"], row["id"]) for row in rows if row["is_idle"]]
        if idle:
            await db.run(SQL.remove, *columns_of(idle, 2))
        removed += len(idle)
        if len(rows) < PAGE:
            break
        position = (rows[-1]["created_at"], rows[-1]["id"])
    if removed:
        LOG.info("anonymous accounts that never came back were removed", extra={"accounts": removed})
