"""What admins and operators do with endpoints. Each act is in the audit log, in the transaction of the act."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from chatd.app import audit_log
from chatd.app.audit_log import AuditActor
from chatd.core.addresses import parse
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.core.public_addresses import is_public
from chatd.core.setting_rules import checked_url
from chatd.db import queries
from chatd.db.http_client import check_url, host_of
from chatd.db.postgres import Postgres, Row, Tx
from chatd.outbox.consumers import set_interests, wait_for_consumer
from chatd.webhooks.event_types import BOT_SOURCES, EVENT_TYPES, expand, unknown
from chatd.webhooks.settings import WebhookSettings
from chatd.webhooks.signing import new_salt, secret_of, shown_secret

SQL = queries.load("webhooks/endpoints")
CONSUMER = "webhooks"


class NewEndpoint(Struct, frozen=True):
    """`bot`: whose endpoint it is; it gets all types of events for bots."""

    url: str
    types: Sequence[str]
    note: str = ""
    bot: str | None = None


class Changes(Struct, frozen=True):
    """New values of an endpoint; None leaves a field as it is."""

    url: str | None = None
    types: Sequence[str] | None = None
    note: str | None = None


class Shown(Struct, frozen=True):
    """An endpoint with its secret, which is shown when it is new."""

    id: str
    secret: str


def check_endpoint(settings: WebhookSettings, url: str | None, types: Sequence[str] | None) -> None:
    """Check what an endpoint is made of. Raises Refused: `bad_request`."""
    if url is not None:
        try:
            checked_url(url)
            check_url(url, ("https", "http") if settings.allow_private else ("https",))
            host = host_of(url)
        except ValueError as error:
            raise Refused("bad_request", f"$.url: {error}") from None
        if not settings.allow_private and parse(host) is not None and not is_public(host):
            raise Refused("bad_request", "$.url: this IP address is not public; see webhooks.allow_private")
    if types is not None and (not types or unknown(types)):
        wrong = ", ".join(unknown(types)) or "an empty list"
        known = ", ".join(EVENT_TYPES)
        raise Refused(
            "bad_request", f"$.types: {wrong} selects no events. Expected `*`, `message.*` or some of {known}"
        )


async def add(tx: Tx, secret: str, settings: WebhookSettings, actor: AuditActor, new: NewEndpoint) -> Shown:
    """Add an endpoint. `secret`: that of the installation.

    Raises Refused: `bad_request`; `too_large` if the tenant has too many.
    """
    check_endpoint(settings, new.url, new.types if new.bot is None else None)
    await lock(tx, actor)
    endpoint, salt = uuid7(actor.now), new_salt()
    row = (actor.tenant, endpoint, new.url, list(new.types), new.note, salt, actor.now, new.bot)
    if await tx.value(SQL.insert, *row, settings.max_endpoints) is None:
        raise Refused("too_large", f"a tenant can have at most {settings.max_endpoints} webhook endpoints")
    await renew_interests(tx, actor.tenant)
    await audit_log.write(tx, actor, "webhook.add", endpoint, details_of(new.url, new.types))
    return Shown(endpoint, shown_secret(secret_of(secret, endpoint, salt)))


def details_of(url: str | None, types: Sequence[str] | None) -> dict[str, Any]:
    """The details of an audit entry. The path of a URL may contain a secret."""
    details: dict[str, Any] = {} if url is None else {"host": host_of(url)}
    return details if types is None else details | {"types": list(types)}


async def edit(tx: Tx, settings: WebhookSettings, actor: AuditActor, endpoint: str, changes: Changes) -> None:
    """Change fields of an endpoint. Raises Refused: `not_found`, `bad_request`."""
    check_endpoint(settings, changes.url, changes.types)
    if (await find(tx, actor, endpoint))["bot"] is not None and changes.types is not None:
        raise Refused("bad_request", "$.types: the endpoint of a bot gets all events for the bot")
    types = None if changes.types is None else list(changes.types)
    await tx.run(SQL.edit, actor.tenant, endpoint, changes.url, types, changes.note)
    await renew_interests(tx, actor.tenant)
    await audit_log.write(tx, actor, "webhook.edit", endpoint, details_of(changes.url, types))


async def rotate(tx: Tx, secret: str, settings: WebhookSettings, actor: AuditActor, endpoint: str) -> Shown:
    """Make a new secret. The previous one signs too, for `webhooks.rotation_overlap`. Raises Refused: `not_found`."""
    await find(tx, actor, endpoint)
    salt, until = new_salt(), actor.now + round(settings.rotation_overlap * 1000)
    await tx.run(SQL.rotate, actor.tenant, endpoint, salt, until)
    await audit_log.write(tx, actor, "webhook.rotate", endpoint)
    return Shown(endpoint, shown_secret(secret_of(secret, endpoint, salt)))


async def enable(tx: Tx, actor: AuditActor, endpoint: str) -> None:
    """Send events again, beginning with those that wait. Raises Refused: `not_found`."""
    await find(tx, actor, endpoint)
    await tx.run(SQL.enable, actor.tenant, endpoint)
    await make_due(tx, actor, endpoint)
    await renew_interests(tx, actor.tenant)
    await audit_log.write(tx, actor, "webhook.enable", endpoint)


async def disable(tx: Tx, actor: AuditActor, endpoint: str, reason: str) -> bool:
    """Send no more events. Returns False if the endpoint is disabled already. Raises Refused: `not_found`."""
    await find(tx, actor, endpoint)
    if await tx.value(SQL.disable, actor.tenant, endpoint, reason, actor.now) is None:
        return False
    await renew_interests(tx, actor.tenant)
    await audit_log.write(tx, actor, "webhook.disable", endpoint, {"reason": reason})
    return True


async def remove(tx: Tx, actor: AuditActor, endpoint: str) -> None:
    """Remove an endpoint. A job deletes its events. Raises Refused: `not_found`."""
    await find(tx, actor, endpoint)
    await tx.run(SQL.remove, actor.tenant, endpoint, actor.now)
    await renew_interests(tx, actor.tenant)
    await audit_log.write(tx, actor, "webhook.remove", endpoint)


async def page(db: Postgres, tenant: str) -> list[dict[str, Any]]:
    """The endpoints of a tenant. `pending` and `parked` are counted up to 10,000."""
    return [dict(row) for row in await db.all(SQL.page, tenant)]


async def make_due(tx: Tx, actor: AuditActor, endpoint: str) -> None:
    """Let events that wait for their next attempt be sent at once. The router locks many streams too, in another
    order: it has to wait.
    """
    await wait_for_consumer(tx, CONSUMER)
    await tx.run(SQL.make_due, actor.tenant, endpoint)


async def note_failure(db: Postgres, tenant: str, endpoint: str, now: int, error: str) -> int | None:
    """Note a failed attempt. Returns since when the endpoint fails; None if it was removed. Raises Refused."""
    since: int | None = await db.value(SQL.note_failure, tenant, endpoint, now, error)
    return since


async def note_success(db: Postgres, tenant: str, endpoint: str) -> None:
    """Note that an endpoint does not fail any more. Raises Refused."""
    await db.run(SQL.note_success, tenant, endpoint)


async def find(tx: Tx, actor: AuditActor, endpoint: str) -> Row:
    """An endpoint, locked, with the endpoints of its tenant. Raises Refused: `not_found`."""
    await lock(tx, actor)
    row = await tx.one(SQL.get, actor.tenant, endpoint)
    if row is None:
        raise Refused("not_found", "no such webhook endpoint")
    return row


async def lock(tx: Tx, actor: AuditActor) -> None:
    await tx.value(SQL.lock_tenant, actor.tenant)


async def renew_all_interests(db: Postgres) -> None:
    """Expand the filters of all endpoints: this release may know more types of events. Raises Refused."""
    tenant = ""
    while (tenant := await db.value(SQL.next_tenant, tenant)) is not None:
        await db.in_transaction(renew_in_tenant, tenant)


async def renew_in_tenant(tx: Tx, tenant: str) -> None:
    await tx.value(SQL.lock_tenant, tenant)
    await renew_interests(tx, tenant)


async def renew_interests(tx: Tx, tenant: str) -> None:
    """Let the outbox note what the endpoints of a locked tenant want to know of."""
    rows = await tx.all(SQL.types, tenant)
    patterns = {pattern for row in rows if not row["is_of_bot"] for pattern in row["types"]}
    of_bots = BOT_SOURCES if any(row["is_of_bot"] for row in rows) else frozenset()
    await set_interests(tx, CONSUMER, tenant, expand(patterns) | of_bots)
