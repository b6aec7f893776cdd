"""Strikes: how often somebody was told, and the ban that follows when they were told often enough."""

from typing import Any

from msgspec import Struct

from chatd.accounts import bans
from chatd.app import audit_log
from chatd.app.audit_log import Actor
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.moderation.escalation import Rung, rung_of
from chatd.moderation.settings import ModerationSettings

SQL = queries.load("moderation/strikes")
MOST_SHOWN = 200


class Struck(Struct, frozen=True):
    """`count`: the strikes that count by now. `ban`: the one that followed; `until` in milliseconds, None: for ever."""

    id: str
    count: int
    ban: str | None = None
    until: int | None = None


async def strike(db: Postgres, settings: ModerationSettings, actor: Actor, user: str, reason: str) -> Struck:
    """Raises Refused: `not_found` for an unknown user."""
    return await db.in_transaction(lambda connection: put(connection, settings, actor, user, reason))


async def put(connection: Any, settings: ModerationSettings, actor: Actor, user: str, reason: str) -> Struck:
    """Within a transaction: the strike, and the ban that it leads to. Raises as `strike` does."""
    tenant, now = actor.tenant, actor.now
    if await connection.fetchval(SQL.lock_user, tenant, user) is None:
        raise Refused("not_found", "no such user")
    id_, ends = uuid7(now), now + round(settings.strike_ttl * 1000) if settings.strike_ttl else None
    await connection.execute(SQL.add, tenant, id_, user, reason, actor.name, now, ends)
    count: int = await connection.fetchval(SQL.count, tenant, user, now)
    await audit_log.note(connection, actor, "strike.add", user, {"reason": reason, "count": count, "expires_at": ends})
    rung = rung_of(settings.strikes, count)
    if rung is None:
        return Struck(id_, count)
    until = end_of(rung, now)
    ban = await bans.put_on_user(connection, actor, user, reason, until)
    return Struck(id_, count, ban, until)


def end_of(rung: Rung, now: int) -> int | None:
    return None if rung.seconds is None else now + rung.seconds * 1000


async def of_user(db: Postgres, tenant: str, user: str) -> list[dict[str, Any]]:
    """The latest strikes of somebody."""
    return [dict(row) for row in await db.all(SQL.page, tenant, user, MOST_SHOWN)]
