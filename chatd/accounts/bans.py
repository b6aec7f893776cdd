"""Bans of users, devices and ranges of addresses.

Addresses are not stored, only an HMAC of each of their prefixes, with a key derived from the secret of the installation
(RFC 2104). So a ban of a range is looked up like one of a single address, and a stolen database reveals no addresses.
"""

import hmac
from functools import lru_cache
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
PERMANENT = 2**63 - 1
# The lengths of prefixes that can be banned.
LENGTHS = {4: (32, 24, 16, 8), 6: (128, 64, 56, 48, 32)}
MAX_HASHES = max(map(len, LENGTHS.values()))
# Addresses whose hashes are remembered, about 1 KB each: a client that reconnects comes from the same address.
MAX_CACHED = 10_000


class BadRange(Exception):
    """The text is neither an IP address nor a range that can be banned."""


def address_hashes(config: Config, address: str) -> list[bytes]:
    """The stored forms of a ban of this address and of the ranges that contain it. Empty if the peer has no address."""
    return list(hashes_of(key_of(config), address))


@lru_cache(maxsize=MAX_CACHED)
def hashes_of(key: bytes, address: str) -> tuple[bytes, ...]:
    parsed = parse(address)
    if parsed is None:
        return ()
    networks = (ip_network((parsed, length), strict=False) for length in LENGTHS[parsed.version])
    return tuple(keyed_hash(key, str(network)) for network in networks)


def range_hash(config: Config, text: str) -> bytes:
    """The stored form of a ban of an address or a range. Raises BadRange."""
    try:
        network = ip_network(text if "/" in text else str(parse(text) or ip_address(text)), strict=False)
    except ValueError:
        raise BadRange(f"{text}: expected an IP address or a range such as 203.0.113.0/24") from None
    if network.prefixlen not in LENGTHS[network.version]:
        lengths = ", ".join(f"/{length}" for length in LENGTHS[network.version])
        raise BadRange(f"{text}: expected a range with a prefix length of {lengths}")
    return hash_of(config, str(network))


def hash_of(config: Config, text: str) -> bytes:
    return keyed_hash(key_of(config), text)


def keyed_hash(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def key_of(config: Config) -> bytes:
    """The key of all hashes of addresses."""
    return derived_key(config.data.secret, "addresses")


def raise_if_banned(settings: BanNotice, row: Row | None) -> None:
    """Refuse a banned user. Raises Refused: `banned`, for a row with `banned_until`; the details have the end (null:
    permanent) and how to appeal.
    """
    if row is None or row["banned_until"] is None:
        return
    details = {"until": None if row["banned_until"] == PERMANENT else row["banned_until"]}
    if settings.show_reason:
        details["reason"] = row["ban_reason"]
    if settings.appeals:
        details["appeals"] = settings.appeals
    raise Refused("banned", details=details)


async def check_signup(db: Postgres, config: Config, tenant: str, device: bytes | None, address: str, now: int) -> None:
    """Check the device and the address of a sign-up. Raises Refused: `banned`."""
    raise_if_banned(
        config.get(BanNotice), await db.one(SQL.in_force, tenant, device, address_hashes(config, address), now)
    )


async def insert_ban(
    tx: Tx, actor: AuditActor, user: str, reason: str, until: int | None, *, devices: bool = False
) -> str:
    """Ban a user and end all their logins; with `devices` ban their devices as well. Raises Refused: `not_found`."""
    tenant, id_, now = actor.tenant, uuid7(actor.now), actor.now
    if await tx.value(SQL.lock_user, tenant, user) is None:
        raise Refused("not_found", "no such user")
    await tx.run(SQL.add, tenant, id_, user, None, None, reason, actor.name, now, until)
    await tx.run(SQL.end_logins, tenant, user, now)
    if devices:
        await insert_device_bans(tx, actor, user, reason, until)
    return id_


async def insert_device_bans(tx: Tx, actor: AuditActor, user: str, reason: str, until: int | None) -> int:
    """Ban the devices with which a user has signed up; returns their number."""
    rows = await tx.all(SQL.devices, actor.tenant, user)
    for row in rows:
        id_, hash_ = uuid7(actor.now), row["key_hash"]
        await tx.run(SQL.add, actor.tenant, id_, None, hash_, None, reason, actor.name, actor.now, until)
    return len(rows)


async def ban_user(
    db: Postgres, actor: AuditActor, user: str, reason: str, until: int | None, *, devices: bool = False
) -> str:
    """Returns the id of the ban. `until` in milliseconds, None: permanent. Raises Refused: `not_found`."""
    return await db.in_transaction(insert_ban, actor, user, reason, until, devices=devices)


async def ban_range(db: Postgres, actor: AuditActor, hash_: bytes, reason: str, until: int | None) -> str:
    """Ban an address or a range, see `range_hash`. Returns the id of the ban."""
    id_ = uuid7(actor.now)
    await db.run(SQL.add, actor.tenant, id_, None, None, hash_, reason, actor.name, actor.now, until)
    return id_


async def revoke_ban(db: Postgres, actor: AuditActor, ban: str) -> bool:
    """End a ban, and those of devices that were added with it. False if it does not exist or has been revoked."""
    return await db.value(SQL.revoke, actor.tenant, ban, actor.now, actor.name, uuid7(actor.now)) is not None


async def page(
    db: Postgres, tenant: str, now: int, *, in_force: bool = True, before: str | None = None, limit: int = 1000
) -> list[dict[str, Any]]:
    """Bans, the latest first."""
    page = (tenant, limit, before)
    rows = await (db.all(SQL.page_in_force, *page, now) if in_force else db.all(SQL.page, *page))
    return [dict(row) for row in rows]
