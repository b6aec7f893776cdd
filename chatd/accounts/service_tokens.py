"""Service tokens: the credentials of backends, each of one tenant, with a name, scopes and an expiry.

A token is looked up in the database for every request, so a revocation is effective at once on all nodes. Only the hash
of a token is stored. A rotation replaces the secret of a token; the previous secret remains valid for an overlap.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from chatd.accounts.settings import AccountLimits
from chatd.accounts.token_forms import TokenForm
from chatd.app import audit_log
from chatd.app.audit_log import AuditActor
from chatd.app.rate_limits import AddressLimits, Recent
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.identity import ServiceIdentity
from chatd.core.ids import uuid7
from chatd.core.secrets import digest
from chatd.db import queries
from chatd.db.batches import BATCH_SIZE, delete_all
from chatd.db.postgres import Postgres, Tx

SQL = queries.load("accounts/service_tokens")
FORM = TokenForm("chatd_st_")
MAX_TOKENS = 100
MAX_OVERLAP_S = 30 * 86_400
# Tokens whose last use on this node was valid: failures of their address do not matter to them.
MAX_REMEMBERED = 1000
# Revoked and expired tokens can be listed for 90 days.
KEEP_MS = 90 * 86_400_000


class NewToken(Struct, frozen=True):
    """A token and its secret, which is shown once."""

    id: str
    secret: str


class ServiceTokens:
    """Identifies services by their tokens."""

    def __init__(self, config: Config, db: Postgres) -> None:
        self._db = db
        self._failures = AddressLimits(config.get(AccountLimits).auth_failures_per_minute)
        self._known: Recent[bytes, bool] = Recent(lambda: True, MAX_REMEMBERED)

    async def identify(self, token: str | None, address: str, now: int) -> ServiceIdentity:
        """The service of a valid token.

        Raises Refused: `unauthenticated`; `rate_limited` for an address with too many failures, before any look-up.
        """
        hash_ = digest(token or "")
        if self._known.get(hash_) is None:
            self._failures.check(address, 0)
        if token is not None and FORM.is_well_formed(token):
            row = await self._db.one(SQL.use, hash_, now)
            if row is not None:
                self._known.of(hash_)
                return ServiceIdentity(row["tenant"], row["id"], row["name"], frozenset(row["scopes"].split()))
        self._known.discard(hash_)
        self._failures.check(address)
        if token is None or not token.startswith(FORM.prefix):
            raise Refused("unauthenticated", f"expected a service token, which begins with {FORM.prefix}")
        raise Refused("unauthenticated", "the service token is unknown, revoked or expired")


async def add(tx: Tx, actor: AuditActor, name: str, scopes: Sequence[str], expires_at: int | None) -> NewToken:
    """Add a token. Raises Refused: `conflict` if a valid token has the name, `too_large` for too many tokens."""
    token = NewToken(uuid7(actor.now), FORM.new_secret())
    await tx.run(SQL.lock, actor.tenant)
    if await tx.value(SQL.find, actor.tenant, name, actor.now) is not None:
        raise Refused("conflict", f"$.name: a token has the name {name}; revoke or rotate it")
    if await tx.value(SQL.count_valid, actor.tenant, actor.now, MAX_TOKENS) >= MAX_TOKENS:
        raise Refused("too_large", f"a tenant has at most {MAX_TOKENS} service tokens")
    ordered = sorted(set(scopes))
    values = (token.id, name, digest(token.secret), " ".join(ordered), actor.now, actor.name, expires_at)
    await tx.run(SQL.insert, actor.tenant, *values)
    await audit_log.write(tx, actor, "token.add", token.id, {"name": name, "scopes": ordered, "expires_at": expires_at})
    return token


async def revoke(tx: Tx, actor: AuditActor, token: str) -> None:
    """Revoke a token, and its previous secret. Raises Refused: `not_found`."""
    if await tx.value(SQL.revoke, actor.tenant, token, actor.now) is None:
        raise Refused("not_found", "no such token, or it was revoked before")
    await audit_log.write(tx, actor, "token.revoke", token)


async def rotate(tx: Tx, actor: AuditActor, token: str, overlap_s: int) -> NewToken:
    """Give a token a new secret. The present one remains valid for the overlap. Raises Refused: `not_found`."""
    new = NewToken(token, FORM.new_secret())
    until = actor.now + overlap_s * 1000
    if await tx.value(SQL.rotate, actor.tenant, token, actor.now, digest(new.secret), until) is None:
        raise Refused("not_found", "no such token, or it is revoked or expired")
    await audit_log.write(tx, actor, "token.rotate", token, {"overlap": overlap_s})
    return new


async def find(db: Postgres, tenant: str, name: str, now: int) -> str | None:
    """The id of the valid token with this name."""
    found: str | None = await db.value(SQL.find, tenant, name, now)
    return found


async def listed(db: Postgres, tenant: str) -> list[dict[str, Any]]:
    """All tokens of a tenant, the newest first, without secrets."""
    return [{**dict(row), "scopes": row["scopes"].split()} for row in await db.all(SQL.list, tenant)]


async def sweep(db: Postgres, now: int, *, batch_size: int = BATCH_SIZE) -> None:
    """Delete tokens that have been revoked or expired for a long time."""
    await delete_all(db, SQL.sweep_revoked, now - KEEP_MS, batch_size=batch_size)
    await delete_all(db, SQL.sweep_expired, now - KEEP_MS, batch_size=batch_size)
