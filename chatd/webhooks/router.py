"""Moves events from the outbox to the queues of the endpoints that want them.

One node at a time does this, whichever is first (`lock_consumer`): so the events of one conversation keep their order.
Events of this node are moved moments after their commit; those of others, and those of a node that has failed, at the
next poll.
"""

from collections.abc import Mapping

import trio

from chatd.cluster.signals import EventSent
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Postgres, Tx
from chatd.outbox.consumers import lock_consumer
from chatd.webhooks.deliverer import Deliverer
from chatd.webhooks.directory import Directory
from chatd.webhooks.endpoints import CONSUMER
from chatd.webhooks.tunables import WebhookTunables

SQL = queries.load("webhooks/queue")


class Router:
    """See the module."""

    def __init__(self, db: Postgres, directory: Directory, deliverer: Deliverer, tunables: WebhookTunables) -> None:
        self._db = db
        self._directory = directory
        self._deliverer = deliverer
        self._tunables = tunables
        self._news = trio.Event()

    def note(self, signal: EventSent) -> None:
        """A change of this node is committed."""
        if signal.tenant in self._directory.tenants:
            self._news.set()

    async def run(self) -> None:
        """Run forever."""
        while True:
            self._news = trio.Event()
            limit = batch_size(self._directory.tenants, self._tunables)
            try:
                taken = await self._db.in_transaction(route, limit)
            except Refused:
                await trio.sleep(self._tunables.poll_s)
                continue
            if taken:
                self._deliverer.wake()
            if taken < limit:
                await self._wait()

    async def _wait(self) -> None:
        poll_s = self._tunables.poll_s if self._directory.by_id else self._tunables.idle_poll_s
        with trio.move_on_after(poll_s):
            await self._news.wait()
        await trio.sleep(self._tunables.gather_s)


def batch_size(endpoints: Mapping[str, int], tunables: WebhookTunables) -> int:
    """How many rows are taken at once, so that those of a tenant with many endpoints are not too many events for one
    statement. `endpoints`: their number by tenant.
    """
    return max(1, min(tunables.route_batch, tunables.route_deliveries // max(endpoints.values(), default=1)))


async def route(tx: Tx, limit: int) -> int:
    """Move at most `limit` events. Returns their number; 0 while another node does it."""
    if not await lock_consumer(tx, CONSUMER):
        return 0
    taken: int = await tx.value(SQL.route, limit)
    return taken
