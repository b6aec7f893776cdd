"""Acts of moderators on one user besides bans: end logins, shadow bans, the summary of an account."""

from typing import Any

from chatd.accounts import bans
from chatd.app import audit_log
from chatd.app.audit_log import AuditActor
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Postgres, Tx

SQL = queries.load("moderation/moderation")


async def set_shadow(tx: Tx, actor: AuditActor, user: str, on: bool) -> None:
    """Add or remove a shadow ban. It applies from the next search of the user. Raises Refused: `not_found`."""
    if await tx.value(SQL.set_shadow, actor.tenant, user, on) is None:
        raise Refused("not_found", "no such user")
    await audit_log.write(tx, actor, "user.shadow" if on else "user.unshadow", user)


async def revoke_logins(tx: Tx, actor: AuditActor, user: str) -> None:
    """End all logins. The caller closes the sessions. Raises Refused: `not_found`."""
    await check_user(tx, actor.tenant, user)
    await tx.run(bans.SQL.end_logins, actor.tenant, user, actor.now)
    await audit_log.write(tx, actor, "user.revoke", user)


async def audit_kick(tx: Tx, actor: AuditActor, user: str) -> None:
    """Record that the sessions of a user are closed. The caller closes them. Raises Refused: `not_found`."""
    await check_user(tx, actor.tenant, user)
    await audit_log.write(tx, actor, "user.kick", user)


async def check_user(tx: Tx, tenant: str, user: str) -> None:
    if not await tx.value(SQL.exists, tenant, user):
        raise Refused("not_found", "no such user")


async def user_summary(db: Postgres, tenant: str, user: str, now: int) -> dict[str, Any]:
    """The counts that `admin.user` returns. Raises Refused: `not_found`."""
    row = await db.one(SQL.summary, tenant, user, now)
    if row is None:
        raise Refused("not_found", "no such user")
    return dict(row)
