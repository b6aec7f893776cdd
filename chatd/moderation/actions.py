"""What moderators do to somebody besides banning: end logins, match only with their like, look at what is known."""

from typing import Any

from chatd.accounts import bans
from chatd.app import audit_log
from chatd.app.audit_log import Actor
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Postgres

SQL = queries.load("moderation/moderation")


async def set_shadow(db: Postgres, actor: Actor, user: str, on: bool) -> None:
    """From their next search on they meet only others like them. Raises Refused: `not_found`."""

    async def work(connection: Any) -> None:
        if await connection.fetchval(SQL.set_shadow, actor.tenant, user, on) is None:
            raise Refused("not_found", "no such user")
        await audit_log.note(connection, actor, "user.shadow" if on else "user.unshadow", user)

    await db.in_transaction(work)


async def is_shadowed(db: Postgres, tenant: str, user: str) -> bool:
    """Whether somebody is matched only with their like."""
    return bool(await db.value(SQL.is_shadowed, tenant, user))


async def revoke(db: Postgres, actor: Actor, user: str) -> None:
    """End all logins; their sessions are the caller's to close. Raises Refused: `not_found`."""

    async def work(connection: Any) -> None:
        await check_user(connection, actor.tenant, user)
        await connection.execute(bans.SQL.end_logins, actor.tenant, user, actor.now)
        await audit_log.note(connection, actor, "user.revoke", user)

    await db.in_transaction(work)


async def note_kick(db: Postgres, actor: Actor, user: str) -> None:
    """That somebody's sockets are closed. Raises Refused: `not_found`."""

    async def work(connection: Any) -> None:
        await check_user(connection, actor.tenant, user)
        await audit_log.note(connection, actor, "user.kick", user)

    await db.in_transaction(work)


async def check_user(connection: Any, tenant: str, user: str) -> None:
    if not await connection.fetchval(SQL.exists, tenant, user):
        raise Refused("not_found", "no such user")


async def known(db: Postgres, tenant: str, user: str, now: int) -> dict[str, Any]:
    """What is known of somebody. Raises Refused: `not_found`."""
    row = await db.one(SQL.known, tenant, user, now)
    if row is None:
        raise Refused("not_found", "no such user")
    return dict(row)
