"""Sending messages and reading them back."""

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import Needs, command
from chatd.conversations.entities import Message
from chatd.conversations.messages.sending import Committed, Outgoing, prepare
from chatd.conversations.read_model import message_of, page_of
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.wire.base import Command, Id, Limit, Result, Seq

SQL = queries.load("conversations/messages")


class SendMessage(Outgoing, tag="message.send"):
    """Send a message. Sending it again with the same `client_id` gives the same ack and no second message, for ever.

    It needs a text or an attachment, which names an `upload` that the sender may read, or the `url` of a link. `mentions` are
    members it is meant for (unknown ids are left out), `everybody` means all of them, for which a group asks for a right.
    """


class MessageAck(Committed, tag="message.ack"):
    """The message is committed. `duplicate`: it had been before, and this is the first ack again.

    Other acks and events of a conversation come to a connection in the order of `rev`, also past a `behind`; the `rev` of a
    duplicate may lie below what the connection was given since.

    `expires_at`: when it will disappear. `text`: what it says, where a filter has changed it. Neither comes with a duplicate.
    """


@command(
    SendMessage,
    result=MessageAck,
    refuses=("not_found", "conflict", "too_large", "blocked", "forbidden"),
    http="POST /v1/conversations/{conversation}/messages",
)
async def send_message(ctx: Ctx, cmd: SendMessage) -> Effects:
    """Refused `not_found` for who is no member, `conflict` for a client_id of another conversation.

    `blocked` where one of two has blocked the other, `forbidden` by a filter, and where only announcements are allowed.
    `too_large` for too long a text, and where `meta` and `attachments` together have more than 8 KB as JSON.
    """
    return [await prepare(ctx, cmd, MessageAck)]


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
    page, more = page_of(rows, cmd.limit)
    items = sorted((message_of(row, ctx.files_url) for row in page), key=lambda message: message.seq)
    return [Reply(Messages(items=items, more=more))]
