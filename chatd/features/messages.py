"""Sending messages and reading them back."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from chatd.errors import Refused
from chatd.ids import uuid7
from chatd.node.context import Ctx
from chatd.node.effects import Effects, Reply, ToConversation, deliver
from chatd.node.registry import Needs, command
from chatd.node.screening import Draft, Screening
from chatd.node.views import message_of
from chatd.store import queries
from chatd.store.entries import Append, Appended
from chatd.wire.entities import Json, Message
from chatd.wire.messages import ClientId, Command, Event, Id, Limit, Millis, Result, Rev, Seq

SQL = queries.load("messages")


class SendMessage(Command, tag="message.send"):
    """Send a message. Sending it again with the same `client_id` gives the same ack and no second message, for ever.

    It needs a text or an attachment.
    """

    conversation: Id
    client_id: ClientId
    text: str | None = None
    attachments: Annotated[list[Json], Meta(max_length=10)] = msgspec.field(default_factory=list)
    reply_to: Id | None = None
    meta: Json | None = None


class MessageAck(Result, tag="message.ack"):
    """The message is committed. `duplicate`: it had been before, and this is the first ack again."""

    client_id: ClientId
    message: Id
    seq: Seq
    rev: Rev
    created_at: Millis
    duplicate: bool
    status: Literal["sent"] = "sent"


class MessageNew(Event, tag="message.new"):
    """A message was committed. For every session of every member but the one that sent it."""

    conversation: Id
    rev: Rev
    message: Message


@command(
    SendMessage,
    result=MessageAck,
    refuses=("not_found", "conflict", "too_large", "forbidden"),
    http="POST /v1/conversations/{conversation}/messages",
)
async def send_message(ctx: Ctx, cmd: SendMessage) -> Effects:
    """Refused `not_found` for who is no member, `conflict` for a client_id of another conversation, `forbidden` by a filter."""
    check_content(ctx, cmd)
    if cmd.reply_to is not None:
        await check_original(ctx, cmd.conversation, cmd.reply_to)
    if ctx.node.screening is not None:
        cmd = await screened(ctx, cmd, ctx.node.screening)

    async def tell(done: Appended) -> None:
        ack = ack_of(cmd, done)
        if not done.duplicate:
            ctx.node.hub.traces.accepted((done.id, ctx.session, ctx.now, done.committed_at, done.batch, done.rev))
        news = ToConversation(cmd.conversation, news_of(ctx.user, cmd, done), but=ctx.session, ack=ack)
        await deliver(ctx, [Reply(ack) if done.duplicate else news])

    await ctx.node.journal.append(entry_of(ctx, cmd), tell)
    return []


def check_content(ctx: Ctx, cmd: SendMessage) -> None:
    if not cmd.text and not cmd.attachments:
        raise Refused("bad_request", "$: a message needs a text or an attachment")
    most = ctx.node.config.limits.text_bytes
    if cmd.text and len(cmd.text) * 4 > most and len(cmd.text.encode()) > most:
        raise Refused("too_large", f"$.text: at most {most} bytes")


async def check_original(ctx: Ctx, conversation: str, message: str) -> None:
    if await ctx.node.db.one(SQL.exists, ctx.tenant, conversation, message, ctx.user) is None:
        raise Refused("not_found", "$.reply_to: no such message in this conversation")


async def screened(ctx: Ctx, cmd: SendMessage, screening: Screening) -> SendMessage:
    """The message as filters and hook leave it."""
    draft = Draft(ctx.tenant, cmd.conversation, ctx.user, cmd.client_id, cmd.text, cmd.attachments, cmd.reply_to, cmd.meta)
    text = await screening.screen(draft)
    return cmd if text == cmd.text else msgspec.structs.replace(cmd, text=text)


def entry_of(ctx: Ctx, cmd: SendMessage) -> Append:
    return Append(
        ctx.tenant,
        cmd.conversation,
        ctx.user,
        cmd.client_id,
        uuid7(ctx.now),
        cmd.text,
        json_text(cmd.attachments) if cmd.attachments else None,
        cmd.reply_to,
        json_text(cmd.meta) if cmd.meta is not None else None,
    )


def json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def ack_of(cmd: SendMessage, done: Appended) -> MessageAck:
    return MessageAck(
        client_id=cmd.client_id,
        message=done.id,
        seq=done.seq,
        rev=done.rev,
        created_at=done.created_at,
        duplicate=done.duplicate,
    )


def news_of(sender: str, cmd: SendMessage, done: Appended) -> MessageNew:
    message = Message(
        id=done.id,
        seq=done.seq,
        rev=done.rev,
        sender=sender,
        client_id=cmd.client_id,
        text=cmd.text,
        attachments=cmd.attachments,
        reply_to=cmd.reply_to,
        created_at=done.created_at,
        meta=cmd.meta,
    )
    return MessageNew(conversation=cmd.conversation, rev=done.rev, message=message)


class MessageHistory(Command, tag="message.history"):
    """Page through a conversation: the newest, those `before` a seq, or those `after` one. Always in the order of seq."""

    conversation: Id
    before: Seq | None = None
    after: Seq | None = None
    limit: Limit = 50


class Messages(Result, tag="messages"):
    """A page of messages. `more`: there are further ones in the direction that was asked for."""

    items: list[Message]
    more: bool


@command(
    MessageHistory,
    result=Messages,
    needs=Needs.MEMBER,
    refuses=("not_found",),
    http="GET /v1/conversations/{conversation}/messages",
)
async def message_history(ctx: Ctx, cmd: MessageHistory) -> Effects:
    if cmd.before is not None and cmd.after is not None:
        raise Refused("bad_request", "$: before and after exclude each other")
    statement = SQL.history_before if cmd.after is None else SQL.history_after
    edge = cmd.before if cmd.after is None else cmd.after
    rows = await ctx.node.db.all(statement, ctx.tenant, cmd.conversation, edge, cmd.limit + 1)
    items = sorted((message_of(row) for row in rows[: cmd.limit]), key=lambda message: message.seq)
    return [Reply(Messages(items=items, more=len(rows) > cmd.limit))]
