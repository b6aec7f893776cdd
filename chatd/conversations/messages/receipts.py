"""Delivery and read receipts: two positions per member, which only move forward.

A receipt that advances no position is answered without the database, if an earlier answer to the session shows that.
"""

from functools import partial
from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

from chatd.app.context import Ctx
from chatd.app.effects import Broadcast, Effect, Effects, Reply, ToConversation
from chatd.app.registry import command
from chatd.conversations.log.effects import Advance
from chatd.conversations.log.entries import Advanced, Receipt
from chatd.conversations.read_model import visible_message
from chatd.conversations.settings import MessageSettings
from chatd.conversations.unread_counters import RefreshUnread
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.realtime.feeds import Positions
from chatd.wire.base import Command, Event, Id, Limit, Ok, Result, Rev, Seq
from chatd.wire.reference.examples import Example

SQL = queries.load("conversations/receipts")


class ReceiptDelivered(Command, tag="receipt.delivered"):
    """Report that the requester's devices have all messages up to `seq`.

    A `seq` at or below an earlier one changes nothing.
    """

    conversation: Id
    seq: Seq


class ReceiptRead(Command, tag="receipt.read"):
    """Report that the requester has read all messages up to `seq`. It counts as delivered, too.

    A `seq` at or below an earlier one changes nothing.
    """

    conversation: Id
    seq: Seq


class MessageDelivered(Event, tag="message.delivered"):
    """A member has received all messages up to `seq`.

    It is not sent in groups of more than `messages.receipts_up_to` members, nor in a direct conversation with a block.
    """

    conversation: Id
    user: Id
    seq: Seq
    rev: Rev


class MessageRead(Event, tag="message.read"):
    """A member has read all messages up to `seq`. `unread` counts the unread messages of that member, up to 1000;
    `mentions` is a part of it.

    `delivered`: the last received message, if it is later than `seq`. It is not sent in groups of more than
    `messages.receipts_up_to` members, nor in a direct conversation with a block; the other devices of the member get
    `conversation.update`.
    """

    conversation: Id
    user: Id
    seq: Seq
    rev: Rev
    unread: int
    mentions: int
    delivered: Seq | UnsetType = UNSET
    EXAMPLE: ClassVar = Example(absent_if_missed=("unread", "mentions"))


def moves_nothing(ctx: Ctx, cmd: ReceiptDelivered | ReceiptRead) -> bool:
    """Whether it is known here that the requester is a member and has reached this position."""
    reached = ctx.node.hub.memberships.positions_of(ctx.session, cmd.conversation)
    if reached is None:
        return False
    return cmd.seq <= (reached.read if isinstance(cmd, ReceiptRead) else reached.delivered)


def pipeline(ctx: Ctx, cmd: ReceiptDelivered | ReceiptRead) -> str:
    """The pipeline key of a receipt: its conversation. Nothing has to be read before the commit."""
    return cmd.conversation


@command(
    ReceiptDelivered,
    result=Ok,
    refuses=("not_found",),
    cost=0.2,
    http="POST /v1/conversations/{conversation}/delivered",
    is_bounded=True,
    unanswered=True,
    at_once=moves_nothing,
    pipeline=pipeline,
)
async def receipt_delivered(ctx: Ctx, cmd: ReceiptDelivered) -> Effects:
    """`not_found`: the requester is not a member, or there is no message with this `seq`."""
    return [Reply(Ok())] if moves_nothing(ctx, cmd) else advance(ctx, cmd.conversation, delivered=cmd.seq)


@command(
    ReceiptRead,
    result=Ok,
    refuses=("not_found",),
    cost=0.2,
    http="POST /v1/conversations/{conversation}/read",
    is_bounded=True,
    unanswered=True,
    at_once=moves_nothing,
    pipeline=pipeline,
)
async def receipt_read(ctx: Ctx, cmd: ReceiptRead) -> Effects:
    """`not_found`: the requester is not a member, or there is no message with this `seq`."""
    return [Reply(Ok())] if moves_nothing(ctx, cmd) else advance(ctx, cmd.conversation, read=cmd.seq)


class NotePositions(Effect, frozen=True):
    """Remember the positions of the requester, for `moves_nothing`."""

    conversation: str
    positions: Positions

    async def deliver(self, ctx: Ctx) -> None:
        ctx.node.hub.memberships.note_positions(ctx.session, self.conversation, self.positions)


def advance(ctx: Ctx, conversation: str, *, delivered: int = 0, read: int = 0) -> Effects:
    up_to = ctx.node.config.get(MessageSettings).receipts_up_to
    receipt = Receipt(ctx.tenant, conversation, ctx.user, delivered, read, up_to)
    return [Advance(receipt, partial(receipt_effects, ctx, conversation)), Reply(Ok())]


def receipt_effects(ctx: Ctx, conversation: str, done: Advanced) -> Effects:
    """The event for the other members, and the new counters for the reader's other devices."""
    effects: list[Effect] = []
    if done.rev is not None:
        effects.append(ToConversation(conversation, event_of(done.alias or ctx.user, conversation, done, done.rev)))
    if done.unread is not None or done.uncertain:
        effects.append(Broadcast(RefreshUnread(ctx.tenant, ctx.user, conversation, ctx.origin or None)))
    return [*effects, NotePositions(conversation, Positions(done.delivered_seq, done.read_seq))]


def event_of(user: str, conversation: str, done: Advanced, rev: int) -> Event:
    if done.unread is None:
        return MessageDelivered(conversation=conversation, user=user, seq=done.delivered_seq, rev=rev)
    delivered = done.delivered_seq if done.delivered_seq > done.read_seq else UNSET
    return MessageRead(
        conversation=conversation,
        user=user,
        seq=done.read_seq,
        rev=rev,
        unread=done.unread,
        mentions=done.mentions or 0,
        delivered=delivered,
    )


class AskReceipts(Command, tag="message.receipts"):
    """Get the members who have read or received a message. `cursor`: from the page before."""

    conversation: Id
    message: Id
    cursor: Id | None = None
    limit: Limit = 100


class Recipient(Struct, kw_only=True, frozen=True):
    """A recipient of a message."""

    user: Id
    name: str | None


class ReceiptCounts(Struct, kw_only=True, frozen=True):
    """Of the `members` that received the message, how many have read it, and how many have it delivered but not
    read.
    """

    members: int
    read: int
    delivered: int


class Receipts(Result, tag="message.receipts"):
    """The recipients who have read a message, and those who have it delivered but not read, ordered by id. `counts`
    covers all of them.

    The recipients are the members at the time of sending, except the sender. `cursor` is null on the last page.
    """

    read: list[Recipient]
    delivered: list[Recipient]
    counts: ReceiptCounts
    cursor: Id | None


@command(
    AskReceipts,
    result=Receipts,
    cost=5,
    refuses=("not_found",),
    http="GET /v1/conversations/{conversation}/messages/{message}/receipts",
)
async def message_receipts(ctx: Ctx, cmd: AskReceipts) -> Effects:
    """`not_found`: the requester may not see the message."""
    db, found = ctx.node.db, await visible_message(ctx, cmd.conversation, cmd.message)
    message = (ctx.tenant, cmd.conversation, found["seq"], found["sender"], ctx.user)
    counts = await db.one(SQL.counts, *message)
    rows = await db.all(SQL.page, *message, cmd.cursor, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    receipts = Receipts(
        read=[Recipient(user=row["user"], name=row["name"]) for row in page if row["has_read"]],
        delivered=[Recipient(user=row["user"], name=row["name"]) for row in page if not row["has_read"]],
        counts=ReceiptCounts(**dict(counts or {})),
        cursor=page[-1]["user"] if more else None,
    )
    return [Reply(receipts)]
