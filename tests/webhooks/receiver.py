"""A receiver of webhooks, a daemon that sends them fast, and what both need."""

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
from standardwebhooks import Webhook

from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.webhooks.settings import WebhookSettings
from chatd.webhooks.subsystem import WEBHOOKS, open_webhooks
from chatd.webhooks.tunables import WebhookTunables
from tests.admins import administered, done
from tests.outside import Asked, Outside, answer, outside
from tests.support import PATIENCE, Daemon, altered, eventually, running

QUICK = WebhookTunables(
    poll_s=0.05, idle_poll_s=0.05, gather_s=0.005, refresh_s=0.2, watch_s=0.05, first_retry_s=0.05, max_retry_s=0.2
)
LOCAL = WebhookSettings(allow_private=True, timeout=60.0)
# For an endpoint that does not answer.
SHORT_TIMEOUT_S = 0.3
OK = answer(b"")


@dataclasses.dataclass
class Receiver:
    """An endpoint, with the requests that it got. `answers` may be replaced."""

    server: Outside
    id: str = ""
    secret: str = ""

    def events(self, *types: str) -> list[dict[str, Any]]:
        """The bodies, in the order of their arrival, with the id of each."""
        found = [{**asked.json, "id": asked.headers["webhook-id"]} for asked in self.server.asked]
        return [event for event in found if not types or event["type"] in types]

    async def wait(self, count: int, *types: str, patience: float = PATIENCE) -> list[dict[str, Any]]:
        """The first events of these types."""
        await eventually(lambda: len(self.events(*types)) >= count, patience)
        return self.events(*types)[:count]

    def verify(self, asked: Asked) -> Any:
        """Raises WebhookVerificationError."""
        return Webhook(self.secret).verify(asked.body, asked.headers)


async def accept(_: Asked) -> bytes:
    return OK


@asynccontextmanager
async def sending(
    config: Config, settings: WebhookSettings = LOCAL, tunables: WebhookTunables = QUICK
) -> AsyncIterator[Daemon]:
    """A daemon with admins, whose webhooks are sent and retried fast."""
    webhooks = dataclasses.replace(WEBHOOKS, open=partial(open_webhooks, tunables=tunables))
    async with running(administered(config.using(settings)), altered(webhooks)) as daemon:
        yield daemon


@asynccontextmanager
async def receiving(
    daemon: Daemon,
    answers: Callable[[Asked], Awaitable[bytes]] = accept,
    types: Iterable[str] = ("*",),
    tenant: str = "default",
) -> AsyncIterator[Receiver]:
    """An endpoint of the daemon, and its server."""
    async with outside(answers) as server:
        receiver = Receiver(server)
        added = await done(daemon, "webhook.add", url=server.url, types=list(types), tenant=tenant)
        receiver.id, receiver.secret = added["id"], added["secret"]
        yield receiver
        with trio.CancelScope(shield=True), trio.move_on_after(1):
            await done(daemon, "webhook.remove", endpoint=receiver.id, tenant=tenant)


async def listed(daemon: Daemon, receiver: Receiver, tenant: str = "default") -> dict[str, Any]:
    """The endpoint in the list of the admin."""
    items = (await done(daemon, "webhooks", tenant=tenant))["items"]
    return next(item for item in items if item["id"] == receiver.id)


async def end_retries(db: Postgres) -> None:
    """Make the events that have failed so old that the next failure parks them."""
    await db.run("update webhook_deliveries set retried_from = 0 where attempts > 0")


async def deliveries(daemon: Daemon, receiver: Receiver, **fields: Any) -> list[dict[str, Any]]:
    return list((await done(daemon, "webhook.deliveries", endpoint=receiver.id, **fields))["items"])
