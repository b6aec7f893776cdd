"""Erasing a user. The id stays where other data refers to it, without a name.

`begin` deletes the credentials in one transaction, so that no session of the user can start, and queues the rest of the
work. Any node does it; if that node dies, another one continues after `lease_ms`. All of it is repeated once no session
of the user can be left, because a command in progress may have written something.
"""

from typing import Any

from msgspec import Struct

from chatd.app.context import Node
from chatd.app.personal_data import BATCH_SIZE, AllPersonalData, Erasing
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import Postgres, Row, Tx

LOG = log.get(__name__)
SQL = queries.load("privacy/erasure")


class ErasureTunables(Struct, frozen=True, kw_only=True):
    """Times of an erasure.

    `settled_ms`: after this time no session of the user is left, even if all control messages to close them were lost.
    `lease_ms`: the time that a node has for one batch, of `batch_size` rows.
    """

    settled_ms: int = 20_000
    lease_ms: int = 20_000
    batch_size: int = BATCH_SIZE


TUNABLES = ErasureTunables()


async def begin(tx: Tx, data: AllPersonalData, tenant: str, user: str, actor: str, now: int) -> bool:
    """Delete all credentials, and queue the rest. Returns False if the user is erased already.

    The caller closes the sessions. Raises Refused: `not_found`.
    """
    if await tx.value(SQL.mark_erased, tenant, user, now) is None:
        if await tx.value(SQL.exists, tenant, user) is None:
            raise Refused("not_found", "no such user")
        return False
    for statement in data.forget:
        await tx.run(statement, tenant, user)
    await tx.run(SQL.queue, tenant, user, now, actor, uuid7(now))
    return True


async def page(db: Postgres, tenant: str, limit: int = 1000) -> list[dict[str, Any]]:
    """Erasures and their progress, for the operator."""
    return [dict(row) for row in await db.all(SQL.page, tenant, limit)]


async def erase_next(node: Node, tunables: ErasureTunables = TUNABLES) -> bool:
    """Work on one erasure. Returns whether there was one."""
    row = await node.db.one(SQL.claim_next, tunables.lease_ms)
    if row is None:
        return False
    erasure = Erasure(node, row, tunables)
    if await erasure.run():
        LOG.info("a user was erased", extra={"tenant": row["tenant"], "user": row["user"]})
    return True


class Erasure(Erasing):
    """The work of an erasure after `begin`."""

    def __init__(self, node: Node, row: Row, tunables: ErasureTunables) -> None:
        position, removed = row["position"], row["erased_in_pass"]
        super().__init__(node, row["tenant"], row["user"], position, removed, batch_size=tunables.batch_size)
        self._tunables = tunables

    async def run(self) -> bool:
        """Erase the user's data. Returns whether the erasure is complete."""
        data = self.node.get(AllPersonalData)
        for erase in data.erase:
            await erase(self)
        for statement in data.forget:
            await self.node.db.run(statement, *self.key)
        return bool(await self.node.db.value(SQL.finish, *self.key, self._tunables.settled_ms))

    async def hold(self) -> None:
        await self.node.db.run(SQL.extend_claim, *self.key, self._tunables.lease_ms)

    async def advance(self, position: str, removed: int) -> None:
        await self.node.db.run(SQL.advance, *self.key, position, removed, self._tunables.lease_ms)
        self.position, self.removed_in_pass = position, self.removed_in_pass + removed

    async def restart(self) -> None:
        await self.node.db.run(SQL.restart_pass, *self.key)
        self.position, self.removed_in_pass = "", 0
