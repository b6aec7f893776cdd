"""The audit log: who did what to whom. An entry is written in the transaction of the action, so neither exists without the
other.
"""

from typing import Any

from msgspec import Struct

from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import Postgres

SQL = queries.load("app/audit_log")


class Actor(Struct, frozen=True):
    """Who acts, where and when: the name of an admin, or an account of the operating system. `now` in milliseconds."""

    tenant: str
    name: str
    now: int


async def note(connection: Any, actor: Actor, act: str, subject: str, details: dict[str, Any] | None = None) -> None:
    """Write an entry, within an open transaction."""
    await connection.execute(SQL.note, actor.tenant, uuid7(actor.now), actor.now, actor.name, act, subject, details)


async def page(db: Postgres, tenant: str, *, before: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
    """Actions of moderation, the latest first."""
    return [dict(row) for row in await db.all(SQL.page, tenant, before, limit)]


async def write(db: Postgres, actor: Actor, act: str, subject: str, details: dict[str, Any] | None = None) -> None:
    """Write an entry for an action that changes nothing in the database."""
    await db.within(lambda connection: note(connection, actor, act, subject, details))
