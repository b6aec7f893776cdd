"""Bots as accounts: adding, changing and removing them, and their tokens. Each act is in the audit log, in the
transaction of the act.
"""

from typing import Any, Literal

from msgspec import Struct

from chatd.accounts import bot_tokens
from chatd.app import audit_log
from chatd.app.audit_log import AuditActor
from chatd.app.context import Node
from chatd.app.personal_data import AllPersonalData
from chatd.bots.settings import BotSettings
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.ids import NIL, uuid7
from chatd.db import queries
from chatd.db.batches import BATCH_SIZE
from chatd.db.postgres import Postgres, Row, Tx
from chatd.people import handles
from chatd.people.handles import ReservedHandles
from chatd.people.name_index import NameIndex
from chatd.people.settings import PeopleSettings
from chatd.privacy import erasure
from chatd.webhooks import endpoints
from chatd.webhooks.endpoints import NewEndpoint, Shown
from chatd.webhooks.event_types import BOT_TYPES
from chatd.webhooks.settings import WebhookSettings

SQL = queries.load("bots/bots")
WEBHOOKS_SQL = queries.load("webhooks/endpoints")
Reads = Literal["commands", "all"]


class Tools(Struct, frozen=True):
    """What acts on bots need of a node, or of a command line."""

    config: Config
    reserved: ReservedHandles
    names: NameIndex
    data: AllPersonalData


def tools_of(node: Node) -> Tools:
    return Tools(node.config, node.get(ReservedHandles), node.get(NameIndex), node.get(AllPersonalData))


def tools_for(config: Config, db: Postgres, data: AllPersonalData) -> Tools:
    """The tools of a command line."""
    people = config.get(PeopleSettings)
    return Tools(
        config, ReservedHandles(people.reserved_handles), NameIndex(db, has_names=people.search == "names"), data
    )


class Profile(Struct, frozen=True):
    """What bots are made of; None leaves a field as it is, and an empty text removes a picture or a webhook."""

    handle: str | None = None
    name: str | None = None
    description: str | None = None
    picture_url: str | None = None
    reads: Reads | None = None
    webhook: str | None = None


class Added(Struct, frozen=True):
    """A new bot. `token` and `webhook_secret` are shown once."""

    id: str
    token: str
    webhook_secret: str | None


async def add(tx: Tx, tools: Tools, actor: AuditActor, given: Profile, expires_at: int | None) -> Added:
    """Add a bot with its token. Raises Refused: `bad_request`, `forbidden` for a reserved handle, `conflict` for one
    that is taken, `too_large` for too many bots; UniqueViolation for a handle that is taken at the same time.
    """
    handle = handles.checked(given.handle or "", tools.reserved)
    await tx.value(SQL.lock_tenant, actor.tenant)
    most = tools.config.get(BotSettings).max_bots
    if await tx.value(SQL.count, actor.tenant, most) >= most:
        raise Refused("too_large", f"a tenant has at most {most} bots")
    bot, key = uuid7(actor.now), handles.key_of(handle)
    await handles.change(tx, tools.config.get(PeopleSettings), handles.Owner(actor.tenant, bot, actor.now), None, key)
    values = (given.name or handle, handle, key, given.picture_url or None, given.reads or "commands", actor.now)
    row = await tx.one(SQL.insert_user, actor.tenant, bot, *values)
    assert row is not None
    await tx.run(SQL.insert, actor.tenant, bot, given.description or "", actor.name, actor.now)
    await tools.names.write(tx, actor.tenant, row)
    await audit_log.write(tx, actor, "bot.add", bot, {"handle": handle, "reads": given.reads or "commands"})
    shown = await set_webhook(tx, tools, actor, bot, given.webhook) if given.webhook else None
    token = await bot_tokens.issue(tx, actor, bot, 0, expires_at)
    return Added(bot, token.secret, None if shown is None else shown.secret)


async def update(tx: Tx, tools: Tools, actor: AuditActor, bot: str, given: Profile) -> str | None:
    """Change the given fields. Returns the secret of a new webhook endpoint, if there is one. Raises Refused as `add`,
    and `not_found`; UniqueViolation.
    """
    before = await lock(tx, actor, bot)
    handle = key = None
    if given.handle is not None:
        handle = handles.checked(given.handle, tools.reserved)
        key = handles.key_of(handle)
        owner = handles.Owner(actor.tenant, bot, actor.now)
        await handles.change(tx, tools.config.get(PeopleSettings), owner, before["handle_key"], key)
    values = (given.name or None, handle, key, given.picture_url, given.reads)
    row = await tx.one(SQL.update_user, actor.tenant, bot, *values)
    assert row is not None
    await tx.run(SQL.update, actor.tenant, bot, given.description)
    await tools.names.write(tx, actor.tenant, row)
    changed = [name for name in given.__struct_fields__ if getattr(given, name) is not None]
    await audit_log.write(tx, actor, "bot.update", bot, {"fields": changed})
    shown = None if given.webhook is None else await set_webhook(tx, tools, actor, bot, given.webhook)
    return None if shown is None else shown.secret


async def lock(tx: Tx, actor: AuditActor, bot: str) -> Row:
    """Raises Refused: `not_found`."""
    row = await tx.one(SQL.lock, actor.tenant, bot)
    if row is None:
        raise Refused("not_found", "no such bot")
    return row


async def set_webhook(tx: Tx, tools: Tools, actor: AuditActor, bot: str, url: str) -> Shown | None:
    """Replace the URL of the bot, or remove it if it is empty. Returns a new endpoint with its secret. Raises Refused:
    `bad_request`.
    """
    settings, known = tools.config.get(WebhookSettings), await tx.value(WEBHOOKS_SQL.of_bot, actor.tenant, bot)
    if not url:
        if known is not None:
            await endpoints.remove(tx, actor, known)
        return None
    if known is not None:
        await endpoints.edit(tx, settings, actor, known, endpoints.Changes(url=url))
        return None
    new = NewEndpoint(url, BOT_TYPES, bot=bot)
    return await endpoints.add(tx, tools.config.data.secret, settings, actor, new)


async def remove(tx: Tx, tools: Tools, actor: AuditActor, bot: str) -> None:
    """Remove a bot: its token ends, and its erasure begins. The caller closes its sessions. Raises Refused:
    `not_found`.
    """
    await lock(tx, actor, bot)
    await set_webhook(tx, tools, actor, bot, "")
    await audit_log.write(tx, actor, "bot.remove", bot)
    await erasure.begin(tx, tools.data, actor.tenant, bot, actor.name, actor.now)


async def issue(tx: Tx, actor: AuditActor, bot: str, overlap_s: int, expires_at: int | None) -> bot_tokens.NewBotToken:
    """Give a bot a new token. Raises Refused: `not_found`."""
    await lock(tx, actor, bot)
    return await bot_tokens.issue(tx, actor, bot, overlap_s, expires_at)


async def revoke(tx: Tx, actor: AuditActor, bot: str) -> list[str]:
    """Revoke the token of a bot. Returns the ids whose sessions have to be closed. Raises Refused: `not_found`."""
    await lock(tx, actor, bot)
    return await bot_tokens.revoke(tx, actor, bot)


async def every(db: Postgres, tenant: str, *, batch_size: int = BATCH_SIZE) -> list[dict[str, Any]]:
    """All bots of a tenant, of which `bots.max_bots` can be added, by their ids."""
    found, after = list[dict[str, Any]](), NIL
    while True:
        rows = await db.all(SQL.page, tenant, None, after, batch_size)
        found += map(dict, rows)
        if len(rows) < batch_size:
            return found
        after = rows[-1]["id"]


async def get(db: Postgres, tenant: str, bot: str) -> dict[str, Any]:
    """One bot. Raises Refused: `not_found`."""
    rows = await db.all(SQL.page, tenant, bot, NIL, 1)
    if not rows:
        raise Refused("not_found", "no such bot")
    return dict(rows[0])
