"""Pinned messages of a conversation."""

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToConversation
from chatd.app.registry import Guard, command
from chatd.conversations.effects import message_event, update_event
from chatd.conversations.entities import Message
from chatd.conversations.log.transaction import ConversationTx, change_conversation
from chatd.conversations.permissions import Right
from chatd.conversations.read_model import message_of
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.wire.base import Command, Id, Ok, Result

SQL = queries.load("conversations/pins")
MAX_PINS = 100


class PinMessage(Command, tag="message.pin"):
    """Pin a message for all members."""

    conversation: Id
    message: Id


@command(
    PinMessage,
    result=Ok,
    refuses=("not_found", "forbidden", "conflict", "too_large", "blocked"),
    http="PUT /v1/conversations/{conversation}/messages/{message}/pin",
    uncancellable=True,
)
async def pin_message(ctx: Ctx, cmd: PinMessage) -> Effects:
    """`conflict`: the message was deleted. `too_large`: the conversation has 100 pinned messages."""
    return [*await set_pin(ctx, cmd.conversation, cmd.message, on=True), Reply(Ok())]


class UnpinMessage(Command, tag="message.unpin"):
    """Unpin a message."""

    conversation: Id
    message: Id


@command(
    UnpinMessage,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="DELETE /v1/conversations/{conversation}/messages/{message}/pin",
    uncancellable=True,
)
async def unpin_message(ctx: Ctx, cmd: UnpinMessage) -> Effects:
    return [*await set_pin(ctx, cmd.conversation, cmd.message, on=False), Reply(Ok())]


async def set_pin(ctx: Ctx, conversation: str, message: str, *, on: bool) -> Effects:
    return await change_conversation(ctx, conversation, write_pin, message, on, right=Right.PIN, allow_blocked=not on)


async def write_pin(tx: ConversationTx, message: str, on: bool) -> Effects:
    row = await tx.message(message)
    if (row["pinned_at"] is not None) == on:
        return []
    if on:
        await check_limit(tx, row["deleted_at"] is not None)
    await tx.run(SQL.set, row["seq"], tx.next_rev(), tx.now if on else None)
    event = update_event(tx, message_of(await tx.message(message), tx.files_url), "pin", on=on)
    update = ToConversation(tx.conversation, event)
    if not on:
        return [update]
    announcement = await tx.add_system_message({"act": "message.pinned", "message": message})
    return [update, message_event(tx.conversation, announcement)]


async def check_limit(tx: ConversationTx, deleted: bool) -> None:
    """Check that a message can be pinned. Raises Refused: `conflict`, `too_large`."""
    if deleted:
        raise Refused("conflict", "the message was deleted")
    found = await tx.one(SQL.count)
    if found is not None and found["found"] >= MAX_PINS:
        raise Refused("too_large", f"a conversation has at most {MAX_PINS} pinned messages: unpin one first")


class ListPins(Command, tag="message.pins"):
    """List the pinned messages of a conversation."""

    conversation: Id


class Pins(Result, tag="message.pins"):
    """Pinned messages, the latest pin first."""

    items: list[Message]


@command(
    ListPins,
    result=Pins,
    guard=Guard.MEMBER,
    refuses=("not_found",),
    http="GET /v1/conversations/{conversation}/pins",
)
async def list_pins(ctx: Ctx, cmd: ListPins) -> Effects:
    rows = await ctx.node.db.all(SQL.page, ctx.tenant, cmd.conversation, ctx.user, MAX_PINS)
    return [Reply(Pins(items=[message_of(row, ctx.files_url) for row in rows]))]
