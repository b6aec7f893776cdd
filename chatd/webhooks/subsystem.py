"""Webhooks: events about committed changes, sent to the backends of tenants. docs/webhooks.md is for their authors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.app.context import Node
from chatd.app.jobs import Job
from chatd.app.subsystem import Subsystem, background
from chatd.cluster.signals import EventSent
from chatd.db.http_client import open_outbound
from chatd.webhooks import checks, commands, event_commands
from chatd.webhooks.deliverer import Deliverer
from chatd.webhooks.directory import Directory
from chatd.webhooks.endpoints import renew_all_interests
from chatd.webhooks.event_types import BOT_OUTGOING, OUTGOING
from chatd.webhooks.metrics import METRICS, QueueWatch
from chatd.webhooks.personal_data import PERSONAL_DATA
from chatd.webhooks.router import Router
from chatd.webhooks.settings import SETTINGS, WebhookSettings
from chatd.webhooks.sweep import EVERY_S, sweep
from chatd.webhooks.tables import TABLES
from chatd.webhooks.tunables import TUNABLES, WebhookTunables


@asynccontextmanager
async def open_webhooks(node: Node, tunables: WebhookTunables = TUNABLES) -> AsyncIterator[None]:
    settings = node.config.get(WebhookSettings)
    directory = node.services.add(Directory(node.db, node.config.data.secret, refresh_s=tunables.refresh_s))
    await renew_all_interests(node.db)
    async with open_outbound(private=settings.allow_private, connections=settings.concurrency) as outbound:
        deliverer = node.services.add(Deliverer(node.db, directory, outbound, settings, node.clock, tunables))
        router = Router(node.db, directory, deliverer, tunables)
        watch = node.services.add(QueueWatch(node.db, directory, node.clock, watch_s=tunables.watch_s))
        node.signals.on_sync(EventSent, router.note)
        async with background(node) as start:
            start("webhook endpoints", directory.run)
            start("webhook router", router.run)
            start("webhook deliveries", deliverer.run)
            start("webhook queue watch", watch.run)
            yield


WEBHOOKS = Subsystem(
    name="webhooks",
    about="events about committed changes, sent to backends",
    settings=SETTINGS,
    check_settings=checks.check_settings,
    tables=TABLES,
    commands=(commands, event_commands),
    outgoing=(*OUTGOING, *BOT_OUTGOING),
    metrics=METRICS,
    jobs=(Job("webhooks", sweep, EVERY_S),),
    personal_data=PERSONAL_DATA,
    open=open_webhooks,
)
