"""What admins and operators do with the events of an endpoint: tests, replays, and lists."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from chatd.app import audit_log
from chatd.app.audit_log import AuditActor
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import Postgres, Tx
from chatd.webhooks.endpoints import find, make_due

SQL = queries.load("webhooks/events")
SETTLED = ("delivered", "parked", "dropped")
# Events that one statement of a replay examines.
REPLAY_BATCH = 5000
MAX_ID = 2**63 - 1


class Replayed(Struct, frozen=True):
    """The events that are pending again, and the last one that was examined; None after the last event."""

    count: int
    last: int | None


class Range(Struct, frozen=True):
    """Events of a replay: from `since` to before `until`, in milliseconds, in one of these states."""

    since: int
    until: int
    states: Sequence[str] = SETTLED


async def test(tx: Tx, actor: AuditActor, endpoint: str) -> str:
    """Queue a test. Returns its `webhook-id`. Raises Refused: `not_found`; `conflict` if the endpoint is disabled."""
    row = await find(tx, actor, endpoint)
    if row["disabled_at"] is not None:
        raise Refused("conflict", "this endpoint is disabled; enable it first")
    event: str = await tx.value(SQL.add_test, actor.tenant, endpoint, uuid7(actor.now), uuid7(actor.now), actor.now)
    return event


async def replay(
    tx: Tx, actor: AuditActor, endpoint: str, chosen: Range, after: int = 0, *, batch_size: int = REPLAY_BATCH
) -> Replayed:
    """Send settled events of a range again, under their ids. One call examines `batch_size` events after an id.

    Raises Refused: `not_found`.
    """
    await find(tx, actor, endpoint)
    await make_due(tx, actor, endpoint)
    times = (chosen.since, chosen.until, list(chosen.states))
    row = await tx.one(SQL.replay, actor.tenant, endpoint, *times, after, batch_size)
    assert row is not None
    if row["replayed"]:
        details = {"since": chosen.since, "until": chosen.until, "events": row["replayed"]}
        await audit_log.write(tx, actor, "webhook.replay", endpoint, details)
    return Replayed(row["replayed"], row["last"])


async def deliveries(
    db: Postgres, tenant: str, endpoint: str, state: str | None = None, *, before: int | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Events of an endpoint, the latest first. `state`: only those that are `pending` or `parked`."""
    statements = {None: SQL.deliveries, "pending": SQL.pending_deliveries, "parked": SQL.parked_deliveries}
    rows = await db.all(statements[state], tenant, endpoint, MAX_ID if before is None else before, limit)
    return [dict(row) for row in rows]
