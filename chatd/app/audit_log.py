"""The audit log of administrative acts. An entry is written in the transaction of its act."""

from typing import Any

from msgspec import Struct

from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import Postgres, Tx

SQL = queries.load("app/audit_log")


class AuditActor(Struct, frozen=True):
    """An admin, or the operating system account of an operator, with the tenant and the time (ms) of the act."""

    tenant: str
    name: str
    now: int


async def write(
    db: Postgres | Tx, actor: AuditActor, act: str, subject: str, details: dict[str, Any] | None = None
) -> None:
    """Add an entry. An act that changes nothing in the database needs no transaction."""
    await db.run(SQL.insert, actor.tenant, uuid7(actor.now), actor.now, actor.name, act, subject, details)


async def page(db: Postgres, tenant: str, *, before: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
    """Entries, the latest first."""
    return [dict(row) for row in await db.all(SQL.page, tenant, before, limit)]
