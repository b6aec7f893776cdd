"""chatd reports"""

from enum import StrEnum
from typing import Annotated, Any

import typer
from msgspec.json import encode

from chatd.cli.cluster import close_sessions
from chatd.cli.common import (
    AsJson,
    ConfigFile,
    TenantOption,
    checked_id,
    current_operator,
    end_of,
    exit_usage,
    format_time,
    print_json,
    run_with,
)
from chatd.cli.databases import database
from chatd.cli.printing import fields, out, records
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.moderation import reports
from chatd.moderation.reports import Resolution, Sanction
from chatd.moderation.settings import ModerationSettings

app = typer.Typer(help="List, show and resolve reports from users.", no_args_is_help=True)
ReportId = Annotated[str, typer.Argument(help="The report's id.", metavar="REPORT")]


class Outcome(StrEnum):
    """Whether the report was justified."""

    upheld = "upheld"
    dismissed = "dismissed"


@app.command("list")
def list_reports(
    every: Annotated[bool, typer.Option("--all", help="Include resolved reports.")] = False,
    user: Annotated[str | None, typer.Option(help="Only reports about this user.")] = None,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the open reports, newest first."""
    about = None if user is None else checked_id(user)
    rows = run_with(config, find_reports, tenant, None if every else "open", about)
    if as_json:
        print_json(rows)
        return
    records(map(lines_of, rows))


def lines_of(row: dict[str, Any]) -> tuple[str, ...]:
    text = f"{row['reason']}: {row['text']}" if row["text"] else row["reason"]
    return (
        f"{row['id']}  {row['outcome'] or row['state']}, {format_time(row['created_at'])}",
        f"about {row['user']}",
        f"by    {row['reporter']}: {text}",
    )


async def find_reports(config: Config, tenant: str, state: str | None, user: str | None) -> list[dict[str, Any]]:
    async with database(config) as db:
        return await reports.page(db, tenant, state, user)


@app.command()
def show(
    report: ReportId, tenant: TenantOption = "default", config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Show a report with its evidence. The audit log records that it was read."""
    row = run_with(config, read_report, tenant, checked_id(report))
    if as_json:
        print_json(row)
        return
    transcript = row.pop("transcript")
    out.print(fields(row))
    records(map(transcript_lines, transcript))


def transcript_lines(entry: dict[str, Any]) -> tuple[str, ...]:
    """The lines of one message of the evidence: earlier versions, text and `meta`; or the act of a system message."""
    text = entry["text"] or f"{len(entry['attachments'])} attachments"
    if entry.get("system"):
        text = encode(entry["system"]).decode()
    if entry.get("meta"):
        text += f"\nmeta: {encode(entry['meta']).decode()}"
    forms = "\nedited:\n".join([*entry.get("earlier", ()), text])
    removed = f", removed {format_time(entry['removed_at'])}" if entry.get("removed_at") else ""
    return f"number {entry['seq']}, {format_time(entry['at'])}, from {entry['sender']}{removed}", *forms.splitlines()


async def read_report(config: Config, tenant: str, report: str) -> dict[str, Any]:
    async with database(config) as db:
        return await db.in_transaction(reports.read, current_operator(tenant), report)


@app.command()
def resolve(
    report: ReportId,
    outcome: Annotated[Outcome, typer.Argument(help="Whether the report was justified.")],
    note: Annotated[str, typer.Option(help="Note, stored with the report.")] = "",
    strike: Annotated[bool, typer.Option("--strike", help="Give the reported user a strike.")] = False,
    ban: Annotated[bool, typer.Option("--ban", help="Ban the reported user.")] = False,
    lasts: Annotated[
        str | None, typer.Option("--for", help="Duration of the ban, such as 12h or 7d. Default: permanent.")
    ] = None,
    devices: Annotated[bool, typer.Option("--devices", help="Ban the user's devices as well.")] = False,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
) -> None:
    """Resolve a report, with a strike or a ban if needed.

    [bold]Example[/]

      chatd reports resolve 01890a5d-ac96-774b-bcce-b302099a8057 upheld --ban --for 7d
    """
    if (lasts or devices) and not ban:
        raise exit_usage("--for and --devices need --ban")
    sanction = Sanction(strike=strike, ban=ban, until=end_of(lasts), devices=devices)
    run_with(config, decide, tenant, checked_id(report), outcome.value, note, sanction)


async def decide(config: Config, tenant: str, report: str, outcome: str, note: str, sanction: Sanction) -> Resolution:
    async with database(config) as db:
        decision = (current_operator(tenant), report, outcome, note[:2000], sanction)
        resolution = await db.in_transaction(reports.resolve, config.get(ModerationSettings), *decision)
        at = now_ms()
    if resolution.banned:
        await close_sessions(config, tenant, resolution.user, "banned", at)
    return resolution
