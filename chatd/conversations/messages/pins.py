"""Messages that are pinned in a conversation, for all its members."""

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToConversation
from chatd.app.registry import Needs, command
from chatd.conversations.effects import told_message, told_update
from chatd.conversations.entities import Message
from chatd.conversations.log.transaction import Change, change
from chatd.conversations.permissions import Right
from chatd.conversations.read_model import message_of
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.wire.base import Command, Id, Ok, Result

SQL = queries.load("conversations/pins")
MOST = 100


class PinMessage(Command, tag="message.pin"):
    """Pin a message for all members."""

    conversation: Id
    message: Id


@command(
    PinMessage,
    result=Ok,
    refuses=("not_found", "forbidden", "conflict", "too_large", "blocked"),
    http="PUT /v1/conversations/{conversation}/messages/{message}/pin",
    lasting=True,
)
async def pin_message(ctx: Ctx, cmd: PinMessage) -> Effects:
    """Refused `conflict` for a deleted message, `too_large` for too many."""
    return [*await set_pin(ctx, cmd.conversation, cmd.message, on=True), Reply(Ok())]


class UnpinMessage(Command, tag="message.unpin"):
    """Take the pin back."""

    conversation: Id
    message: Id


@command(
    UnpinMessage,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="DELETE /v1/conversations/{conversation}/messages/{message}/pin",
    lasting=True,
)
async def unpin_message(ctx: Ctx, cmd: UnpinMessage) -> Effects:
    return [*await set_pin(ctx, cmd.conversation, cmd.message, on=False), Reply(Ok())]


async def set_pin(ctx: Ctx, conversation: str, message: str, *, on: bool) -> Effects:
    """Nothing happens where it is so already."""

    async def work(here: Change) -> Effects:
        row = await here.message(message)
        if (row["pinned_at"] is not None) == on:
            return []
        if on:
            await check_room(here, row["deleted_at"] is not None)
        await here.run(SQL.set, row["seq"], here.next_rev(), here.now if on else None)
        event = told_update(here, message_of(await here.message(message), here.files_url), "pin", on=on)
        update = ToConversation(conversation, event)
        if not on:
            return [update]
        return [update, told_message(conversation, await here.say({"act": "message.pinned", "message": message}))]

    return await change(ctx, conversation, work, Right.PIN, blocked=not on)


async def check_room(here: Change, deleted: bool) -> None:
    """Raises Refused."""
    if deleted:
        raise Refused("conflict", "the message was deleted")
    found = await here.one(SQL.count)
    if found is not None and found["found"] >= MOST:
        raise Refused("too_large", f"at most {MOST} pinned messages")


class ListPins(Command, tag="message.pins"):
    """What is pinned."""

    conversation: Id


class Pins(Result, tag="message.pins"):
    """Pinned messages, the latest pin first."""

    items: list[Message]


@command(
    ListPins,
    result=Pins,
    needs=Needs.MEMBER,
    refuses=("not_found",),
    http="GET /v1/conversations/{conversation}/pins",
)
async def list_pins(ctx: Ctx, cmd: ListPins) -> Effects:
    rows = await ctx.node.db.all(SQL.page, ctx.tenant, cmd.conversation, ctx.user, MOST)
    return [Reply(Pins(items=[message_of(row, ctx.files_url) for row in rows]))]
