"""Removing somebody: what they wrote, set and uploaded. Who they were stays as an id that others point at, without a name.

`begin` does what must not wait, in one transaction: nobody comes in as this user any more, and the rest of the work is queued.
The rest is done by any node, a batch at a time. Each step finds what is left of it in the data itself, and can be done twice, so
a node that dies in the midst of it loses nothing: another one takes it over after twenty seconds. The messages are gone through
by client_id until a whole pass finds none, and everything is gone through once more when certainly nobody is connected as this
user any more: a command that was on its way may have written something.

Other people's messages stay as they are, also where they quote, mention or have forwarded something: quotes show what is there
now, which is a tombstone.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from chatd.app.context import Ctx, Node, system_context
from chatd.app.effects import Effects, ToConversation, deliver
from chatd.conversations.effects import departure_events, member_events, update_event
from chatd.conversations.entities import Member
from chatd.conversations.log.transaction import ConversationTx, change_conversation
from chatd.conversations.membership import leave_group, member_in
from chatd.conversations.messages.deletion import delete_messages, deletion_events, states
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.ids import NIL, uuid7
from chatd.db import queries
from chatd.db.postgres import Postgres, Row, Tx
from chatd.matching.service import MatchingService

LOG = log.get(__name__)
SQL = queries.load("privacy/erasure")
REACTIONS = queries.load("conversations/reactions")
# Rows of one step, and conversations that are left between two signs of life.
BATCH, PAGE = 200, 50
# Milliseconds after which certainly no session of the user is left, although every order to close them was lost.
SETTLED = 20_000
# Milliseconds that a node may take over one batch.
LEASE = 20_000


async def begin(db: Postgres, tenant: str, user: str, actor: str, now: int) -> bool:
    """End all that the user could come in with, and queue the rest. False when that has been done before.

    The sockets have to be closed by whoever calls it. Raises Refused: `not_found`.
    """

    async def work(tx: Tx) -> bool:
        if await tx.value(SQL.mark, tenant, user, now) is None:
            if await tx.value(SQL.exists, tenant, user) is None:
                raise Refused("not_found", "no such user")
            return False
        await tx.run(SQL.forget_access, tenant, user)
        await tx.run(SQL.forget_own, tenant, user)
        await tx.run(SQL.queue, tenant, user, now, actor, uuid7(now))
        return True

    return await db.in_transaction(work)


async def page(db: Postgres, tenant: str, limit: int = 1000) -> list[dict[str, Any]]:
    """Erasures and how far they are, for the operator."""
    return [dict(row) for row in await db.all(SQL.page, tenant, limit)]


async def erase_next(node: Node) -> bool:
    """Do the work of one erasure to its end. Whether there was one."""
    row = await node.db.one(SQL.take, LEASE)
    if row is None:
        return False
    if await Erasure(node, row["tenant"], row["user"]).run(row["position"], row["buried_in_pass"]):
        LOG.info("a user was erased", extra={"tenant": row["tenant"], "user": row["user"]})
    return True


class Erasure:
    """The work that is left when nobody comes in as this user any more. Each step can be done again."""

    def __init__(self, node: Node, tenant: str, user: str) -> None:
        self._node = node
        self._db = node.db
        self._who = (tenant, user)

    @property
    def _ctx(self) -> Ctx:
        return system_context(self._node, *self._who)

    async def run(self, position: str, buried: int) -> bool:
        """Everything; whether it is done for good.

        `position` is where the pass through the messages stands, `buried` what became tombstones in it.
        """
        await self._leave_all()
        while buried + await self._bury_all(position):
            await self._db.run(SQL.again, *self._who)
            position, buried = "", 0
        await self._take_back_reactions()
        await self._in_batches(SQL.forget_marks)
        await self._in_batches(SQL.release_uploads, self._node.clock())
        await self._db.run(SQL.forget_own, *self._who)
        await self._node.get(MatchingService).forget(self._who)
        return bool(await self._db.value(SQL.finish, *self._who, SETTLED))

    async def _note(self, position: str, buried: int) -> None:
        """How far it is, and that this node is still at it."""
        await self._db.run(SQL.advance, *self._who, position, buried, LEASE)

    async def _leave_all(self) -> None:
        """Groups and matches are left. In a direct conversation the other one stays, and with them the row, without a name."""
        after = NIL
        while rows := await self._db.all(SQL.memberships, *self._who, after, PAGE):
            for row in rows:
                with suppress(Refused):
                    await self._leave(row)
            after = rows[-1]["id"]
            await self._db.run(SQL.hold, *self._who, LEASE)

    async def _leave(self, row: Row) -> None:
        """Raises Refused: `not_found` when another node was faster."""
        ctx, conversation = self._ctx, row["id"]
        if row["match"] is not None:
            await self._node.get(MatchingService).matches.end(ctx.tenant, row["match"], "left")
        elif row["kind"] == "direct":
            await deliver(
                ctx, member_events(conversation, [await change_conversation(ctx, conversation, strip, allow_blocked=True)])
            )
        else:
            await deliver(ctx, departure_events(conversation, await change_conversation(ctx, conversation, leave_group)))

    async def _bury_all(self, position: str) -> int:
        """One pass through what the user has written, from `position` on; how many became tombstones."""
        total = 0
        while rows := await self._db.all(SQL.messages, *self._who, position, BATCH):
            buried = 0
            for conversation, found in grouped(row for row in rows if not row["gone"]):
                buried += await self._bury(conversation, [row["seq"] for row in found])
            position = rows[-1]["client_id"]
            await self._note(position, buried)
            total += buried
        return total

    async def _bury(self, conversation: str, seqs: Sequence[int]) -> int:
        async def work(tx: ConversationTx) -> Effects:
            return deletion_events(
                tx, await delete_messages(tx, [row["seq"] for row in await tx.all(SQL.not_gone, seqs)]), "delete"
            )

        ctx = self._ctx
        effects = await change_conversation(ctx, conversation, work, allow_non_member=True, allow_blocked=True)
        await deliver(ctx, effects)
        return len(effects)

    async def _take_back_reactions(self) -> None:
        while rows := await self._db.all(SQL.reactions, *self._who, BATCH):
            for conversation, found in grouped(rows):
                await self._take_back(conversation, found)
            await self._db.run(SQL.hold, *self._who, LEASE)

    async def _take_back(self, conversation: str, rows: Sequence[Row]) -> None:
        async def work(tx: ConversationTx) -> Effects:
            return [update for row in rows for update in await take_back(tx, row["seq"], row["emoji"])]

        ctx = self._ctx
        await deliver(ctx, await change_conversation(ctx, conversation, work, allow_non_member=True, allow_blocked=True))

    async def _in_batches(self, statement: str, *args: Any) -> None:
        """Until the statement finds less than a batch of them."""
        while await self._db.value(statement, *self._who, *args, BATCH) == BATCH:
            await self._db.run(SQL.hold, *self._who, LEASE)


async def strip(tx: ConversationTx) -> Member:
    """What the member has set for themselves goes; what they are to the others then."""
    await tx.run(SQL.strip, tx.user, tx.next_rev())
    return await member_in(tx, tx.user)


async def take_back(tx: ConversationTx, seq: int, emoji: str) -> Effects:
    """One reaction, and one less in the count; nothing when it is not there any more."""
    if await tx.one(SQL.is_set, seq, tx.user, emoji) is None:
        return []
    await tx.run(REACTIONS.remove, seq, tx.user, emoji, tx.next_rev())
    updates = [update_event(tx, one, "reaction", emoji=emoji, on=False) for one in await states(tx, [seq])]
    return [ToConversation(tx.conversation, update) for update in updates]


def grouped(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """By conversation."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["conversation"], []).append(row)
    return list(found.items())
