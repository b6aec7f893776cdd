"""Metrics of webhooks."""

from collections.abc import Callable
from contextlib import suppress

import trio

from chatd.app.context import Node
from chatd.app.metrics import Metric, number
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Database
from chatd.outbox import consumers
from chatd.webhooks.deliverer import Deliverer
from chatd.webhooks.directory import Directory
from chatd.webhooks.endpoints import CONSUMER

SQL = queries.load("webhooks/queue")


class QueueWatch:
    """How long the oldest event has waited, in seconds, read every `watch_s` seconds."""

    def __init__(self, db: Database, directory: Directory, clock: Callable[[], int], *, watch_s: float) -> None:
        self.age_s = 0.0
        self._db = db
        self._directory = directory
        self._clock = clock
        self._watch_s = watch_s

    async def run(self) -> None:
        """Run forever."""
        while True:
            with suppress(Refused):
                await self.read()
            await trio.sleep(self._watch_s)

    async def read(self) -> None:
        """Raises Refused."""
        waiting = [
            await consumers.oldest(self._db, CONSUMER),
            await self._db.value(SQL.oldest_pending, list(self._directory.by_id)),
        ]
        oldest = min((at for at in waiting if at is not None), default=self._clock())
        self.age_s = max(0, self._clock() - oldest) / 1000


def attempts(result: str) -> Callable[[Node], float]:
    return lambda node: node.get(Deliverer).counts[result]


def failing(node: Node) -> float:
    return sum(endpoint.failing_since is not None for endpoint in node.get(Directory).by_id.values())


METRICS: tuple[Metric, ...] = (
    number(
        "chatd_webhook_queue_age_seconds",
        "How long the oldest event has waited that is not delivered, read every ten seconds.",
        lambda node: node.get(QueueWatch).age_s,
    ),
    number(
        "chatd_webhook_sent_total",
        "Events that an endpoint has accepted.",
        attempts("delivered"),
    ),
    number(
        "chatd_webhook_failures_total",
        "Attempts to deliver an event that failed, and are repeated.",
        attempts("failed"),
    ),
    number(
        "chatd_webhook_parked_total",
        "Events that were not delivered within `webhooks.retry_for`.",
        attempts("parked"),
    ),
    number(
        "chatd_webhook_dropped_total",
        "Events that were not sent, because what they were about was deleted.",
        attempts("dropped"),
    ),
    number(
        "chatd_webhook_disabled_total",
        "Endpoints that this node has disabled, because they failed for long or are gone.",
        lambda node: node.get(Deliverer).disabled,
    ),
    number("chatd_webhook_failing_endpoints", "Endpoints whose last attempt failed.", failing),
)
