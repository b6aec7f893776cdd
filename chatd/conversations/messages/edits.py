"""Changing what was said: edits with their history, and deletion, for everybody or for oneself.

A deleted message leaves a tombstone: its place in the order stays, and everything it held is gone from the database, what it said
before edits too. Who comes back later gets the tombstone as its state.
"""

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToConversation, ToUser
from chatd.app.registry import Needs, command
from chatd.conversations.entities import Message
from chatd.conversations.log.transaction import Change, change
from chatd.conversations.messages.access import check_text, message_in, screened, told_update
from chatd.conversations.messages.deletion import bury
from chatd.conversations.permissions import Right
from chatd.conversations.read_model import message_of, page_of
from chatd.conversations.send_permission import check_may_say
from chatd.conversations.settings import MessageSettings
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.core.text_forms import is_blank
from chatd.db import queries
from chatd.db.postgres import Row
from chatd.wire.base import Command, Cursor, Event, Id, Limit, Millis, Ok, Result
from chatd.wire.connection_events import SessionBehind
from chatd.wire.texts import MESSAGE

SQL = queries.load("conversations/edits")
MINUTE_MS = 60_000
CURSOR = re.compile("[0-9]{1,18}")
Told = tuple[Message, Event]


class MessageResult(Result, tag="message"):
    """A message as it is now."""

    message: Message


class EditMessage(Command, tag="message.edit"):
    """Say it in other words. Only who wrote it may, as long as `messages.edit_window` lasts.

    A tombstone stays one, and what was forwarded stays as it was said.
    """

    conversation: Id
    message: Id
    text: Annotated[str, Meta(min_length=1, extra=MESSAGE)]


@command(
    EditMessage,
    result=MessageResult,
    refuses=("not_found", "forbidden", "conflict", "too_large", "blocked"),
    http="PATCH /v1/conversations/{conversation}/messages/{message}",
    lasting=True,
)
async def edit_message(ctx: Ctx, cmd: EditMessage) -> Effects:
    """Refused `forbidden` for a message of somebody else, a forwarded or too old a one, `conflict` for a deleted one.

    `too_large` after `messages.edits` of them, `rate_limited` after `messages.edits_per_minute`. Where only announcements are
    allowed, and in slow mode, an edit is refused as a message would be.
    """
    check_text(ctx.node.config, cmd.text)
    if is_blank(cmd.text):
        raise Refused("bad_request", "$.text: expected a visible character; to remove the message, delete it")
    text = (await screened(ctx, cmd.conversation, f"edit-{uuid7(ctx.now)}", cmd.text)).text

    async def work(here: Change) -> Told:
        row = await message_in(here, cmd.message)
        check_edit(ctx, row)
        await check_pace(here, row["seq"], ctx.node.config.get(MessageSettings))
        await check_may_say(here)
        await here.run(SQL.keep_edit, row["seq"], row["rev"], here.now)
        await here.run(SQL.edit, row["seq"], here.next_rev(), text, here.now)
        message = message_of(await message_in(here, cmd.message), here.files_url)
        return message, told_update(here, message, "edit")

    message, event = await change(ctx, cmd.conversation, work)
    return [ToConversation(cmd.conversation, event), Reply(MessageResult(message=message))]


def check_edit(ctx: Ctx, row: Row) -> None:
    """Raises Refused."""
    if row["author"] != ctx.user or row["system"] is not None:
        raise Refused("forbidden", "only who wrote a message can edit it")
    if row["deleted_at"] is not None:
        raise Refused("conflict", "the message was deleted")
    if row["forwarded"] is not None:
        raise Refused("forbidden", "a forwarded message says what somebody else has said")
    window = ctx.node.config.get(MessageSettings).edit_window
    if window and ctx.now - row["created_at"] > window * 1000:
        raise Refused("forbidden", "the message is too old to be edited")


async def check_pace(here: Change, seq: int, settings: MessageSettings) -> None:
    """Raises Refused: `too_large`, `rate_limited`. Each form is kept, so that there must not be many of them."""
    row = await here.one(SQL.edited_so_far, seq, here.now - MINUTE_MS)
    assert row is not None
    if row["total"] >= settings.edits:
        raise Refused("too_large", f"a message can be edited {settings.edits} times")
    if row["lately"] >= settings.edits_per_minute:
        wait = max(1.0, (row["first"] + MINUTE_MS - here.now) / 1000)
        raise Refused("rate_limited", "this message was edited too often in a minute", retry_after=wait)


class DeleteMessage(Command, tag="message.delete"):
    """Take a message back: for everybody (a tombstone stays), or only for oneself (it is hidden on all own devices)."""

    conversation: Id
    message: Id
    scope: Literal["all", "me"] = "all"


@command(
    DeleteMessage,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="DELETE /v1/conversations/{conversation}/messages/{message}",
    lasting=True,
)
async def delete_message(ctx: Ctx, cmd: DeleteMessage) -> Effects:
    """Refused `forbidden` for a message of somebody else, but for those with the right. Deleting it again is fine."""
    if cmd.scope == "me":
        return await hide(ctx, cmd)

    async def work(here: Change) -> Told | None:
        row = await message_in(here, cmd.message)
        if row["author"] != ctx.user or row["system"] is not None:
            here.check(Right.DELETE_ANY)
        if row["deleted_at"] is not None:
            return None
        (message,) = await bury(here, [row["seq"]])
        return message, told_update(here, message, "delete")

    done = await change(ctx, cmd.conversation, work, blocked=True)
    return [*([ToConversation(cmd.conversation, done[1])] if done else []), Reply(Ok())]


async def hide(ctx: Ctx, cmd: DeleteMessage) -> Effects:
    """From the asker alone."""
    seq = await ctx.node.db.value(SQL.hide, ctx.tenant, cmd.conversation, ctx.user, cmd.message)
    if seq is None:
        raise Refused("not_found", "no such message")
    return [Reply(Ok()), ToUser(ctx.user, SessionBehind(), but=ctx.session)]


class Edit(Struct, kw_only=True, frozen=True):
    """What a message said until `until`."""

    text: str | None
    until: Millis


class MessageEdits(Command, tag="message.edits"):
    """What a message said before, the oldest first, for those whom `messages.edit_history` lets see it.

    `cursor` from the page before.
    """

    conversation: Id
    message: Id
    cursor: Cursor | None = None
    limit: Limit = 50


class Edits(Result, tag="message.edits"):
    """A page of the earlier forms of a message. `cursor` is null on the last one."""

    items: list[Edit]
    cursor: str | None


@command(
    MessageEdits,
    result=Edits,
    needs=Needs.MEMBER,
    refuses=("not_found", "forbidden"),
    http="GET /v1/conversations/{conversation}/messages/{message}/edits",
)
async def message_edits(ctx: Ctx, cmd: MessageEdits) -> Effects:
    """Refused `forbidden` where earlier forms are not for the asker."""
    sender = await ctx.node.db.value(SQL.sender, ctx.tenant, cmd.conversation, ctx.user, cmd.message)
    if sender is None:
        raise Refused("not_found", "no such message")
    seen_by = ctx.node.config.get(MessageSettings).edit_history
    if seen_by == "nobody" or (seen_by == "sender" and sender != ctx.user):
        raise Refused("forbidden", "earlier forms of messages are not shown here")
    after = read_cursor(cmd.cursor)
    rows = await ctx.node.db.all(SQL.edits, ctx.tenant, cmd.conversation, cmd.message, after, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    items = [Edit(text=row["text"], until=row["until"]) for row in page]
    return [Reply(Edits(items=items, cursor=str(page[-1]["rev"]) if more else None))]


def read_cursor(cursor: str | None) -> int:
    """The rev of the last form of the page before. Raises Refused: `bad_request`."""
    if cursor is None:
        return 0
    if CURSOR.fullmatch(cursor) is None:
        raise Refused("bad_request", "$.cursor: not a cursor of message.edits")
    return int(cursor)
