"""Who may not come in: users, devices, ranges of addresses.

An address is never stored: only an HMAC of its prefixes, with a key derived from the secret of the installation (RFC 2104).
So a ban on a range is a comparison like one on a single address, and a stolen database names no addresses.
"""

import hmac
from ipaddress import ip_address, ip_network
from typing import Any

from chatd.accounts.settings import BanNotice
from chatd.app.audit_log import AuditActor
from chatd.core.addresses import parse
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.core.secrets import derived_key
from chatd.db import queries
from chatd.db.postgres import Postgres, Row, Tx

SQL = queries.load("accounts/bans")
FOR_EVER = 2**63 - 1
# The lengths of prefixes that can be banned.
LENGTHS = {4: (32, 24, 16, 8), 6: (128, 64, 56, 48, 32)}


class BadRange(Exception):
    """What was given is no address, and no range that can be banned."""


def address_hashes(config: Config, address: str) -> list[bytes]:
    """What a ban on this address, or on a range around it, would be kept as. None when the peer has no address."""
    parsed = parse(address)
    if parsed is None:
        return []
    return [hash_of(config, str(ip_network((parsed, length), strict=False))) for length in LENGTHS[parsed.version]]


def range_hash(config: Config, text: str) -> bytes:
    """How a ban on an address or a range is kept. Raises BadRange."""
    try:
        network = ip_network(text if "/" in text else str(parse(text) or ip_address(text)), strict=False)
    except ValueError:
        raise BadRange(f"{text} is no address and no range") from None
    if network.prefixlen not in LENGTHS[network.version]:
        lengths = ", ".join(f"/{length}" for length in LENGTHS[network.version])
        raise BadRange(f"{text}: only ranges of the lengths {lengths} can be banned")
    return hash_of(config, str(network))


def hash_of(config: Config, text: str) -> bytes:
    return hmac.digest(derived_key(config.data.secret, "addresses"), text.encode(), "sha256")


def refuse(settings: BanNotice, row: Row | None) -> None:
    """Raises Refused: `banned`, for a row with `banned_until`; its details say until when (null: for ever) and how to appeal."""
    if row is None or row["banned_until"] is None:
        return
    details = {"until": None if row["banned_until"] == FOR_EVER else row["banned_until"]}
    if settings.show_reason:
        details["reason"] = row["ban_reason"]
    if settings.appeals:
        details["appeals"] = settings.appeals
    raise Refused("banned", details=details)


async def check_arrival(db: Postgres, config: Config, tenant: str, device: bytes | None, address: str, now: int) -> None:
    """Before somebody signs up. Raises Refused: `banned`."""
    refuse(config.get(BanNotice), await db.one(SQL.in_force, tenant, device, address_hashes(config, address), now))


async def put_on_user(tx: Tx, actor: AuditActor, user: str, reason: str, until: int | None, *, devices: bool = False) -> str:
    """Within a transaction: ban a user and end all their logins; with `devices` ban those too. Refused `not_found`."""
    tenant, id_, now = actor.tenant, uuid7(actor.now), actor.now
    if await tx.value(SQL.hold_user, tenant, user) is None:
        raise Refused("not_found", "no such user")
    await tx.run(SQL.add, tenant, id_, user, None, None, reason, actor.name, now, until)
    await tx.run(SQL.end_logins, tenant, user, now)
    if devices:
        await put_on_devices(tx, actor, user, reason, until)
    return id_


async def put_on_devices(tx: Tx, actor: AuditActor, user: str, reason: str, until: int | None) -> int:
    """Within a transaction: ban the devices that a user has signed up with; how many there are."""
    rows = await tx.all(SQL.devices, actor.tenant, user)
    for row in rows:
        id_, hash_ = uuid7(actor.now), row["key_hash"]
        await tx.run(SQL.add, actor.tenant, id_, None, hash_, None, reason, actor.name, actor.now, until)
    return len(rows)


async def ban_user(db: Postgres, actor: AuditActor, user: str, reason: str, until: int | None, *, devices: bool = False) -> str:
    """The id of the ban; `until` in milliseconds, None: for ever. Raises Refused: `not_found`."""
    return await db.in_transaction(put_on_user, actor, user, reason, until, devices=devices)


async def ban_range(db: Postgres, actor: AuditActor, hash_: bytes, reason: str, until: int | None) -> str:
    """Ban an address or a range; see `range_hash`. The id of the ban."""
    id_ = uuid7(actor.now)
    await db.run(SQL.add, actor.tenant, id_, None, None, hash_, reason, actor.name, actor.now, until)
    return id_


async def lift(db: Postgres, actor: AuditActor, ban: str) -> bool:
    """End a ban; False when there is none that was not lifted already."""
    return await db.value(SQL.lift, actor.tenant, ban, actor.now, actor.name, uuid7(actor.now)) is not None


async def page(
    db: Postgres, tenant: str, now: int, *, in_force: bool = True, before: str | None = None, limit: int = 1000
) -> list[dict[str, Any]]:
    """Bans, the latest first."""
    page = (tenant, limit, before)
    rows = await (db.all(SQL.page_in_force, *page, now) if in_force else db.all(SQL.page, *page))
    return [dict(row) for row in rows]
