"""Refresh tokens: each is used once, and the answer can be repeated for a while.

The successor of a token is computed from it with the secret of the installation. So a client that lost the answer, or
that refreshed twice at once, gets the same successor when it presents the used token again within the grace
(`auth.refresh_grace`). A login has one unused token at any time; a used token after the grace means that the token was
copied, so the login ends. Tokens are stored as hashes.
"""

import base64
import hmac
import re
import secrets
from enum import Enum

from msgspec import Struct

from chatd.core.config import Config
from chatd.core.secrets import derived_key, digest
from chatd.db import queries
from chatd.db.postgres import Postgres, Row

SQL = queries.load("accounts/refresh_tokens")
# A refresh token: 32 bytes in base64url.
TOKEN_BYTES = 32
REFRESH_TOKEN = re.compile(r"cr_[A-Za-z0-9_-]{43}")
# How far a retry looks for the unused token. So many refreshes of one login within the grace are too many.
MAX_SUCCESSORS = 8


class RotationState(Enum):
    """The outcome of a refresh. Only REUSED has changed something besides ROTATED: the login has ended."""

    ROTATED = "rotated"
    REPEATED = "repeated"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    ENDED = "ended"
    REUSED = "reused"
    TOO_OFTEN = "too_often"
    FOREIGN = "foreign"


class Rotation(Struct, frozen=True):
    """The outcome, the login, and the token to use next: "" if there is none."""

    state: RotationState
    tenant: str = ""
    user: str = ""
    login: str = ""
    token: str = ""


class RotationRules(Struct, frozen=True, kw_only=True):
    """`key` derives successors. `ttl_ms` and `grace_ms` in milliseconds. `tenants`: those whose tokens this server
    issues. `network`: of the client, for the list of logins.
    """

    key: bytes
    ttl_ms: int
    grace_ms: int
    per_hour: int
    tenants: list[str]
    network: str | None = None


def successor_key(config: Config) -> bytes:
    """Raises BadSecret."""
    return derived_key(config.data.secret, "refresh tokens")


def first_token() -> str:
    """The first token of a login."""
    return f"cr_{secrets.token_urlsafe(TOKEN_BYTES)}"


def successor(key: bytes, token: str) -> str:
    mac = hmac.digest(key, token.encode(), "sha256")
    return f"cr_{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


async def rotate(db: Postgres, token: str, now: int, rules: RotationRules) -> Rotation:
    """Replace a token by its successor. A malformed token costs no statement."""
    if REFRESH_TOKEN.fullmatch(token) is None:
        return Rotation(RotationState.UNKNOWN)
    new = successor(rules.key, token)
    row = await db.one(
        SQL.rotate, digest(token), now, digest(new), now + rules.ttl_ms, rules.tenants, rules.per_hour,
        now - rules.grace_ms, rules.network,
    )  # fmt: skip
    if row is None:
        return Rotation(RotationState.UNKNOWN)
    state = RotationState(row["state"])
    if state is RotationState.REPEATED:
        new = await unused_successor(db, rules.key, token, row)
        state = state if new else RotationState.ENDED
    return Rotation(state, row["tenant"], row["user"], row["login"], new)


async def unused_successor(db: Postgres, key: bytes, token: str, login: Row) -> str:
    """The unused token of a login, which descends from `token`; "" if the login has ended.

    It is looked up by a new statement: the one that waited for a concurrent refresh does not see its successor.
    """
    tokens = [token]
    for _ in range(MAX_SUCCESSORS):
        tokens.append(successor(key, tokens[-1]))
    hashes = [digest(one) for one in tokens]
    position: int | None = await db.value(SQL.find_unused, hashes, login["tenant"], login["login"])
    return tokens[position - 1] if position else ""
