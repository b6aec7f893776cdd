"""Forwarding of messages. A forwarded message names its first sender and time, but not its first conversation."""

from functools import partial

from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.app.effects import Effects
from chatd.app.registry import command
from chatd.conversations.attachment_types import attachments_in
from chatd.conversations.messages.screening import screen
from chatd.conversations.messages.sending import Content, SentAck, ack_of, append, is_known
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.wire.base import ClientId, Command, Id

SQL = queries.load("conversations/forwarding")


class ForwardMessage(Command, tag="message.forward"):
    """Send a copy of the `message` of the conversation `source` to another conversation.

    Forwarding again with the same `client_id` gives the same ack and no second message, as with message.send.
    """

    conversation: Id
    client_id: ClientId
    source: Id
    message: Id


# The log knows the message by its client_id and repeats the first ack.
DONE = Content(forwarded={})


class Forwarded(SentAck, tag="message.forwarded"):
    """The forwarded message is committed. See message.ack."""


@command(
    ForwardMessage,
    result=Forwarded,
    cost=2,
    refuses=("not_found", "conflict", "blocked", "forbidden"),
    http="POST /v1/conversations/{conversation}/forward",
)
async def forward_message(ctx: Ctx, cmd: ForwardMessage) -> Effects:
    """`conflict`: the message was deleted or is a system message, or the `client_id` was used in another conversation.
    Otherwise as message.send.
    """
    content = await original(ctx, cmd)
    screened = await screen(ctx, cmd.conversation, cmd.client_id, content.text, content.attachments)
    ack = partial(ack_of, Forwarded, cmd.client_id, content.text, screened.text)
    content = replace(content, text=screened.text, attachments=screened.attachments)
    return [append(ctx, cmd.conversation, cmd.client_id, content, ack)]


async def original(ctx: Ctx, cmd: ForwardMessage) -> Content:
    """The content to forward; empty if it was forwarded before, because the message may have been deleted since.

    Raises Refused.
    """
    row = await ctx.node.db.one(SQL.original, ctx.tenant, cmd.source, ctx.user, cmd.message)
    if row is not None and row["deleted_at"] is None and row["system"] is None:
        sender = ctx.user if row["author"] == ctx.user else row["sender"]
        first = row["forwarded"] or {"sender": sender, "created_at": row["created_at"]}
        return Content(row["text"], attachments_in(row["attachments"]), forwarded=first)
    if await is_known(ctx, cmd.client_id):
        return DONE
    if row is None:
        raise Refused("not_found", "$.message: no such message")
    raise Refused("conflict", "$.message: deleted messages and system messages cannot be forwarded")
