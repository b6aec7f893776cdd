"""Reports, for moderators. `moderation/commands.py` has the command that creates them."""

from typing import Any

from msgspec import Struct

from chatd.accounts import bans
from chatd.app import audit_log
from chatd.app.audit_log import AuditActor
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import delete_all
from chatd.db.postgres import Postgres, Tx
from chatd.moderation import strikes
from chatd.moderation.settings import ModerationSettings
from chatd.uploads.service import Stored

SQL = queries.load("moderation/reports")
UPHELD, DISMISSED = "upheld", "dismissed"


class Sanction(Struct, frozen=True):
    """The consequence of a report: a strike, or a ban (`until` in ms; None: permanent), with `devices` also of the
    devices.
    """

    strike: bool = False
    ban: bool = False
    until: int | None = None
    devices: bool = False


class Resolution(Struct, frozen=True):
    """The reported user, and whether the resolution banned them."""

    user: str
    banned: bool


async def page(
    db: Postgres,
    tenant: str,
    state: str | None,
    user: str | None = None,
    *,
    before: str | None = None,
    limit: int = 1000,
) -> list[dict[str, Any]]:
    """Reports, the latest first, without their transcripts."""
    page = (tenant, before, limit)
    if user is not None:
        rows = await db.all(SQL.page_about, *page, user, state)
    elif state is not None:
        rows = await db.all(SQL.page_in_state, *page, state)
    else:
        rows = await db.all(SQL.page, *page)
    return [dict(row) for row in rows]


async def read(tx: Tx, actor: AuditActor, report: str) -> dict[str, Any]:
    """A report with its transcript, for an entry in the audit log. Raises Refused: `not_found`."""
    row = await tx.one(SQL.get, actor.tenant, report)
    if row is None:
        raise Refused("not_found", "no such report")
    await audit_log.write(tx, actor, "report.read", report)
    return dict(row)


async def find_file(tx: Tx, actor: AuditActor, report: str, upload: str) -> Stored:
    """A file of a report, for an entry in the audit log. Raises Refused: `not_found`."""
    row = await tx.one(SQL.get_file, actor.tenant, report, upload)
    if row is None:
        raise Refused("not_found", "no such file in this report")
    await audit_log.write(tx, actor, "report.file", report, {"upload": upload})
    return Stored(**dict(row))


async def resolve(
    tx: Tx, settings: ModerationSettings, actor: AuditActor, report: str, outcome: str, note: str, sanction: Sanction
) -> Resolution:
    """Resolve a report and apply the sanction.

    Raises Refused: `not_found`, `conflict` for a resolved report, `bad_request` for a sanction that does not fit the
    outcome.
    """
    if (sanction.strike and sanction.ban) or (outcome == DISMISSED and (sanction.strike or sanction.ban)):
        raise Refused("bad_request", "$: expected either a strike or a ban, and neither if the report is dismissed")
    row = await tx.one(SQL.lock, actor.tenant, report)
    if row is None:
        raise Refused("not_found", "no such report")
    if row["state"] != "open":
        raise Refused("conflict", "this report is already resolved")
    banned = await apply_sanction(tx, settings, actor, sanction, row["user"], row["reason"])
    await tx.run(SQL.resolve, actor.tenant, report, outcome, note or None, actor.name, actor.now)
    await audit_log.write(tx, actor, "report.resolve", report, {"outcome": outcome, "user": row["user"]})
    return Resolution(row["user"], banned)


async def apply_sanction(
    tx: Tx, settings: ModerationSettings, actor: AuditActor, sanction: Sanction, user: str, reason: str
) -> bool:
    """Apply a sanction; returns whether the user was banned. The reason that the user may see is that of the report,
    never the note.
    """
    if sanction.strike:
        return (await strikes.strike(tx, settings, actor, user, reason)).ban is not None
    if sanction.ban:
        await bans.insert_ban(tx, actor, user, reason, sanction.until, devices=sanction.devices)
    return sanction.ban


async def sweep(db: Postgres, settings: ModerationSettings, now: int) -> None:
    """Delete reports that were resolved `moderation.keep_reports` ago, and expired evidence that no report contains."""
    await delete_all(db, SQL.sweep, now - round(settings.keep_reports * 1000))
    await delete_all(db, SQL.sweep_withheld_messages, now)
    await delete_all(db, SQL.sweep_withheld_uploads, now)
