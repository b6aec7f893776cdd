"""Changes of a conversation other than messages and receipts: edits, roles, members, titles, pins.

`change_conversation` locks the row of the conversation first, as the log does, so that all numbers of a conversation
are assigned one after the other. Then `change` reads, decides and writes, taking a `rev` for each row it changes; then
the counters are written and everything is committed. The effects that `change` returns are delivered afterwards.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, TypeVarTuple

from msgspec import Struct, convert

from chatd.app.context import Ctx
from chatd.cluster.control_messages import RecheckConversation
from chatd.conversations.entities import Json, Message, SystemAct
from chatd.conversations.permissions import Right, may
from chatd.core.errors import Refused
from chatd.core.ids import NIL, uuid7
from chatd.db import queries
from chatd.db.postgres import Row, Tx
from chatd.uploads.settings import RemovalSettings

SQL = queries.load("conversations/transaction")
# The actor of changes that no user has requested.
SYSTEM_USER = NIL
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class LockedConversation(Struct, frozen=True):
    """The conversation when its row was locked. `role` None: the requester is not a member.

    `max_first_seq`: some members may not see messages before it. `max_seq`: the last message before the other user
    accepts the direct conversation; None: accepted. `alias`: the requester's, in a match.
    """

    kind: str
    title: str | None
    announce: bool
    blocked: bool
    joining: str
    history: str
    max_first_seq: int
    members: int
    seq: int
    rev: int
    max_seq: int | None
    role: str | None = None
    first_seq: int | None = None
    alias: str | None = None


class ConversationTx:
    """A transaction on one conversation. Its statements run one after the other."""

    def __init__(self, tx: Tx, ctx: Ctx, conversation: str, place: LockedConversation) -> None:
        self.tenant = ctx.tenant
        self.conversation = conversation
        self.user = ctx.user
        # The user who makes the change; None for the system.
        self.actor = None if ctx.user == SYSTEM_USER else ctx.user
        # How the user is known in this conversation.
        self.shown_as = place.alias or ctx.user
        self.now = ctx.now
        self.files_url = ctx.files_url
        self.withheld_ms = round(ctx.node.config.get(RemovalSettings).keep_removed * 1000)
        self.locked = place
        self.members = place.members
        self.max_first_seq = place.max_first_seq
        self._tx = tx
        self._seq, self._rev = place.seq, place.rev
        self._info_rev: int | None = None

    @property
    def rev(self) -> int:
        """The last number that was assigned."""
        return self._rev

    def next_rev(self, *, info: bool = False) -> int:
        """The number of the next change. `info`: the change is one of the settings of the conversation."""
        self._rev += 1
        if info:
            self._info_rev = self._rev
        return self._rev

    async def one(self, sql: str, *args: Any) -> Row | None:
        return await self._tx.one(sql, self.tenant, self.conversation, *args)

    async def all(self, sql: str, *args: Any) -> list[Row]:
        """All rows. The first two arguments of every statement are the tenant and the conversation."""
        return await self._tx.all(sql, self.tenant, self.conversation, *args)

    async def run(self, sql: str, *args: Any) -> None:
        await self._tx.run(sql, self.tenant, self.conversation, *args)

    async def message(self, id_: str) -> Row:
        """A row of `message_states`, if the requester may see it. Raises Refused: `not_found`."""
        row = await self.one(SQL.message, id_, self.locked.first_seq or 1, self.user)
        if row is None:
            raise Refused("not_found", "no such message")
        return row

    async def add_system_message(self, system: Json) -> Message:
        """A message about what has happened, with the next number. Send it as `message.new`.

        Raises Refused: `forbidden` in a direct conversation that waits to be accepted, if it has too many messages.
        """
        convert(system, SystemAct)
        if self.locked.max_seq is not None and self._seq >= self.locked.max_seq:
            raise Refused("forbidden", "the other user has not accepted this conversation yet")
        self._seq += 1
        id_ = uuid7(self.now)
        message = Message(
            id=id_,
            seq=self._seq,
            rev=self.next_rev(),
            sender=self.shown_as,
            client_id=f"system-{id_}",
            text=None,
            attachments=[],
            reply_to=None,
            created_at=self.now,
            meta=None,
            system=system,
        )
        in_match = True if self.locked.alias else None
        values = (message.seq, message.rev, id_, self.user, message.client_id, system, self.now, in_match)
        await self.run(SQL.add_system_message, *values)
        return message

    def check(self, right: Right) -> None:
        """Check a right of the requester. Raises Refused: `forbidden`."""
        if self.locked.role is None or not may(self.locked.kind, self.locked.role, right):
            raise Refused("forbidden", f"you may not {right.value} here")

    async def check_may_send(self, *, everybody: bool = False) -> None:
        """Check that the requester may show new text to the other members, and mention `everybody` in it.

        Raises Refused: `not_found`, `blocked`, `forbidden` where only announcements are allowed, `rate_limited` in slow
        mode.
        """
        row = await self.one(SQL.send_permission, self.user, f"change-{uuid7(self.now)}", everybody)
        if row is None or row["refusal"] is not None:
            raise Refused("not_found" if row is None else row["refusal"])
        if row["wait_ms"] is not None:
            raise Refused("rate_limited", "this conversation is in slow mode", retry_after=row["wait_ms"] / 1000)

    async def finish(self) -> None:
        """Write the counters, if anything has changed."""
        if self._rev != self.locked.rev:
            last_message_at = self.now if self._seq != self.locked.seq else None
            counters = (self._seq, self._rev, self.members, self._info_rev)
            await self.run(SQL.advance, *counters, last_message_at, self.max_first_seq)


async def change_conversation(
    ctx: Ctx,
    conversation: str,
    change: Callable[[ConversationTx, *Ts], Awaitable[T]],
    *args: *Ts,
    right: Right | None = None,
    allow_non_member: bool = False,
    allow_blocked: bool = False,
) -> T:
    """Run `change(tx, *args)` on the locked conversation as one transaction, and return its result.

    `right`: what the requester must be allowed to do. `allow_non_member` and `allow_blocked` waive the rules that the
    requester is a member, and that neither of two members has blocked the other. `change` runs in asyncio: it awaits
    only methods of the transaction.

    Raises Refused: `not_found`, `forbidden`, `blocked`, and what `change` raises; then nothing is changed. If the
    outcome of the commit is unknown, the members get `behind`.
    """
    access = Access(right, allow_non_member, allow_blocked)
    try:
        return await ctx.node.db.in_transaction(change_locked, ctx, conversation, access, change, args)
    except Refused as refused:
        if refused.row.retryable:
            await ctx.node.cluster.broadcast(RecheckConversation(ctx.tenant, conversation))
        raise


class Access(Struct, frozen=True):
    """Who may make a change. See `change_conversation`."""

    right: Right | None
    allow_non_member: bool
    allow_blocked: bool

    def check(self, locked: LockedConversation | None) -> LockedConversation:
        """The conversation, if the requester may change it. Raises Refused: `not_found`, `blocked`."""
        if locked is None or (locked.role is None and not self.allow_non_member):
            raise Refused("not_found", "no such conversation")
        if locked.blocked and not self.allow_blocked:
            raise Refused("not_found", "no such conversation") if locked.role is None else Refused("blocked")
        return locked


AS_MEMBER = Access(right=None, allow_non_member=False, allow_blocked=False)


async def change_locked(
    tx: Tx,
    ctx: Ctx,
    conversation: str,
    access: Access,
    change: Callable[[ConversationTx, *Ts], Awaitable[T]],
    args: tuple[*Ts],
) -> T:
    locked = access.check(await lock(tx, ctx.tenant, conversation, ctx.user))
    conversation_tx = ConversationTx(tx, ctx, conversation, locked)
    if access.right is not None:
        conversation_tx.check(access.right)
    result = await change(conversation_tx, *args)
    await conversation_tx.finish()
    return result


async def lock(tx: Tx, tenant: str, conversation: str, user: str) -> LockedConversation | None:
    """Lock the row of the conversation; None if there is none."""
    row = await tx.one(SQL.lock, tenant, conversation)
    if row is None:
        return None
    membership = await tx.one(SQL.membership, tenant, conversation, user)
    return LockedConversation(**dict(row), **dict(membership or {}))
