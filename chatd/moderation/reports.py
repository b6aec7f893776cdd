"""Reports, as moderators deal with them. How they are made is in `moderation/commands.py`."""

from typing import Any

from msgspec import Struct

from chatd.accounts import bans
from chatd.app import audit_log
from chatd.app.audit_log import Actor
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import delete_all
from chatd.db.postgres import Postgres
from chatd.moderation import strikes
from chatd.moderation.settings import ModerationSettings
from chatd.uploads.service import Stored

SQL = queries.load("moderation/reports")
UPHELD, DISMISSED = "upheld", "dismissed"


class Measure(Struct, frozen=True):
    """What follows from a report: a strike, or a ban until then (milliseconds; None: for ever), perhaps of the devices too."""

    strike: bool = False
    ban: bool = False
    until: int | None = None
    devices: bool = False


class Verdict(Struct, frozen=True):
    """What was decided. `user`: who was reported; `banned`: whether they are banned by it."""

    user: str
    banned: bool


async def page(
    db: Postgres, tenant: str, state: str | None, user: str | None = None, *, before: str | None = None, limit: int = 1000
) -> list[dict[str, Any]]:
    """Reports, the latest first, without what was kept of the conversations."""
    page = (tenant, before, limit)
    if user is not None:
        rows = await db.all(SQL.page_about, *page, user, state)
    elif state is not None:
        rows = await db.all(SQL.page_in_state, *page, state)
    else:
        rows = await db.all(SQL.page, *page)
    return [dict(row) for row in rows]


async def read(db: Postgres, actor: Actor, report: str) -> dict[str, Any]:
    """A report with its part of the conversation; that it was read is noted too. Raises Refused: `not_found`."""

    async def work(connection: Any) -> dict[str, Any]:
        row = await connection.fetchrow(SQL.one, actor.tenant, report)
        if row is None:
            raise Refused("not_found", "no such report")
        await audit_log.note(connection, actor, "report.read", report)
        return dict(row)

    return await db.in_transaction(work)


async def find_file(db: Postgres, actor: Actor, report: str, upload: str) -> Stored:
    """A file of a report, and a line in the audit log that it was opened. Raises Refused: `not_found`."""

    async def work(connection: Any) -> Stored:
        row = await connection.fetchrow(SQL.file_of, actor.tenant, report, upload)
        if row is None:
            raise Refused("not_found", "no such file of a report")
        await audit_log.note(connection, actor, "report.file", report, {"upload": upload})
        return Stored(**dict(row))

    return await db.in_transaction(work)


async def resolve(
    db: Postgres, settings: ModerationSettings, actor: Actor, report: str, outcome: str, note: str, measure: Measure
) -> Verdict:
    """Decide, and carry out what follows, in one transaction.

    Raises Refused: `not_found`, `conflict` for a report that is resolved already, `bad_request` for a measure that does not fit.
    """
    if (measure.strike and measure.ban) or (outcome == DISMISSED and (measure.strike or measure.ban)):
        raise Refused("bad_request", "$: a strike or a ban, and none for a report that is dismissed")

    async def work(connection: Any) -> Verdict:
        row = await connection.fetchrow(SQL.hold, actor.tenant, report)
        if row is None:
            raise Refused("not_found", "no such report")
        if row["state"] != "open":
            raise Refused("conflict", "this report is resolved")
        banned = await carry_out(connection, settings, actor, measure, row["user"], row["reason"])
        await connection.execute(SQL.resolve, actor.tenant, report, outcome, note or None, actor.name, actor.now)
        await audit_log.note(connection, actor, "report.resolve", report, {"outcome": outcome, "user": row["user"]})
        return Verdict(row["user"], banned)

    return await db.in_transaction(work)


async def carry_out(
    connection: Any, settings: ModerationSettings, actor: Actor, measure: Measure, user: str, reason: str
) -> bool:
    """Whether it ended in a ban. What the banned may be told is the reason of the report, never the note."""
    if measure.strike:
        return (await strikes.put(connection, settings, actor, user, reason)).ban is not None
    if measure.ban:
        await bans.put_on_user(connection, actor, user, reason, measure.until, devices=measure.devices)
    return measure.ban


async def sweep(db: Postgres, settings: ModerationSettings, now: int) -> None:
    """Delete what was resolved long ago, and what was removed and no report has taken up, until nothing is left."""
    await delete_all(db, SQL.sweep, now - round(settings.keep_reports * 1000))
    await delete_all(db, SQL.purge_messages, now)
    await delete_all(db, SQL.purge_uploads, now)
