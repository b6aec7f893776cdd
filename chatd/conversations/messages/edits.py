"""Edits with their history, and deletion: for all members, or for the requester only.

A deleted message leaves a tombstone: its place in the order stays, and its content is removed, earlier versions
included. Clients that reconnect later get the tombstone as its state.
"""

import re
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, SendSignal, ToConversation, ToUser
from chatd.app.registry import Guard, command
from chatd.conversations.button_types import Button, Buttons
from chatd.conversations.effects import update_event
from chatd.conversations.entities import Message
from chatd.conversations.log.transaction import ConversationTx, change_conversation
from chatd.conversations.messages.buttons import ONLY_BOTS, checked, stored_buttons
from chatd.conversations.messages.deletion import delete_messages, deletion_events
from chatd.conversations.messages.screening import screen
from chatd.conversations.messages.sending import MAX_MENTIONS, check_mentions, check_payload, check_text, existing
from chatd.conversations.permissions import Right
from chatd.conversations.read_model import message_of
from chatd.conversations.settings import MessageSettings
from chatd.conversations.signals import MessageEdited
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.core.text_forms import is_blank
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.db.postgres import Row
from chatd.wire.base import Command, Cursor, Event, Id, Limit, Millis, Ok, Result
from chatd.wire.connection_events import SessionBehind
from chatd.wire.reference.examples import Example
from chatd.wire.texts import MESSAGE

SQL = queries.load("conversations/edits")
MINUTE_MS = 60_000
CURSOR = re.compile("[0-9]{1,18}")


class MessageResult(Result, tag="message"):
    """A message as it is now."""

    message: Message


EditedText = Annotated[str, Meta(min_length=1, extra=MESSAGE)]


class EditMessage(Command, tag="message.edit"):
    """Change the text of a message that the requester has sent, within `messages.edit_window`.

    `mentions`, `everybody`: who is mentioned now, as in message.send; omitted fields stay unchanged. `actions`: the
    buttons of a message of a bot, an empty list for none; with them, `text` may be omitted, and `messages.edit_window`
    does not apply. Deleted and forwarded messages and polls cannot be edited.
    """

    conversation: Id
    message: Id
    text: EditedText | None = None
    mentions: Annotated[list[Id], Meta(max_length=MAX_MENTIONS)] | None = None
    everybody: bool | None = None
    actions: Buttons | None = None
    EXAMPLE: ClassVar = Example(shown=("text",))


@command(
    EditMessage,
    result=MessageResult,
    refuses=("not_found", "forbidden", "conflict", "too_large", "blocked"),
    http="PATCH /v1/conversations/{conversation}/messages/{message}",
    uncancellable=True,
)
async def edit_message(ctx: Ctx, cmd: EditMessage) -> Effects:
    """`forbidden`: another user has sent the message, it was forwarded, is a poll, or is too old; or a filter refuses
    the text, the requester may not mention everybody, or is no bot and sends `actions`. `conflict`: the message was
    deleted. `too_large`: it was edited `messages.edits` times, or its buttons are too large. `rate_limited`: more than
    `messages.edits_per_minute`. Slow mode and announcement mode apply as to a new message, except to the removal of
    buttons.
    """
    check_new_content(ctx, cmd.text, cmd.actions)
    if cmd.text is None and (cmd.mentions is not None or cmd.everybody is not None):
        raise Refused("bad_request", "$.text: expected the text in which users are mentioned")
    mentions = None
    if cmd.mentions is not None:
        check_mentions(cmd.mentions)
        mentions = list((await existing(ctx, cmd.conversation, cmd.mentions)).values())
    actions = None if cmd.actions is None else checked(cmd.actions)
    screened = await screen(ctx, cmd.conversation, f"edit-{uuid7(ctx.now)}", cmd.text, actions=actions or ())
    new = NewContent(screened.text, mentions, cmd.everybody, None if actions is None else screened.actions)
    edited = await change_conversation(ctx, cmd.conversation, write_edit, ctx, cmd.message, new)
    return edit_effects(edited)


def check_new_content(ctx: Ctx, text: str | None, actions: list[list[Button]] | None) -> None:
    """Check the new text and the new buttons of a message, None for no change. Raises Refused: `bad_request`,
    `too_large`.
    """
    if text is None and actions is None:
        raise Refused("bad_request", "$: expected text or actions")
    if text is not None:
        check_text(ctx.node.config, text)
        if is_blank(text):
            raise Refused("bad_request", "$.text: expected a visible character; to remove the message, delete it")
    check_payload(ctx.node.config, actions)


class Edited(Struct, frozen=True):
    """An edit, and the event for the members."""

    signal: MessageEdited
    event: Event


def edit_effects(edited: Edited) -> Effects:
    signal = edited.signal
    return [
        ToConversation(signal.conversation, edited.event),
        SendSignal(signal),
        Reply(MessageResult(message=signal.message)),
    ]


class NewContent(Struct, frozen=True):
    """What an edit changes; None: nothing. `mentions`: user ids."""

    text: str | None
    mentions: list[str] | None = None
    everybody: bool | None = None
    actions: list[list[Button]] | None = None


async def write_edit(tx: ConversationTx, ctx: Ctx, message: str, new: NewContent) -> Edited:
    """Store the new content of a message. Raises Refused: `not_found`, `forbidden`, `conflict`, `too_large`,
    `rate_limited`, `blocked`.
    """
    row = await tx.message(message)
    check_edit(ctx, row, is_text=new.text is not None)
    if new.text is not None:
        await check_pace(tx, row["seq"], ctx.node.config.get(MessageSettings))
    if new.text is not None or new.actions:
        await tx.check_may_send(everybody=bool(new.everybody) and not row["mentions_everybody"])
    return await store_content(tx, row, new)


async def store_content(tx: ConversationTx, row: Row, new: NewContent) -> Edited:
    """Replace the content of a message, and keep the present text as an earlier version. Raises Refused: `forbidden`
    for buttons of an author who is no bot.
    """
    rev = tx.next_rev()
    if new.text is not None:
        await tx.run(SQL.insert_edit, row["seq"], row["rev"], tx.now)
        await tx.run(SQL.set_text, row["seq"], rev, new.text, tx.now)
    if new.actions is not None:
        if await tx.one(SQL.author_is_bot, row["seq"]) is None:
            raise Refused("forbidden", ONLY_BOTS)
        await tx.run(SQL.set_actions, row["seq"], rev, stored_buttons(new.actions))
    if new.mentions is not None or new.everybody is not None:
        await tx.run(SQL.set_mentions, row["seq"], new.mentions, new.everybody)
        if row["thread"] is not None:
            await tx.run(SQL.follow_thread, row["seq"], tx.now)
    edited = message_of(await tx.message(row["id"]), tx.files_url)
    signal = MessageEdited(tx.tenant, tx.conversation, tx.locked.kind, edited)
    return Edited(signal, update_event(tx, edited, "actions" if new.text is None else "edit"))


def check_edit(ctx: Ctx, row: Row, *, is_text: bool) -> None:
    """Check that the requester may edit the message. Raises Refused: `forbidden`, `conflict`."""
    if row["author"] != ctx.user or row["system"] is not None:
        raise Refused("forbidden", "you can only edit messages that you have sent")
    check_editable(row)
    window = ctx.node.config.get(MessageSettings).edit_window
    if is_text and window and ctx.now - row["created_at"] > window * 1000:
        raise Refused("forbidden", "the message is too old to be edited")


def check_editable(row: Row) -> None:
    """Check that the message has a text of its own. Raises Refused: `forbidden`, `conflict`."""
    if row["deleted_at"] is not None:
        raise Refused("conflict", "the message was deleted")
    if row["forwarded"] is not None:
        raise Refused("forbidden", "forwarded messages cannot be edited")
    if row["poll"] is not None:
        raise Refused("forbidden", "polls cannot be edited: users have voted on this question")


async def check_pace(tx: ConversationTx, seq: int, settings: MessageSettings) -> None:
    """Check the number and the rate of edits of a message. Raises Refused: `too_large`, `rate_limited`. Every earlier
    version is kept, so their number is bounded.
    """
    row = await tx.one(SQL.edit_counts, seq, tx.now - MINUTE_MS)
    assert row is not None
    if row["total"] >= settings.edits:
        raise Refused("too_large", f"a message can be edited at most {settings.edits} times")
    if row["recent"] >= settings.edits_per_minute:
        wait = max(1.0, (row["first"] + MINUTE_MS - tx.now) / 1000)
        raise Refused("rate_limited", "this message was edited too often within a minute", retry_after=wait)


class DeleteMessage(Command, tag="message.delete"):
    """Delete a message: for all members (a tombstone stays), or hide it on all devices of the requester only."""

    conversation: Id
    message: Id
    scope: Literal["all", "me"] = "all"


@command(
    DeleteMessage,
    result=Ok,
    refuses=("not_found", "forbidden"),
    http="DELETE /v1/conversations/{conversation}/messages/{message}",
    uncancellable=True,
)
async def delete_message(ctx: Ctx, cmd: DeleteMessage) -> Effects:
    """`forbidden`: another user has sent the message, and the requester may not delete messages of others. Deleting a
    deleted message changes nothing.
    """
    if cmd.scope == "me":
        return await hide(ctx, cmd)
    deleted = await change_conversation(ctx, cmd.conversation, delete_for_all, cmd.message, allow_blocked=True)
    return [*deleted, Reply(Ok())]


async def delete_for_all(tx: ConversationTx, message: str) -> Effects:
    """Delete a message for all members. Raises Refused: `not_found`, `forbidden`."""
    row = await tx.message(message)
    if row["author"] != tx.user or row["system"] is not None:
        tx.check(Right.DELETE_ANY)
    if row["deleted_at"] is not None:
        return []
    return deletion_events(tx, await delete_messages(tx, [row["seq"]]), "delete")


async def hide(ctx: Ctx, cmd: DeleteMessage) -> Effects:
    """Hide a message from the requester."""
    seq = await ctx.node.db.value(SQL.hide_message, ctx.tenant, cmd.conversation, ctx.user, cmd.message)
    if seq is None:
        raise Refused("not_found", "no such message")
    return [Reply(Ok()), ToUser(ctx.user, SessionBehind(), ctx.origin)]


class Edit(Struct, kw_only=True, frozen=True):
    """The text of a message until the time `until`."""

    text: str | None
    until: Millis


class MessageEdits(Command, tag="message.edits"):
    """Get the earlier versions of a message, the oldest first. `messages.edit_history` decides who may.

    `cursor`: from the page before.
    """

    conversation: Id
    message: Id
    cursor: Cursor | None = None
    limit: Limit = 50


class Edits(Result, tag="message.edits"):
    """A page of earlier versions of a message. `cursor` is null on the last page."""

    items: list[Edit]
    cursor: str | None


@command(
    MessageEdits,
    result=Edits,
    guard=Guard.MEMBER,
    refuses=("not_found", "forbidden"),
    http="GET /v1/conversations/{conversation}/messages/{message}/edits",
)
async def message_edits(ctx: Ctx, cmd: MessageEdits) -> Effects:
    """`forbidden`: the configuration does not show earlier versions to the requester."""
    sender = await ctx.node.db.value(SQL.visible_sender, ctx.tenant, cmd.conversation, ctx.user, cmd.message)
    if sender is None:
        raise Refused("not_found", "no such message")
    seen_by = ctx.node.config.get(MessageSettings).edit_history
    if seen_by == "nobody" or (seen_by == "sender" and sender != ctx.user):
        raise Refused("forbidden", "this server does not show you earlier versions of messages")
    after = read_cursor(cmd.cursor)
    rows = await ctx.node.db.all(SQL.page, ctx.tenant, cmd.conversation, cmd.message, after, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    items = [Edit(text=row["text"], until=row["until"]) for row in page]
    return [Reply(Edits(items=items, cursor=str(page[-1]["rev"]) if more else None))]


def read_cursor(cursor: str | None) -> int:
    """The rev of the last version on the page before. Raises Refused: `bad_request`."""
    if cursor is None:
        return 0
    if CURSOR.fullmatch(cursor) is None:
        raise Refused("bad_request", "$.cursor: expected a cursor from message.edits")
    return int(cursor)
