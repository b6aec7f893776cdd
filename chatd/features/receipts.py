"""How far somebody has received and read. Two positions per member, which only move forward."""

from chatd.node.context import Ctx
from chatd.node.effects import Effects, Reply, ToConversation, deliver
from chatd.node.registry import command
from chatd.store.entries import Advanced, Receipt
from chatd.wire.messages import Command, Event, Id, Ok, Rev, Seq


class ReceiptDelivered(Command, tag="receipt.delivered"):
    """This user's devices have all messages up to `seq`."""

    conversation: Id
    seq: Seq


class ReceiptRead(Command, tag="receipt.read"):
    """This user has read all messages up to `seq`; that they were delivered goes with it."""

    conversation: Id
    seq: Seq


class MessageDelivered(Event, tag="message.delivered"):
    """A member has all messages up to `seq`."""

    conversation: Id
    user: Id
    seq: Seq
    rev: Rev


class MessageRead(Event, tag="message.read"):
    """A member has read all messages up to `seq`. `unread` is what is left for that member, up to 1000, `mentions` part of it."""

    conversation: Id
    user: Id
    seq: Seq
    rev: Rev
    unread: int
    mentions: int


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
    """Refused `not_found` for who is no member, and for a seq that no message has yet."""

    async def tell(done: Advanced) -> None:
        if done.rev is not None:
            moved = (conversation, ctx.user, done.delivered_seq, done.read_seq, ctx.node.clock())
            ctx.node.hub.traces.moved(moved)
            await deliver(ctx, [ToConversation(conversation, event_of(ctx.user, conversation, done, done.rev))])

    await ctx.node.journal.append(Receipt(ctx.tenant, conversation, ctx.user, delivered, read), tell)
    return [Reply(Ok())]


def event_of(user: str, conversation: str, done: Advanced, rev: int) -> Event:
    if done.unread is None:
        return MessageDelivered(conversation=conversation, user=user, seq=done.delivered_seq, rev=rev)
    return MessageRead(
        conversation=conversation, user=user, seq=done.read_seq, rev=rev, unread=done.unread, mentions=done.mentions or 0
    )
