"""What becomes of events that are not delivered, of old ones, and of removed endpoints. A job runs it on one node."""

from chatd.app.audit_log import AuditActor
from chatd.app.context import Node
from chatd.app.jobs import is_due
from chatd.core import log
from chatd.core.ids import NIL
from chatd.db import queries
from chatd.db.batches import delete_all
from chatd.db.postgres import Postgres
from chatd.webhooks import endpoints
from chatd.webhooks.deliverer import SERVER, Deliverer
from chatd.webhooks.directory import Directory, EndpointsChanged
from chatd.webhooks.settings import WebhookSettings

LOG = log.get(__name__)
SQL = queries.load("webhooks/sweep")
EVERY_S = 60.0
PAGE = 100


async def sweep(node: Node) -> bool:
    """Delete old events, park those of disabled endpoints, and disable endpoints with too many. Raises Refused."""
    if not await is_due(node.db, "webhooks", round(EVERY_S * 1000)):
        return False
    settings, now = node.config.get(WebhookSettings), node.clock()
    await delete_all(node.db, SQL.sweep)
    await empty_disabled(node.db, settings, now)
    await disable_overfull(node, settings)
    return False


async def empty_disabled(db: Postgres, settings: WebhookSettings, now: int) -> None:
    """Park the events of endpoints that stay disabled, and delete removed endpoints with their events. Raises
    Refused.
    """
    disabled_before, kept_ms = now - round(settings.retry_for * 1000), round(settings.keep_parked * 1000)
    after = (NIL, "")
    while rows := await db.all(SQL.disabled_before, disabled_before, *after, PAGE):
        for row in rows:
            place = (row["tenant"], row["id"])
            if row["is_removed"]:
                await delete_all(db, SQL.delete_events, *place)
                await db.run(SQL.delete_streams, *place)
                await db.run(SQL.delete_endpoint, *place)
            else:
                await delete_all(db, SQL.park_disabled, *place, "the endpoint is disabled", kept_ms)
                await db.run(SQL.delete_idle_streams, *place)
        after = (rows[-1]["id"], rows[-1]["tenant"])


async def disable_overfull(node: Node, settings: WebhookSettings) -> None:
    """Disable endpoints for which too many events wait: they fail, or are too slow. Raises Refused."""
    for endpoint in list(node.get(Directory).by_id.values()):
        if await node.db.value(SQL.is_too_long, endpoint.tenant, endpoint.id, settings.max_pending) is None:
            continue
        actor = AuditActor(endpoint.tenant, SERVER, node.clock())
        reason = f"more than {settings.max_pending} events wait for it"
        if await node.db.in_transaction(endpoints.disable, actor, endpoint.id, reason):
            node.get(Deliverer).disabled += 1
            LOG.warning(
                "a webhook endpoint was disabled; see `chatd webhooks list`",
                extra={"tenant": endpoint.tenant, "endpoint": endpoint.id, "cause": reason},
            )
            await node.cluster.broadcast(EndpointsChanged())
