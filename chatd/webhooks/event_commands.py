"""Admin commands for the events of webhook endpoints: tests, replays, and lists."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct, convert

from chatd.app.context import Ctx
from chatd.app.effects import Broadcast, Effects, Reply
from chatd.app.registry import admin_command
from chatd.core.ids import PYTHON_END
from chatd.db.batches import page_of
from chatd.webhooks import events
from chatd.webhooks.directory import EndpointsChanged
from chatd.webhooks.events import SETTLED, Range
from chatd.wire.admin import AdminCommand
from chatd.wire.base import MAX_BIGINT, Id, Limit, Millis, Result
from chatd.wire.reference.examples import Example
from chatd.wire.times import Moment

# The number of an event in a queue, as text: JavaScript has no integers of this size.
Position = Annotated[
    str, Meta(pattern=f"^[0-9]{{1,18}}{PYTHON_END}", description="Number of an event in the order of the queue")
]


class TestWebhook(AdminCommand, tag="admin.webhook.test"):
    """Send an event of the type `webhook.test`. Its result is in `admin.webhook.deliveries`."""

    __test__ = False
    endpoint: Id


class WebhookTested(Result, tag="admin.webhook.tested"):
    """The test is queued. `event`: its `webhook-id`."""

    event: Id


@admin_command(TestWebhook, result=WebhookTested, refuses=("not_found", "conflict"), uncancellable=True)
async def test_webhook(ctx: Ctx, cmd: TestWebhook) -> Effects:
    """`not_found`: there is no such endpoint. `conflict`: it is disabled."""
    event = await ctx.node.db.in_transaction(events.test, ctx.actor, cmd.endpoint)
    return [Broadcast(EndpointsChanged()), Reply(WebhookTested(event))]


class ReplayWebhookEvents(AdminCommand, tag="admin.webhook.replay"):
    """Send events again that happened from `since` to before `until`, under their `webhook-id`. `state`: only those
    that are delivered or parked.

    One command examines 5,000 events. If the answer has `after`, there may be more: repeat the command with it.
    """

    endpoint: Id
    since: Moment
    until: Moment
    state: Literal["delivered", "parked", "any"] = "any"
    after: Position = "0"
    EXAMPLE: ClassVar = Example(after="1041")


class WebhookReplayed(Result, tag="admin.webhook.replayed"):
    """The number of events that are sent again. `after`: null after the last event."""

    events: int
    after: Position | None


@admin_command(ReplayWebhookEvents, result=WebhookReplayed, refuses=("not_found",), uncancellable=True)
async def replay_webhook_events(ctx: Ctx, cmd: ReplayWebhookEvents) -> Effects:
    """`not_found`: there is no such endpoint."""
    chosen = Range(cmd.since, cmd.until, SETTLED if cmd.state == "any" else (cmd.state,))
    done = await ctx.node.db.in_transaction(events.replay, ctx.actor, cmd.endpoint, chosen, int(cmd.after))
    after = None if done.last is None else str(done.last)
    return [Broadcast(EndpointsChanged()), Reply(WebhookReplayed(events=done.count, after=after))]


class ListWebhookDeliveries(AdminCommand, tag="admin.webhook.deliveries"):
    """List the events of a webhook endpoint, newest first. `before`: the last `id` of the previous page."""

    endpoint: Id
    state: Literal["pending", "parked", "any"] = "any"
    before: Position | None = None
    limit: Limit = 50
    EXAMPLE: ClassVar = Example(before="1041")


class WebhookDelivery(Struct, kw_only=True, frozen=True):
    """An event of an endpoint. `event`: its `webhook-id`. `key`: the conversation, user or report in whose order it is
    sent. `at`: when it happened. `error`: why the last attempt failed.

    `state`: `pending`: not delivered yet; `delivered`; `parked`: not delivered in time, and sent by a replay only;
    `dropped`: what it was about was deleted.
    """

    id: Position
    event: Id
    type: str
    key: Id
    state: Literal["pending", "delivered", "parked", "dropped"]
    attempts: int
    error: str | None
    at: Millis
    attempted_at: Millis | None
    settled_at: Millis | None
    EXAMPLE: ClassVar = Example(id="1041", type="message.created")


class WebhookDeliveries(Result, tag="admin.webhook.delivery.list"):
    """A page of events. `more`: there are older ones."""

    items: list[WebhookDelivery]
    more: bool


@admin_command(ListWebhookDeliveries, result=WebhookDeliveries, role="viewer")
async def list_webhook_deliveries(ctx: Ctx, cmd: ListWebhookDeliveries) -> Effects:
    state, before = None if cmd.state == "any" else cmd.state, MAX_BIGINT if cmd.before is None else int(cmd.before)
    rows = await events.deliveries(ctx.node.db, ctx.tenant, cmd.endpoint, state, before=before, limit=cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    return [Reply(WebhookDeliveries(items=convert(page, list[WebhookDelivery]), more=more))]
