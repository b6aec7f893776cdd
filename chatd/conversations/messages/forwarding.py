"""Sending on what somebody said elsewhere. It says who wrote it first and when, and not in which conversation."""

from functools import partial

from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.app.effects import Effects
from chatd.app.registry import command
from chatd.conversations.attachment_types import attachments_in
from chatd.conversations.messages.screening import screened
from chatd.conversations.messages.sending import Committed, Content, ack_of, append, is_known
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.wire.base import ClientId, Command, Id

SQL = queries.load("conversations/forwarding")


class ForwardMessage(Command, tag="message.forward"):
    """Send a `message` of the conversation `source` into another one. As with message.send, again is the same."""

    conversation: Id
    client_id: ClientId
    source: Id
    message: Id


# The log knows the message by its client_id and repeats the first ack.
DONE = Content(forwarded={})


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
    content = await original(ctx, cmd)
    draft = await screened(ctx, cmd.conversation, cmd.client_id, content.text, content.attachments)
    ack = partial(ack_of, Forwarded, cmd.client_id, content.text, draft.text)
    content = replace(content, text=draft.text, attachments=draft.attachments)
    return [append(ctx, cmd.conversation, cmd.client_id, content, ack)]


async def original(ctx: Ctx, cmd: ForwardMessage) -> Content:
    """What is forwarded; nothing if that was done before, because the message may be gone by now. Raises Refused."""
    row = await ctx.node.db.one(SQL.original, ctx.tenant, cmd.source, ctx.user, cmd.message)
    if row is not None and row["deleted_at"] is None and row["system"] is None:
        first = row["forwarded"] or {"sender": row["sender"], "created_at": row["created_at"]}
        return Content(row["text"], attachments_in(row["attachments"]), forwarded=first)
    if await is_known(ctx, cmd.client_id):
        return DONE
    if row is None:
        raise Refused("not_found", "$.message: no such message")
    raise Refused("conflict", "$.message: there is nothing to forward")
