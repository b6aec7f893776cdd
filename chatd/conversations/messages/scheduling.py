"""Schedules, changes and cancels messages. `scheduler.py` sends them at their time."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, ValidationError, convert
from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToUser
from chatd.app.registry import Guard, command
from chatd.conversations.attachment_types import AttachmentInput
from chatd.conversations.entities import Json
from chatd.conversations.messages.sending import MessageInput, MessageText, check
from chatd.conversations.settings import MessageSettings
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.db.postgres import ForeignKeyViolation, Row, Tx
from chatd.wire.base import ClientId, Command, Id, Limit, Millis, Ok, Result
from chatd.wire.connection_events import SessionBehind
from chatd.wire.times import TIME

SQL = queries.load("conversations/scheduling")
MAX_AHEAD_MS = 366 * 86_400_000
At = Annotated[
    int, Meta(ge=0, le=2**53 - 1, extra=TIME, description="Milliseconds since 1970 UTC, at most a year ahead")
]


class ScheduleMessage(MessageInput, tag="message.schedule", kw_only=True):
    """Send a message at a later time. The fields are those of message.send; the permission to send is checked at that
    time.

    It is sent exactly once, under this `client_id`. Scheduling it again gives the same answer and no second message.
    """

    at: At


class Scheduled(Result, tag="message.scheduled"):
    """The message will be sent at the time `at`, or as soon after it as the server runs."""

    id: Id
    at: Millis


@command(
    ScheduleMessage,
    result=Scheduled,
    guard=Guard.MEMBER,
    cost=2,
    refuses=("not_found", "conflict", "too_large"),
    http="POST /v1/conversations/{conversation}/scheduled",
)
async def schedule_message(ctx: Ctx, cmd: ScheduleMessage) -> Effects:
    """`conflict`: a message with this client_id was already sent. `too_large`: the text is too long, or too many
    messages are scheduled (`messages.scheduled_per_user`).
    """
    known = await ctx.node.db.one(SQL.find_by_client_id, ctx.tenant, ctx.user, cmd.client_id)
    if known is None:
        check_time(ctx, cmd.at)
        await check(ctx, cmd)
        known = await store(ctx, cmd)
    return [scheduled_reply(known), *sync_other_devices(ctx)]


def check_time(ctx: Ctx, at: int) -> None:
    """Check the time of a scheduled message. Raises Refused: `bad_request`."""
    if not ctx.now < at <= ctx.now + MAX_AHEAD_MS:
        raise Refused(
            "bad_request", "$.at: expected a time in the future, at most a year ahead, in milliseconds since 1970"
        )


def scheduled_reply(row: Row) -> Reply:
    """The answer about a stored message. Raises Refused: `conflict`."""
    if row["sent"]:
        raise Refused("conflict", "$.client_id: a message with this client_id was already sent")
    return Reply(Scheduled(id=row["id"], at=row["due_at"]))


def sync_other_devices(ctx: Ctx) -> Effects:
    return [ToUser(ctx.user, SessionBehind(), ctx.origin)]


async def store(ctx: Ctx, cmd: ScheduleMessage) -> Row:
    """Store a scheduled message. Returns the stored one if it was stored before. Raises Refused: `too_large`,
    `not_found`.
    """
    try:
        return await ctx.node.db.in_transaction(insert_scheduled, ctx, cmd)
    except ForeignKeyViolation:
        raise Refused("not_found", "no such conversation") from None


async def insert_scheduled(tx: Tx, ctx: Ctx, cmd: ScheduleMessage) -> Row:
    """Insert a scheduled message. Returns the stored one if it was stored before. Raises Refused: `too_large`;
    ForeignKeyViolation.
    """
    key, most = (ctx.tenant, ctx.user), ctx.node.config.get(MessageSettings).scheduled_per_user
    await tx.run(SQL.lock_user, *key)
    known = await tx.one(SQL.find_by_client_id, *key, cmd.client_id)
    if known is not None:
        return known
    if await tx.value(SQL.count, *key) >= most:
        raise Refused("too_large", f"you can schedule at most {most} messages: cancel one first")
    row = (uuid7(ctx.now), cmd.conversation, ctx.user, cmd.client_id, to_body(cmd), cmd.at, ctx.now, uploads_of(cmd))
    await tx.run(SQL.add, ctx.tenant, *row)
    added = await tx.one(SQL.find_by_client_id, *key, cmd.client_id)
    assert added is not None
    return added


def uploads_of(out: MessageInput) -> list[str]:
    """The uploads it names: they are in use until it is sent."""
    return [one.upload for one in out.attachments if one.upload is not None]


def to_body(out: MessageInput) -> Json:
    """The stored form of a message."""
    names = ("text", "attachments", "reply_to", "meta", "mentions", "everybody", "thread")
    return {name: getattr(out, name) for name in names}


def to_input(conversation: str, client_id: str, body: Json) -> MessageInput:
    """The message of a stored form. Raises ValidationError."""
    return convert({"conversation": conversation, "client_id": client_id, **body}, MessageInput)


def to_input_or_empty(conversation: str, client_id: str, body: Any) -> MessageInput:
    """Like `to_input`. A stored form that cannot be read, because another program wrote it, gives an empty message."""
    try:
        return to_input(conversation, client_id, body)
    except (ValidationError, TypeError):
        return MessageInput(conversation=conversation, client_id=client_id)


class ScheduledMessage(Struct, kw_only=True, frozen=True):
    """A message that will be sent at the time `at`, with its attachments as the client named them.

    `failed`: the code of the refusal at that time; null while it waits.
    """

    id: Id
    conversation: Id
    client_id: ClientId
    text: str | None
    attachments: list[AttachmentInput]
    reply_to: Id | None
    meta: Json | None
    mentions: list[Id]
    everybody: bool
    at: Millis
    failed: str | None
    created_at: Millis
    thread: Id | UnsetType = UNSET


def scheduled_of(row: Row) -> ScheduledMessage:
    names = ("id", "conversation", "client_id", "failed", "created_at")
    body = to_body(to_input_or_empty(row["conversation"], row["client_id"], row["body"]))
    body["thread"] = body["thread"] or UNSET
    return ScheduledMessage(**{name: row[name] for name in names}, **body, at=row["due_at"])


class ListScheduled(Command, tag="schedule.list"):
    """List the scheduled messages of the requester. `cursor`: from the page before."""

    cursor: Id | None = None
    limit: Limit = 100


class ScheduledMessages(Result, tag="schedule.list"):
    """Scheduled messages, in the order in which they were scheduled. `cursor` is null on the last page."""

    items: list[ScheduledMessage]
    cursor: Id | None


@command(ListScheduled, result=ScheduledMessages, http="GET /v1/scheduled")
async def list_scheduled(ctx: Ctx, cmd: ListScheduled) -> Effects:
    rows = await ctx.node.db.all(SQL.page, ctx.tenant, ctx.user, cmd.cursor, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    items = [scheduled_of(row) for row in page]
    return [Reply(ScheduledMessages(items=items, cursor=items[-1].id if more else None))]


class CancelScheduled(Command, tag="schedule.cancel"):
    """Cancel a scheduled message."""

    id: Id


@command(CancelScheduled, result=Ok, refuses=("not_found", "conflict"), http="DELETE /v1/scheduled/{id}")
async def cancel_scheduled(ctx: Ctx, cmd: CancelScheduled) -> Effects:
    """`conflict`: the message is being sent. `not_found`: it was sent already, or does not exist."""
    await ctx.node.db.in_transaction(remove_scheduled, ctx, cmd.id)
    return [Reply(Ok()), *sync_other_devices(ctx)]


async def remove_scheduled(tx: Tx, ctx: Ctx, id_: str) -> None:
    """Remove a scheduled message of the requester. Raises Refused: as `lock_scheduled`."""
    await lock_scheduled(tx, ctx, id_)
    await tx.run(SQL.cancel, ctx.tenant, ctx.user, id_)


async def lock_scheduled(tx: Tx, ctx: Ctx, id_: str) -> Row:
    """Lock a scheduled message of the requester. Raises Refused: `not_found`, `conflict` while it is being sent."""
    row: Row | None = await tx.one(SQL.lock_message, ctx.tenant, ctx.user, id_)
    if row is None:
        raise Refused("not_found", "$.id: no such scheduled message")
    if row["sent"]:
        raise Refused("conflict", "$.id: this message is being sent")
    return row


class EditScheduled(Command, tag="schedule.edit"):
    """Change the text or the time of a scheduled message, or both. A failed one is scheduled again."""

    id: Id
    text: MessageText | UnsetType | None = UNSET
    at: At | None = None


class ScheduleResult(Result, tag="schedule.edit"):
    """The scheduled message as it is now."""

    scheduled: ScheduledMessage


@command(
    EditScheduled,
    result=ScheduleResult,
    refuses=("not_found", "conflict", "too_large"),
    http="PATCH /v1/scheduled/{id}",
)
async def edit_scheduled(ctx: Ctx, cmd: EditScheduled) -> Effects:
    """`conflict`: the message is being sent. A failed message needs a time in the future."""
    row = await ctx.node.db.in_transaction(lock_scheduled, ctx, cmd.id)
    out = to_input_or_empty(row["conversation"], row["client_id"], row["body"])
    if cmd.text is not UNSET:
        out = replace(out, text=cmd.text)
    at = row["due_at"] if cmd.at is None else cmd.at
    check_time(ctx, at)
    await check(ctx, out)
    changed = await ctx.node.db.in_transaction(update_scheduled, ctx, cmd.id, to_body(out), at)
    return [Reply(ScheduleResult(scheduled=scheduled_of(changed))), *sync_other_devices(ctx)]


async def update_scheduled(tx: Tx, ctx: Ctx, id_: str, body: Json, at: int) -> Row:
    """Change a scheduled message. Returns it as it is now. Raises Refused: as `lock_scheduled`."""
    await lock_scheduled(tx, ctx, id_)
    await tx.run(SQL.edit, ctx.tenant, ctx.user, id_, body, at)
    return await lock_scheduled(tx, ctx, id_)
