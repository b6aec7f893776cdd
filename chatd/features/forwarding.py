"""Sending on what somebody said elsewhere. It says who wrote it first and when, and not in which conversation."""

from msgspec import UNSET

from chatd.errors import Refused
from chatd.ids import uuid7
from chatd.node.context import Ctx
from chatd.node.effects import Effects, Reply, ToConversation, deliver
from chatd.node.messages import screened
from chatd.node.registry import command
from chatd.node.sending import Committed, ack_of, json_text
from chatd.store import queries
from chatd.store.entries import Append, Appended
from chatd.store.postgres import Row
from chatd.wire.changes import MessageNew
from chatd.wire.entities import Json, Message
from chatd.wire.messages import ClientId, Command, Id

SQL = queries.load("forwarding")


class ForwardMessage(Command, tag="message.forward"):
    """Send a `message` of the conversation `source` into another one. As with message.send, again is the same."""

    conversation: Id
    client_id: ClientId
    source: Id
    message: Id


class Forwarded(Committed, tag="message.forwarded"):
    """As message.ack."""


@command(
    ForwardMessage,
    result=Forwarded,
    cost=2,
    refuses=("not_found", "conflict", "blocked", "forbidden"),
    http="POST /v1/conversations/{conversation}/forward",
)
async def forward_message(ctx: Ctx, cmd: ForwardMessage) -> Effects:
    """Refused `conflict` for a message that was deleted or that nobody wrote; else as message.send."""
    row = await ctx.node.db.one(SQL.original, ctx.tenant, cmd.source, ctx.user, cmd.message)
    if row is None:
        raise Refused("not_found", "$.message: no such message")
    if row["deleted_at"] is not None or row["system"] is not None:
        raise Refused("conflict", "$.message: there is nothing to forward")
    text = await screened(ctx, cmd.conversation, cmd.client_id, row["text"], row["attachments"] or [])
    first = row["forwarded"] or {"sender": row["sender"], "created_at": row["created_at"]}

    async def tell(done: Appended) -> None:
        ack = ack_of(Forwarded, cmd.client_id, row["text"], text, done)
        news = ToConversation(cmd.conversation, news_of(ctx.user, cmd, text, row, first, done), but=ctx.session, ack=ack)
        await deliver(ctx, [Reply(ack) if done.duplicate else news])

    attachments = json_text(row["attachments"]) if row["attachments"] else None
    extra = json_text({"forwarded": first})
    place = (ctx.tenant, cmd.conversation, ctx.user, cmd.client_id, uuid7(ctx.now))
    await ctx.node.journal.append(Append(*place, text, attachments, None, None, extra), tell)
    return []


def news_of(sender: str, cmd: ForwardMessage, text: str | None, row: Row, first: Json, done: Appended) -> MessageNew:
    message = Message(
        id=done.id,
        seq=done.seq,
        rev=done.rev,
        sender=sender,
        client_id=cmd.client_id,
        text=text,
        attachments=row["attachments"] or [],
        reply_to=None,
        created_at=done.created_at,
        meta=None,
        forwarded=first,
        expires_at=done.expires_at or UNSET,
    )
    return MessageNew(conversation=cmd.conversation, rev=done.rev, message=message)
