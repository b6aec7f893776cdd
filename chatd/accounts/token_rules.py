"""The rules for the claims of an access token (RFC 7519, RFC 8725). Pure: the time is an argument."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from chatd.accounts.external_ids import UNSTORABLE, external_id_of, user_id_of
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.ids import is_uuid

MAX_TOKEN_BYTES = 4096
DEFAULT_TENANT = "default"
TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
ACCESS = "user"


class Expected(Struct, frozen=True):
    """The expected claims of a tenant's tokens; "" for claims that are not checked. `leeway` in seconds."""

    tenant: str
    issuer: str
    audience: str
    leeway: float


def principal_of(claims: Mapping[str, Any], expected: Expected, now_ms: int, token_id: str) -> Principal:
    """The user of a verified token. `token_id` replaces a missing `jti`. Raises Refused: `unauthenticated`."""
    check_times(claims, expected.leeway, now_ms / 1000)
    check_source(claims, expected)
    user, external_id = subject(claims, expected.tenant)
    scope = text(claims, "scope", ACCESS)
    if scope != ACCESS:
        raise refused("scope is not `user`")
    login = text(claims, "login", "").lower()
    if login and not is_uuid(login):
        raise refused("login is not a UUID")
    return Principal(
        expected.tenant, user, text(claims, "jti", "") or token_id, login, scope, int(claims["exp"] * 1000), external_id
    )


def subject(claims: Mapping[str, Any], tenant: str) -> tuple[str, str | None]:
    """The user id and the external id in the claim `sub`."""
    sub = claims.get("sub")
    if not isinstance(sub, str):
        raise refused("sub is missing or not a string")
    try:
        return user_id_of(tenant, sub), external_id_of(sub)
    except ValueError as error:
        raise refused(f"sub {error}") from None


def check_times(claims: Mapping[str, Any], leeway: float, now: float) -> None:
    """Check the times of a token. `exp` is required, `nbf` and `iat` are optional. All are numbers, not booleans."""
    if "exp" not in claims:
        raise refused("exp is missing")
    if number(claims, "exp", 0) + leeway <= now:
        raise refused("it has expired")
    for name in ("nbf", "iat"):
        if number(claims, name, now) - leeway > now:
            raise refused(f"{name} is in the future")


def check_source(claims: Mapping[str, Any], expected: Expected) -> None:
    if text(claims, "tid", DEFAULT_TENANT) != expected.tenant:
        raise refused("it belongs to another tenant")
    if expected.issuer and claims.get("iss") != expected.issuer:
        raise refused("iss is not the expected issuer")
    audience = claims.get("aud")
    if expected.audience and expected.audience not in (audience if isinstance(audience, list) else [audience]):
        raise refused("aud is not the expected audience")


def number(claims: Mapping[str, Any], name: str, default: float) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        raise refused(f"{name} is not a valid time")
    return value


def text(claims: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = claims.get(name, default)
    if not isinstance(value, str) or len(value) > 200:
        raise refused(f"{name} is missing or not a string")
    if UNSTORABLE.search(value):
        raise refused(f"{name} has a character that is not allowed")
    return value


def refused(why: str) -> Refused:
    return Refused("unauthenticated", f"the token is not valid: {why}")
