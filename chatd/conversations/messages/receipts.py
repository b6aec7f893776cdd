"""How far somebody has received and read. Two positions per member, which only move forward."""

from msgspec import UNSET, Struct, UnsetType

from chatd.app.context import Ctx
from chatd.app.effects import Broadcast, Effect, Effects, Reply, ToConversation, deliver
from chatd.app.registry import command
from chatd.conversations.log.entries import Advanced, Receipt
from chatd.conversations.log.writer import Journal
from chatd.conversations.read_model import page_of, seen_message
from chatd.conversations.settings import MessageSettings
from chatd.conversations.unread_counters import RefreshUnread
from chatd.db import queries
from chatd.wire.base import Command, Event, Id, Limit, Ok, Result, Rev, Seq

SQL = queries.load("conversations/receipts")


class ReceiptDelivered(Command, tag="receipt.delivered"):
    """This user's devices have all messages up to `seq`."""

    conversation: Id
    seq: Seq


class ReceiptRead(Command, tag="receipt.read"):
    """This user has read all messages up to `seq`; that they were delivered goes with it."""

    conversation: Id
    seq: Seq


class MessageDelivered(Event, tag="message.delivered"):
    """A member has all messages up to `seq`.

    In groups of more than `messages.receipts_up_to` members, and in a direct conversation with a block, nobody is told.
    """

    conversation: Id
    user: Id
    seq: Seq
    rev: Rev


class MessageRead(Event, tag="message.read"):
    """A member has read all messages up to `seq`. `unread` is what is left for that member, up to 1000, `mentions` part of it.

    `delivered`: the member has received all messages up to this one, where that is more than `seq`.

    In groups of more than `messages.receipts_up_to` members, and in a direct conversation with a block, nobody is told; the
    member's own devices get `conversation.update`.
    """

    conversation: Id
    user: Id
    seq: Seq
    rev: Rev
    unread: int
    mentions: int
    delivered: Seq | UnsetType = UNSET


@command(
    ReceiptDelivered,
    result=Ok,
    refuses=("not_found",),
    cost=0.2,
    http="POST /v1/conversations/{conversation}/delivered",
)
async def receipt_delivered(ctx: Ctx, cmd: ReceiptDelivered) -> Effects:
    return await advance(ctx, cmd.conversation, delivered=cmd.seq)


@command(ReceiptRead, result=Ok, refuses=("not_found",), cost=0.2, http="POST /v1/conversations/{conversation}/read")
async def receipt_read(ctx: Ctx, cmd: ReceiptRead) -> Effects:
    return await advance(ctx, cmd.conversation, read=cmd.seq)


async def advance(ctx: Ctx, conversation: str, *, delivered: int = 0, read: int = 0) -> Effects:
    """Refused `not_found` for who is no member, and for a seq that no message has yet.

    Own other devices get `conversation.update` when `read` has moved; in a group that is too large for the others to be told,
    that is all anybody is told.
    """

    async def tell(done: Advanced) -> None:
        told: list[Effect] = []
        if done.rev is not None or done.unread is not None:
            ctx.node.hub.traces.receipts((conversation, ctx.user, done.delivered_seq, done.read_seq, ctx.node.clock()))
        if done.rev is not None:
            told.append(ToConversation(conversation, event_of(done.alias or ctx.user, conversation, done, done.rev)))
        if done.unread is not None or done.doubtful:
            told.append(Broadcast(RefreshUnread(ctx.tenant, ctx.user, conversation, ctx.session or None)))
        await deliver(ctx, told)

    up_to = ctx.node.config.get(MessageSettings).receipts_up_to
    await ctx.node.get(Journal).append(Receipt(ctx.tenant, conversation, ctx.user, delivered, read, up_to), tell, ctx.began)
    return [Reply(Ok())]


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
    """Who has read a message, and who has received it."""

    conversation: Id
    message: Id
    cursor: Id | None = None
    limit: Limit = 100


class Recipient(Struct, kw_only=True, frozen=True):
    """Somebody whom a message was for."""

    user: Id
    name: str | None


class ReceiptCounts(Struct, kw_only=True, frozen=True):
    """Of `members` whom a message was for, so many have read it, and so many have received it and not read it."""

    members: int
    read: int
    delivered: int


class Receipts(Result, tag="message.receipts"):
    """Members who have a message, by their id: those who have read it, and those who have not yet. `counts` is about all of them.

    It was for those who were members when it was sent, but who wrote it. `cursor` is null on the last page.
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
    """Refused `not_found` for what the asker may not see."""
    db, found = ctx.node.db, await seen_message(ctx, cmd.conversation, cmd.message)
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
