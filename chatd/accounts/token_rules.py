"""What an access token must say (RFC 7519, RFC 8725), whatever its signature. Pure: the time is an argument."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.ids import is_uuid

MOST_BYTES = 4096
DEFAULT_TENANT = "default"
TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
ACCESS = "user"


class Expected(Struct, frozen=True):
    """What a tenant's tokens are checked against; "" for what is not looked at. `leeway` in seconds."""

    tenant: str
    issuer: str
    audience: str
    leeway: float


def principal_of(claims: Mapping[str, Any], expected: Expected, now_ms: int, token_id: str) -> Principal:
    """The person a verified token stands for. `token_id` is for one without a `jti`. Raises Refused: `unauthenticated`."""
    check_times(claims, expected.leeway, now_ms / 1000)
    check_source(claims, expected)
    user = text(claims, "sub").lower()
    if not is_uuid(user):
        raise refused("sub is not a UUID")
    scope = text(claims, "scope", ACCESS)
    if scope != ACCESS:
        raise refused("this is no access token for users")
    login = text(claims, "login", "").lower()
    if login and not is_uuid(login):
        raise refused("login is not a UUID")
    return Principal(expected.tenant, user, text(claims, "jti", "") or token_id, login, scope, int(claims["exp"] * 1000))


def check_times(claims: Mapping[str, Any], leeway: float, now: float) -> None:
    """exp is required; nbf and iat only count when they are there. Numbers, and nothing that looks like one."""
    if "exp" not in claims:
        raise refused("exp is missing")
    if number(claims, "exp", 0) + leeway <= now:
        raise refused("the token has expired")
    for name in ("nbf", "iat"):
        if number(claims, name, now) - leeway > now:
            raise refused(f"{name} is in the future")


def check_source(claims: Mapping[str, Any], expected: Expected) -> None:
    if text(claims, "tid", DEFAULT_TENANT) != expected.tenant:
        raise refused("the token is of another tenant")
    if expected.issuer and claims.get("iss") != expected.issuer:
        raise refused("iss is not the one that is expected")
    audience = claims.get("aud")
    if expected.audience and expected.audience not in (audience if isinstance(audience, list) else [audience]):
        raise refused("aud is not the one that is expected")


def number(claims: Mapping[str, Any], name: str, default: float) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        raise refused(f"{name} is not a time")
    return value


def text(claims: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = claims.get(name, default)
    if not isinstance(value, str) or len(value) > 200:
        raise refused(f"{name} is missing or not a text")
    return value


def refused(why: str) -> Refused:
    return Refused("unauthenticated", f"the token is not valid: {why}")
