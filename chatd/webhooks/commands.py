"""Admin commands for webhook endpoints."""

from typing import Annotated, ClassVar

from msgspec import Meta, Struct, convert

from chatd.app.context import Ctx
from chatd.app.effects import Broadcast, Effects, Reply
from chatd.app.registry import admin_command
from chatd.webhooks import endpoints
from chatd.webhooks.directory import EndpointsChanged
from chatd.webhooks.endpoints import Changes, NewEndpoint
from chatd.webhooks.event_types import PATTERN
from chatd.webhooks.settings import WebhookSettings
from chatd.wire.admin import AdminCommand
from chatd.wire.base import Id, Millis, Ok, Result
from chatd.wire.reference.examples import Example
from chatd.wire.texts import PRIVATE

Url = Annotated[
    str, Meta(min_length=1, max_length=2000, extra=PRIVATE, description="https://, without a user or password")
]
Types = Annotated[
    list[Annotated[str, Meta(pattern=PATTERN, description="A type of events, such as `message.created`")]],
    Meta(min_length=1, max_length=50, description="Types of events: `message.created`, `message.*`, or `*` for all"),
]
Note = Annotated[str, Meta(max_length=200, extra=PRIVATE, description="For admins")]
URL = "https://example.org/webhooks"
SECRET = "whsec_" + "A" * 43 + "="


class ListWebhooks(AdminCommand, tag="admin.webhooks"):
    """List the webhook endpoints of a tenant, with the state of their queues."""


class WebhookEndpoint(Struct, kw_only=True, frozen=True):
    """A webhook endpoint. `disabled_at`: since when it gets no events, with the reason. `failing_since`: the first
    failed attempt after the last success. `previous_until`: until when the secret before the rotation signs too.
    `pending`, `parked`: events that wait, and that were given up, counted up to 10,000. `oldest_pending_at`: when the
    first of those that wait has happened. `bot`: the bot whose endpoint it is; null: it is of the backend.
    """

    id: Id
    bot: Id | None
    url: Url
    types: Types
    note: str
    created_at: Millis
    disabled_at: Millis | None
    disabled_reason: str | None
    failing_since: Millis | None
    last_error: str | None
    previous_until: Millis | None
    pending: int
    parked: int
    oldest_pending_at: Millis | None
    EXAMPLE: ClassVar = Example(url=URL, types="message.*", bot=None)


class WebhookEndpoints(Result, tag="admin.webhook.list"):
    """All webhook endpoints of a tenant."""

    items: list[WebhookEndpoint]


@admin_command(ListWebhooks, result=WebhookEndpoints, role="viewer")
async def list_webhooks(ctx: Ctx, cmd: ListWebhooks) -> Effects:
    rows = await endpoints.page(ctx.node.db, ctx.tenant)
    return [Reply(WebhookEndpoints(items=convert(rows, list[WebhookEndpoint])))]


class AddWebhook(AdminCommand, tag="admin.webhook.add"):
    """Add a webhook endpoint, which gets the events of these types from now on."""

    url: Url
    types: Types
    note: Note = ""
    EXAMPLE: ClassVar = Example(url=URL, types="message.*")


class WebhookSecret(Result, tag="admin.webhook.secret"):
    """The secret that signs events to an endpoint. It is shown once."""

    id: Id
    secret: str
    EXAMPLE: ClassVar = Example(secret=SECRET)


@admin_command(AddWebhook, result=WebhookSecret, refuses=("too_large",), uncancellable=True)
async def add_webhook(ctx: Ctx, cmd: AddWebhook) -> Effects:
    """`too_large`: the tenant has `webhooks.max_endpoints` endpoints."""
    config, new = ctx.node.config, NewEndpoint(cmd.url, cmd.types, cmd.note)
    settings, secret = config.get(WebhookSettings), config.data.secret
    shown = await ctx.node.db.in_transaction(endpoints.add, secret, settings, ctx.actor, new)
    return [Broadcast(EndpointsChanged()), Reply(WebhookSecret(shown.id, shown.secret))]


class EditWebhook(AdminCommand, tag="admin.webhook.edit"):
    """Change a webhook endpoint. Fields that are left out stay as they are."""

    endpoint: Id
    url: Url | None = None
    types: Types | None = None
    note: Note | None = None
    EXAMPLE: ClassVar = Example(url=URL, types="message.*")


@admin_command(EditWebhook, result=Ok, refuses=("not_found",), uncancellable=True)
async def edit_webhook(ctx: Ctx, cmd: EditWebhook) -> Effects:
    """`not_found`: there is no such endpoint."""
    settings, changes = ctx.node.config.get(WebhookSettings), Changes(cmd.url, cmd.types, cmd.note)
    await ctx.node.db.in_transaction(endpoints.edit, settings, ctx.actor, cmd.endpoint, changes)
    return [Broadcast(EndpointsChanged()), Reply(Ok())]


class RotateWebhookSecret(AdminCommand, tag="admin.webhook.rotate"):
    """Replace the secret of a webhook endpoint. For `webhooks.rotation_overlap`, events have a signature of each."""

    endpoint: Id


@admin_command(RotateWebhookSecret, result=WebhookSecret, refuses=("not_found",), uncancellable=True)
async def rotate_webhook_secret(ctx: Ctx, cmd: RotateWebhookSecret) -> Effects:
    """`not_found`: there is no such endpoint."""
    settings, secret = ctx.node.config.get(WebhookSettings), ctx.node.config.data.secret
    shown = await ctx.node.db.in_transaction(endpoints.rotate, secret, settings, ctx.actor, cmd.endpoint)
    return [Broadcast(EndpointsChanged()), Reply(WebhookSecret(shown.id, shown.secret))]


class EnableWebhook(AdminCommand, tag="admin.webhook.enable"):
    """Enable a webhook endpoint. Events that wait are sent at once; those that happened while it was disabled are not
    sent.
    """

    endpoint: Id


@admin_command(EnableWebhook, result=Ok, refuses=("not_found",), uncancellable=True)
async def enable_webhook(ctx: Ctx, cmd: EnableWebhook) -> Effects:
    """`not_found`: there is no such endpoint."""
    await ctx.node.db.in_transaction(endpoints.enable, ctx.actor, cmd.endpoint)
    return [Broadcast(EndpointsChanged()), Reply(Ok())]


class DisableWebhook(AdminCommand, tag="admin.webhook.disable"):
    """Disable a webhook endpoint: it gets no events until it is enabled."""

    endpoint: Id
    reason: Annotated[str, Meta(min_length=1, max_length=200, extra=PRIVATE)] = "disabled by an admin"


@admin_command(DisableWebhook, result=Ok, refuses=("not_found",), uncancellable=True)
async def disable_webhook(ctx: Ctx, cmd: DisableWebhook) -> Effects:
    """`not_found`: there is no such endpoint."""
    await ctx.node.db.in_transaction(endpoints.disable, ctx.actor, cmd.endpoint, cmd.reason)
    return [Broadcast(EndpointsChanged()), Reply(Ok())]


class RemoveWebhook(AdminCommand, tag="admin.webhook.remove"):
    """Remove a webhook endpoint with its events."""

    endpoint: Id


@admin_command(RemoveWebhook, result=Ok, refuses=("not_found",), uncancellable=True)
async def remove_webhook(ctx: Ctx, cmd: RemoveWebhook) -> Effects:
    """`not_found`: there is no such endpoint."""
    await ctx.node.db.in_transaction(endpoints.remove, ctx.actor, cmd.endpoint)
    return [Broadcast(EndpointsChanged()), Reply(Ok())]
