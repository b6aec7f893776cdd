"""Admin commands for reports."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct, convert

from chatd.app.context import Ctx
from chatd.app.effects import CloseSessions, Effects, Reply
from chatd.app.registry import admin_command
from chatd.conversations.entities import Json
from chatd.db.batches import page_of
from chatd.moderation import reports
from chatd.moderation.reports import Sanction
from chatd.moderation.settings import ModerationSettings
from chatd.wire.admin import AdminCommand, Lasts
from chatd.wire.base import Id, Limit, Millis, Result, Seq
from chatd.wire.reference.examples import Example


class ListReports(AdminCommand, tag="admin.reports"):
    """List reports, newest first. `user`: only reports about this user. `before`: the last id of the previous page."""

    state: Literal["open", "resolved", "any"] = "open"
    user: Id | None = None
    before: Id | None = None
    limit: Limit = 50


class Report(Struct, kw_only=True, frozen=True):
    """A report. `user`: the reported user; `picture`: an upload of the reporter."""

    id: Id
    reporter: Id
    user: Id
    conversation: Id
    message: Id | None
    reason: str
    text: str | None
    picture: Id | None
    state: Literal["open", "resolved"]
    outcome: Literal["upheld", "dismissed"] | None
    note: str | None
    resolved_by: str | None
    resolved_at: Millis | None
    created_at: Millis
    EXAMPLE: ClassVar = Example(reason="spam")


class Reports(Result, tag="admin.report.list"):
    """A page of reports. `more`: there are older ones."""

    items: list[Report]
    more: bool


@admin_command(ListReports, result=Reports, role="moderator")
async def list_reports(ctx: Ctx, cmd: ListReports) -> Effects:
    state = None if cmd.state == "any" else cmd.state
    rows = await reports.page(ctx.node.db, ctx.tenant, state, cmd.user, before=cmd.before, limit=cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    return [Reply(Reports(items=convert(page, list[Report]), more=more))]


class ShowReport(AdminCommand, tag="admin.report"):
    """Show a report with its messages. The access is recorded in the audit log."""

    report: Id


class Evidence(Struct, kw_only=True, frozen=True):
    """A message as it was when the report was created. `earlier`: its texts before edits, oldest first.

    `system`: a system message about an act of `sender`. `removed_at`: when the message was deleted or disappeared, if
    that was before the report; its content is the one before that.
    """

    seq: Seq
    message: Id
    sender: Id
    text: str | None
    attachments: list[dict[str, Any]]
    at: Millis
    earlier: list[str] = []
    removed_at: Millis | None = None
    meta: Json | None = None
    system: Json | None = None


class FullReport(Result, tag="admin.report.full"):
    """A report, and the messages around the reported one."""

    report: Report
    transcript: list[Evidence]


@admin_command(ShowReport, result=FullReport, role="moderator", refuses=("not_found",))
async def show_report(ctx: Ctx, cmd: ShowReport) -> Effects:
    """`not_found`: there is no such report."""
    row = await ctx.node.db.in_transaction(reports.read, ctx.actor, cmd.report)
    transcript = convert(row.pop("transcript"), list[Evidence])
    return [Reply(FullReport(report=convert(row, Report), transcript=transcript))]


class BanFor(Struct, forbid_unknown_fields=True):
    """A ban of the reported user. Without `lasts` it is permanent; `devices`: also ban their devices."""

    lasts: Lasts | None = None
    devices: bool = False


class ResolveReport(AdminCommand, tag="admin.report.resolve"):
    """Resolve a report, optionally with a strike or a ban of the reported user, in one transaction. Only admins see
    `note`.
    """

    report: Id
    outcome: Literal["upheld", "dismissed"]
    note: Annotated[str, Meta(max_length=2000)] = ""
    strike: bool = False
    ban: BanFor | None = None


class Resolved(Result, tag="admin.report.resolved"):
    """Whether the reported user was banned."""

    banned: bool


@admin_command(
    ResolveReport,
    result=Resolved,
    role="moderator",
    refuses=("not_found", "conflict"),
    uncancellable=True,
)
async def resolve_report(ctx: Ctx, cmd: ResolveReport) -> Effects:
    """`conflict`: the report is already resolved."""
    settings = ctx.node.config.get(ModerationSettings)
    sanction = sanction_of(cmd, ctx.now)
    decision = (ctx.actor, cmd.report, cmd.outcome, cmd.note, sanction)
    resolution = await ctx.node.db.in_transaction(reports.resolve, settings, *decision)
    closes = [CloseSessions(resolution.user, "banned")] if resolution.banned else []
    return [*closes, Reply(Resolved(banned=resolution.banned))]


def sanction_of(cmd: ResolveReport, now: int) -> Sanction:
    if cmd.ban is None:
        return Sanction(strike=cmd.strike)
    until = None if cmd.ban.lasts is None else now + cmd.ban.lasts * 1000
    return Sanction(strike=cmd.strike, ban=True, until=until, devices=cmd.ban.devices)
