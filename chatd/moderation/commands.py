"""The command that reports a user. The report stores a transcript, which later deletions do not change."""

from typing import Annotated, ClassVar

from msgspec import Meta

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import command
from chatd.core.errors import Refused
from chatd.core.ids import NIL, uuid7
from chatd.db import queries
from chatd.db.postgres import Row, Tx
from chatd.moderation.settings import ModerationSettings
from chatd.wire.base import Command, Id, Result
from chatd.wire.reference.examples import Example
from chatd.wire.texts import PRIVATE

SQL = queries.load("moderation/reports")
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


class CreateReport(Command, tag="report.create"):
    """Report a user, or a `message` of a `conversation`. Repeating a report within a day creates no second one.

    You can report users with whom you share a conversation, or shared one less than a day ago: a group that one of you
    left or was removed from, or that was deleted, or a match that ended. `picture`: one of your uploads. The messages
    around the reported one are stored with the report. `user` is the alias for a match, and the user id elsewhere.
    """

    reason: Annotated[str, Meta(min_length=1, max_length=32, extra=PRIVATE)]
    user: Id | None = None
    conversation: Id | None = None
    message: Id | None = None
    text: Annotated[str, Meta(max_length=2000, extra=PRIVATE)] | None = None
    picture: Id | None = None
    EXAMPLE: ClassVar = Example(shown=("user",), reason="spam")


class ReportMade(Result, tag="report"):
    """The report is stored for the admins."""

    report: Id


@command(CreateReport, result=ReportMade, cost=5, refuses=("not_found",), http="POST /v1/reports")
async def create_report(ctx: Ctx, cmd: CreateReport) -> Effects:
    """`not_found`: you cannot report this user or message, or the picture is not yours. `rate_limited`: you have made
    too many reports within an hour.
    """
    check_fields(ctx, cmd)
    report = await ctx.node.db.in_transaction(insert_report, ctx, cmd)
    return [Reply(ReportMade(report=report))]


def check_fields(ctx: Ctx, cmd: CreateReport) -> None:
    reasons = ctx.node.config.get(ModerationSettings).reasons
    if cmd.reason not in reasons:
        raise Refused("bad_request", f"$.reason: expected one of {', '.join(reasons)}")
    if cmd.user is None and cmd.message is None:
        raise Refused("bad_request", "$: expected a user, or a message with its conversation")
    if cmd.message is not None and cmd.conversation is None:
        raise Refused("bad_request", "$.conversation: required with a message")


async def insert_report(tx: Tx, ctx: Ctx, cmd: CreateReport) -> str:
    """Returns the id of the new report, or of an equal one within a day. One at a time for each reporter."""
    tenant, me, now, settings = ctx.tenant, ctx.user, ctx.now, ctx.node.config.get(ModerationSettings)
    await tx.run(SQL.lock_reporter, tenant, me)
    shared = await find_shared_conversation(tx, ctx, cmd)
    known = await tx.value(SQL.equal_report, tenant, me, shared["reported_as"], cmd.message, now - DAY_MS)
    if known is not None:
        return str(known)
    recent = await tx.one(SQL.recent_reports, tenant, me, now - HOUR_MS)
    assert recent is not None
    check_rate(recent, settings.reports_per_hour, now)
    if cmd.picture is not None and await tx.value(SQL.lock_picture, tenant, cmd.picture, me) is None:
        raise Refused("not_found", "$.picture: you have no such upload")
    content = (cmd.message, cmd.reason, cmd.text or None, cmd.picture)
    window = (shared["seq"], settings.evidence_messages, settings.evidence_bytes)
    place = (shared["target"], shared["conversation"])
    return str(await tx.value(SQL.add, tenant, uuid7(now), me, *place, *content, now, *window, shared["reported_as"]))


async def find_shared_conversation(tx: Tx, ctx: Ctx, cmd: CreateReport) -> Row:
    """The latest conversation of the reporter and the target. Raises Refused: `not_found`, also for an unknown user."""
    reported = (cmd.user, cmd.conversation, cmd.message, ctx.now - DAY_MS)
    shared: Row | None = await tx.one(SQL.shared_conversation, ctx.tenant, ctx.user, *reported)
    if shared is None or shared["target"] == NIL:
        raise Refused("not_found", "you do not share a conversation with this user")
    if shared["target"] == ctx.user:
        raise Refused("bad_request", "$: you cannot report yourself")
    return shared


def check_rate(recent: Row, max_reports: int, now: int) -> None:
    if recent["count"] >= max_reports:
        wait = max(1.0, (recent["first"] + HOUR_MS - now) / 1000)
        raise Refused("rate_limited", "too many reports", retry_after=wait)
