"""The one road for changes of a conversation that are not messages or receipts: edits, roles, members, titles, pins.

The conversation's row is locked first, as the journal does, so that all numbers of a conversation are given one after the other;
then `work` looks, decides and writes, taking a `rev` for each row it changes; then the counters are written and all is committed.
What it returns is told afterwards. Whoever may not do it is refused before anything is written.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from msgspec import Struct, convert

from chatd.app.context import Ctx
from chatd.cluster.control_messages import RecheckConversation
from chatd.conversations.entities import Json, Message
from chatd.conversations.message_shapes import SystemAct
from chatd.conversations.permissions import Right, may
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import Row, Tx
from chatd.uploads.settings import RemovalSettings

SQL = queries.load("conversations/changes")
T = TypeVar("T")


class Place(Struct, frozen=True):
    """The conversation as it was when its row was locked. `role` None: who asks is no member.

    `late_seq`: there are members who may see nothing before it. `alias`: of who asks, in a match.
    """

    kind: str
    title: str | None
    announce: bool
    blocked: bool
    joining: str
    history: str
    late_seq: int
    members: int
    seq: int
    rev: int
    role: str | None = None
    first_seq: int | None = None
    alias: str | None = None


class Change:
    """One transaction on one conversation. Its statements run one after the other."""

    def __init__(self, tx: Tx, ctx: Ctx, conversation: str, place: Place) -> None:
        self.tenant = ctx.tenant
        self.conversation = conversation
        self.user = ctx.user
        # How the user is known in this conversation.
        self.shown_as = place.alias or ctx.user
        self.now = ctx.now
        self.files_url = ctx.files_url
        self.withheld_ms = round(ctx.node.config.get(RemovalSettings).keep_removed * 1000)
        self.place = place
        self.members = place.members
        self.late_seq = place.late_seq
        self._tx = tx
        self._seq, self._rev = place.seq, place.rev
        self._info_rev: int | None = None

    @property
    def rev(self) -> int:
        """The last one that was given."""
        return self._rev

    def next_rev(self, *, info: bool = False) -> int:
        """The number of one more change; `info`: of what the row of the conversation itself says."""
        self._rev += 1
        if info:
            self._info_rev = self._rev
        return self._rev

    async def one(self, sql: str, *args: Any) -> Row | None:
        return await self._tx.one(sql, self.tenant, self.conversation, *args)

    async def all(self, sql: str, *args: Any) -> list[Row]:
        """All rows. Tenant and conversation are the first two arguments of every statement."""
        return await self._tx.all(sql, self.tenant, self.conversation, *args)

    async def run(self, sql: str, *args: Any) -> None:
        await self._tx.run(sql, self.tenant, self.conversation, *args)

    async def say(self, system: Json) -> Message:
        """A message that says what happened, in its place of the order. Tell it as `message.new`."""
        convert(system, SystemAct)
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
        in_match = True if self.place.alias else None
        await self.run(SQL.say, message.seq, message.rev, id_, self.user, message.client_id, system, self.now, in_match)
        return message

    def check(self, right: Right) -> None:
        """Raises Refused: `forbidden`."""
        if self.place.role is None or not may(self.place.kind, self.place.role, right):
            raise Refused("forbidden", f"you may not {right.value} here")

    async def finish(self) -> None:
        """Write the counters, when anything has changed."""
        if self._rev != self.place.rev:
            said = self.now if self._seq != self.place.seq else None
            await self.run(SQL.advance, self._seq, self._rev, self.members, self._info_rev, said, self.late_seq)


async def change(
    ctx: Ctx,
    conversation: str,
    work: Callable[[Change], Awaitable[T]],
    needs: Right | None = None,
    *,
    stranger: bool = False,
    blocked: bool = False,
) -> T:
    """Run `work` on the conversation as one transaction; what it returns.

    Raises Refused: `not_found` for who is no member (but where a `stranger` may come), `forbidden` without the right, `blocked`
    where one of two has blocked the other (but where that makes no difference), and whatever `work` raises: then nothing has
    happened. When nobody can say whether it has, whoever hears the conversation is told `behind`.
    `work` runs in asyncio: it awaits nothing but the change.
    """
    tenant = ctx.tenant

    async def transaction(tx: Tx) -> T:
        place = await hold(tx, tenant, conversation, ctx.user)
        here = Change(tx, ctx, conversation, let_in(place, stranger=stranger, blocked=blocked))
        if needs is not None:
            here.check(needs)
        result = await work(here)
        await here.finish()
        return result

    try:
        return await ctx.node.db.in_transaction(transaction)
    except Refused as refused:
        if refused.row.retryable:
            await ctx.node.cluster.broadcast(RecheckConversation(tenant, conversation))
        raise


def let_in(place: Place | None, *, stranger: bool, blocked: bool) -> Place:
    """The place, for who may change something there. Raises Refused: `not_found`, `blocked`."""
    if place is None or (place.role is None and not stranger):
        raise Refused("not_found", "no such conversation")
    if place.blocked and not blocked:
        raise Refused("not_found", "no such conversation") if place.role is None else Refused("blocked")
    return place


async def hold(tx: Tx, tenant: str, conversation: str, user: str) -> Place | None:
    """The conversation with its row locked; None where there is none."""
    row = await tx.one(SQL.hold, tenant, conversation)
    if row is None:
        return None
    standing = await tx.one(SQL.standing, tenant, conversation, user)
    return Place(**dict(row), **dict(standing or {}))
