"""Sending messages and reading them back."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from chatd.errors import Refused
from chatd.ids import uuid7
from chatd.node.context import Ctx
from chatd.node.effects import Effects, Reply, ToConversation, deliver
from chatd.node.messages import check_text, check_uploads, screened
from chatd.node.registry import Needs, command
from chatd.node.views import message_of
from chatd.store import queries
from chatd.store.entries import Append, Appended
from chatd.wire.changes import MessageNew
from chatd.wire.entities import Json, Message, Quote
from chatd.wire.messages import ClientId, Command, Id, Limit, Millis, Result, Rev, Seq

SQL = queries.load("messages")
# What stands for everybody in the table of mentions is nobody's id.
EVERYBODY = "00000000-0000-0000-0000-000000000000"


class SendMessage(Command, tag="message.send"):
    """Send a message. Sending it again with the same `client_id` gives the same ack and no second message, for ever.

    It needs a text or an attachment; one with `upload` names a file that the sender may read. `mentions` are members it is meant
    for, `everybody` means all of them, for which a group asks for a right.
    """

    conversation: Id
    client_id: ClientId
    text: str | None = None
    attachments: Annotated[list[Json], Meta(max_length=10)] = msgspec.field(default_factory=list)
    reply_to: Id | None = None
    meta: Json | None = None
    mentions: Annotated[list[Id], Meta(max_length=50)] = msgspec.field(default_factory=list)
    everybody: bool = False


class MessageAck(Result, tag="message.ack"):
    """The message is committed. `duplicate`: it had been before, and this is the first ack again."""

    client_id: ClientId
    message: Id
    seq: Seq
    rev: Rev
    created_at: Millis
    duplicate: bool
    status: Literal["sent"] = "sent"


@command(
    SendMessage,
    result=MessageAck,
    refuses=("not_found", "conflict", "too_large", "blocked", "forbidden"),
    http="POST /v1/conversations/{conversation}/messages",
)
async def send_message(ctx: Ctx, cmd: SendMessage) -> Effects:
    """Refused `not_found` for who is no member, `conflict` for a client_id of another conversation.

    `blocked` where one of two has blocked the other, `forbidden` by a filter, and where only announcements are allowed.
    """
    check_content(ctx, cmd)
    if cmd.attachments:
        await check_uploads(ctx, cmd.attachments)
    quote = UNSET if cmd.reply_to is None else await quote_of(ctx, cmd.conversation, cmd.reply_to)
    if ctx.node.screening is not None:
        text = await screened(ctx, cmd.conversation, cmd.client_id, cmd.text, cmd.attachments, cmd.reply_to, cmd.meta)
        cmd = msgspec.structs.replace(cmd, text=text)

    async def tell(done: Appended) -> None:
        ack = ack_of(cmd, done)
        if not done.duplicate:
            ctx.node.hub.traces.accepted((done.id, ctx.session, ctx.now, done.committed_at, done.batch, done.rev))
        news = ToConversation(cmd.conversation, news_of(ctx.user, cmd, done, quote), but=ctx.session, ack=ack)
        await deliver(ctx, [Reply(ack) if done.duplicate else news])

    await ctx.node.journal.append(entry_of(ctx, cmd), tell)
    return []


def check_content(ctx: Ctx, cmd: SendMessage) -> None:
    if not cmd.text and not cmd.attachments:
        raise Refused("bad_request", "$: a message needs a text or an attachment")
    if EVERYBODY in cmd.mentions:
        raise Refused("bad_request", "$.mentions: `everybody` is a field of its own")
    if cmd.text:
        check_text(ctx.node.config, cmd.text)


async def quote_of(ctx: Ctx, conversation: str, message: str) -> Quote | UnsetType:
    """What is quoted to all; nothing when not all of them may see it. Raises Refused: `not_found`."""
    row = await ctx.node.db.one(SQL.quoted, ctx.tenant, conversation, message, ctx.user)
    if row is None:
        raise Refused("not_found", "$.reply_to: no such message in this conversation")
    fields = dict(row)
    return Quote(message=message, **fields) if fields.pop("for_all") else UNSET


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
        extra_of(cmd) if cmd.mentions or cmd.everybody else None,
    )


def extra_of(cmd: SendMessage) -> str:
    """What the journal keeps beside the text. `everybody` is there only when it is true."""
    named = {"mentions": list(dict.fromkeys(cmd.mentions))} if cmd.mentions else {}
    return json_text({**named, **({"everybody": True} if cmd.everybody else {})})


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


def news_of(sender: str, cmd: SendMessage, done: Appended, quote: Quote | UnsetType) -> MessageNew:
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
        quote=quote,
        mentions=list(dict.fromkeys(cmd.mentions)) or UNSET,
        mentions_everybody=cmd.everybody or UNSET,
        expires_at=done.expires_at or UNSET,
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
    rows = await ctx.node.db.all(statement, ctx.tenant, cmd.conversation, ctx.user, edge, cmd.limit + 1)
    items = sorted((message_of(row) for row in rows[: cmd.limit]), key=lambda message: message.seq)
    return [Reply(Messages(items=items, more=len(rows) > cmd.limit))]
