"""Strikes against users, and the bans that follow from their number."""

from typing import Any

from msgspec import Struct

from chatd.accounts import bans
from chatd.app import audit_log
from chatd.app.audit_log import AuditActor
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import Postgres, Tx
from chatd.moderation.escalation import Step, step_for
from chatd.moderation.settings import ModerationSettings

SQL = queries.load("moderation/strikes")
MAX_SHOWN = 200


class StrikeResult(Struct, frozen=True):
    """The strike, the number of unexpired ones, and the ban that followed (`until` in ms; None: permanent)."""

    id: str
    count: int
    ban: str | None = None
    until: int | None = None


async def strike(tx: Tx, settings: ModerationSettings, actor: AuditActor, user: str, reason: str) -> StrikeResult:
    """Add a strike, and the ban that follows from it. Raises Refused: `not_found` for an unknown user."""
    tenant, now = actor.tenant, actor.now
    if await tx.value(SQL.lock_user, tenant, user) is None:
        raise Refused("not_found", "no such user")
    id_, ends = uuid7(now), now + round(settings.strike_ttl * 1000) if settings.strike_ttl else None
    await tx.run(SQL.add, tenant, id_, user, reason, actor.name, now, ends)
    count: int = await tx.value(SQL.count, tenant, user, now)
    await audit_log.write(tx, actor, "strike.add", user, {"reason": reason, "count": count, "expires_at": ends})
    step = step_for(settings.strikes, count)
    if step is None:
        return StrikeResult(id_, count)
    until = end_of(step, now)
    ban = await bans.insert_ban(tx, actor, user, reason, until)
    return StrikeResult(id_, count, ban, until)


def end_of(step: Step, now: int) -> int | None:
    return None if step.seconds is None else now + step.seconds * 1000


async def of_user(db: Postgres, tenant: str, user: str) -> list[dict[str, Any]]:
    """The latest strikes of a user."""
    return [dict(row) for row in await db.all(SQL.page, tenant, user, MAX_SHOWN)]
