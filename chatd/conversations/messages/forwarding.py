"""Sending on what somebody said elsewhere. It says who wrote it first and when, and not in which conversation."""

from msgspec import UNSET, Struct
from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToConversation, deliver
from chatd.app.registry import command
from chatd.conversations.attachment_types import attachments_in
from chatd.conversations.entities import Json, Message
from chatd.conversations.events import MessageNew
from chatd.conversations.log.entries import Append, Appended
from chatd.conversations.log.writer import Journal
from chatd.conversations.messages.access import screened
from chatd.conversations.messages.attachments import shown
from chatd.conversations.messages.sending import Committed, Content, ack_of, is_known
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.jsonb import to_jsonb
from chatd.wire.base import ClientId, Command, Id

SQL = queries.load("conversations/forwarding")


class ForwardMessage(Command, tag="message.forward"):
    """Send a `message` of the conversation `source` into another one. As with message.send, again is the same."""

    conversation: Id
    client_id: ClientId
    source: Id
    message: Id


class Original(Struct, frozen=True):
    """What is sent on. `first`: who wrote it first, and when."""

    content: Content
    first: Json


# For the journal, which knows the message by its client_id and gives its first answer again.
DONE = Original(Content(), {})


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
    source = await original(ctx, cmd)
    asked = source.content
    draft = await screened(ctx, cmd.conversation, cmd.client_id, asked.text, asked.attachments)
    said = replace(asked, text=draft.text, attachments=draft.attachments)

    async def tell(done: Appended) -> None:
        ack = ack_of(Forwarded, cmd.client_id, asked.text, said.text, done)
        news = ToConversation(cmd.conversation, news_of(ctx, cmd, said, source.first, done), but=ctx.session, ack=ack)
        await deliver(ctx, [Reply(ack) if done.duplicate else news])

    attachments = to_jsonb(said.attachments) if said.attachments else None
    extra = to_jsonb({"forwarded": source.first})
    place = (ctx.tenant, cmd.conversation, ctx.user, cmd.client_id, uuid7(ctx.now))
    await ctx.node.get(Journal).append(Append(*place, said.text, attachments, None, None, extra), tell, ctx.began)
    return []


async def original(ctx: Ctx, cmd: ForwardMessage) -> Original:
    """What is to be sent on; nothing when that was done before, because it may be gone by now. Raises Refused."""
    row = await ctx.node.db.one(SQL.original, ctx.tenant, cmd.source, ctx.user, cmd.message)
    if row is not None and row["deleted_at"] is None and row["system"] is None:
        sender = ctx.user if row["author"] == ctx.user else row["sender"]
        first = row["forwarded"] or {"sender": sender, "created_at": row["created_at"]}
        said = Content(row["text"], attachments_in(row["attachments"]))
        return Original(said, first)
    if await is_known(ctx, cmd.client_id):
        return DONE
    if row is None:
        raise Refused("not_found", "$.message: no such message")
    raise Refused("conflict", "$.message: there is nothing to forward")


def news_of(ctx: Ctx, cmd: ForwardMessage, said: Content, first: Json, done: Appended) -> MessageNew:
    sender = done.alias or ctx.user
    message = Message(
        id=done.id,
        seq=done.seq,
        rev=done.rev,
        sender=sender,
        client_id=cmd.client_id,
        text=said.text,
        attachments=shown(said.attachments, ctx.files_url),
        reply_to=None,
        created_at=done.created_at,
        meta=None,
        forwarded={**first, "sender": sender} if first["sender"] == ctx.user else first,
        expires_at=done.expires_at or UNSET,
    )
    return MessageNew(conversation=cmd.conversation, rev=done.rev, message=message)
