"""Messages that are sent later. See chatd/conversations/messages/scheduler.py for how they are."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToUser
from chatd.app.registry import Needs, command
from chatd.conversations.attachment_types import AttachmentInput
from chatd.conversations.entities import Json
from chatd.conversations.messages.scheduler import body_of, readable
from chatd.conversations.messages.sending import MessageText, Outgoing, check
from chatd.conversations.read_model import page_of
from chatd.conversations.settings import MessageSettings
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import ForeignKeyViolation, Row, Tx
from chatd.wire.base import ClientId, Command, Id, Limit, Millis, Ok, Result
from chatd.wire.connection_events import SessionBehind
from chatd.wire.times import TIME

SQL = queries.load("conversations/scheduling")
# Milliseconds.
LONGEST = 366 * 86_400_000
At = Annotated[int, Meta(ge=0, le=2**53 - 1, extra=TIME, description="Milliseconds since 1970 UTC, at most a year ahead")]


class ScheduleMessage(Outgoing, tag="message.schedule", kw_only=True):
    """Send this at a later time. The fields are those of message.send; whether it may be sent is judged again at that time.

    It is sent exactly once, under this `client_id`; scheduling it again gives the same answer and no second message.
    """

    at: At


class Scheduled(Result, tag="message.scheduled"):
    """It will be sent at this time, or as soon after it as the server runs."""

    id: Id
    at: Millis


@command(
    ScheduleMessage,
    result=Scheduled,
    needs=Needs.MEMBER,
    cost=2,
    refuses=("not_found", "conflict", "too_large"),
    http="POST /v1/conversations/{conversation}/scheduled",
)
async def schedule_message(ctx: Ctx, cmd: ScheduleMessage) -> Effects:
    """Refused `conflict` for a client_id that was sent already, `too_large` for too long a text, or for too many."""
    known = await ctx.node.db.one(SQL.known, ctx.tenant, ctx.user, cmd.client_id)
    if known is None:
        check_time(ctx, cmd.at)
        await check(ctx, cmd)
        known = await keep(ctx, cmd)
    return [told_known(known), *others(ctx)]


def check_time(ctx: Ctx, at: int) -> None:
    """Raises Refused: `bad_request`."""
    if not ctx.now < at <= ctx.now + LONGEST:
        raise Refused("bad_request", "$.at: expected a time to come within a year, in milliseconds")


def told_known(row: Row) -> Reply:
    """Raises Refused: `conflict`."""
    if row["sent"]:
        raise Refused("conflict", "$.client_id: a message with it was sent already")
    return Reply(Scheduled(id=row["id"], at=row["due_at"]))


def others(ctx: Ctx) -> Effects:
    """The own other devices look again."""
    return [ToUser(ctx.user, SessionBehind(), but=ctx.session)]


async def keep(ctx: Ctx, cmd: ScheduleMessage) -> Row:
    """What is known of it then, also when somebody was faster. Raises Refused: `too_large`, `not_found`."""
    tenant, user, most = ctx.tenant, ctx.user, ctx.node.config.get(MessageSettings).scheduled_per_user
    row = (uuid7(ctx.now), cmd.conversation, user, cmd.client_id, body_of(cmd), cmd.at, ctx.now, uploads_of(cmd))

    async def work(tx: Tx) -> Row:
        await tx.run(SQL.hold, tenant, user)
        known: Row | None = await tx.one(SQL.known, tenant, user, cmd.client_id)
        if known is not None:
            return known
        if await tx.value(SQL.count, tenant, user) >= most:
            raise Refused("too_large", f"at most {most} messages can be scheduled")
        await tx.run(SQL.add, tenant, *row)
        added = await tx.one(SQL.known, tenant, user, cmd.client_id)
        assert added is not None
        return added

    try:
        return await ctx.node.db.in_transaction(work)
    except ForeignKeyViolation:
        raise Refused("not_found", "no such conversation") from None


def uploads_of(out: Outgoing) -> list[str]:
    """The files that it names: they are in use until it is sent."""
    return [one.upload for one in out.attachments if one.upload is not None]


class ScheduledMessage(Struct, kw_only=True, frozen=True):
    """A message that is to be sent `at` a time, with its attachments as they were named.

    `failed`: the code with which it was refused then; null as long as it waits.
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


def scheduled_of(row: Row) -> ScheduledMessage:
    names = ("id", "conversation", "client_id", "failed", "created_at")
    body = body_of(readable(row["conversation"], row["client_id"], row["body"]))
    return ScheduledMessage(**{name: row[name] for name in names}, **body, at=row["due_at"])


class ListScheduled(Command, tag="schedule.list"):
    """What one has scheduled and was not sent yet. `cursor` from the page before."""

    cursor: Id | None = None
    limit: Limit = 100


class ScheduledMessages(Result, tag="schedule.list"):
    """In the order in which they were scheduled. `cursor` is null on the last page."""

    items: list[ScheduledMessage]
    cursor: Id | None


@command(ListScheduled, result=ScheduledMessages, http="GET /v1/scheduled")
async def list_scheduled(ctx: Ctx, cmd: ListScheduled) -> Effects:
    rows = await ctx.node.db.all(SQL.page, ctx.tenant, ctx.user, cmd.cursor, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    items = [scheduled_of(row) for row in page]
    return [Reply(ScheduledMessages(items=items, cursor=items[-1].id if more else None))]


class CancelScheduled(Command, tag="schedule.cancel"):
    """Do not send it."""

    id: Id


@command(CancelScheduled, result=Ok, refuses=("not_found", "conflict"), http="DELETE /v1/scheduled/{id}")
async def cancel_scheduled(ctx: Ctx, cmd: CancelScheduled) -> Effects:
    """Refused `conflict` for one that is being sent, `not_found` for one that was."""

    async def work(tx: Tx) -> None:
        await held(tx, ctx, cmd.id)
        await tx.run(SQL.cancel, ctx.tenant, ctx.user, cmd.id)

    await ctx.node.db.in_transaction(work)
    return [Reply(Ok()), *others(ctx)]


async def held(tx: Tx, ctx: Ctx, id_: str) -> Row:
    """A scheduled message of the asker that nobody sends meanwhile. Raises Refused: `not_found`, `conflict`."""
    row: Row | None = await tx.one(SQL.one, ctx.tenant, ctx.user, id_)
    if row is None:
        raise Refused("not_found", "$.id: no such scheduled message of yours")
    if row["sent"]:
        raise Refused("conflict", "it is being sent")
    return row


class EditScheduled(Command, tag="schedule.edit"):
    """Change the text or the time, or both. One that had failed is tried again."""

    id: Id
    text: MessageText | UnsetType | None = UNSET
    at: At | None = None


class ScheduleResult(Result, tag="schedule.edit"):
    """As it is now."""

    scheduled: ScheduledMessage


@command(
    EditScheduled,
    result=ScheduleResult,
    refuses=("not_found", "conflict", "too_large"),
    http="PATCH /v1/scheduled/{id}",
)
async def edit_scheduled(ctx: Ctx, cmd: EditScheduled) -> Effects:
    """Refused `conflict` for one that is being sent. A failed one needs a time to come."""
    row = await ctx.node.db.in_transaction(held, ctx, cmd.id)
    out = readable(row["conversation"], row["client_id"], row["body"])
    if cmd.text is not UNSET:
        out = replace(out, text=cmd.text)
    at = row["due_at"] if cmd.at is None else cmd.at
    check_time(ctx, at)
    await check(ctx, out)

    async def work(tx: Tx) -> Row:
        await held(tx, ctx, cmd.id)
        await tx.run(SQL.edit, ctx.tenant, ctx.user, cmd.id, body_of(out), at)
        return await held(tx, ctx, cmd.id)

    changed = await ctx.node.db.in_transaction(work)
    return [Reply(ScheduleResult(scheduled=scheduled_of(changed))), *others(ctx)]
