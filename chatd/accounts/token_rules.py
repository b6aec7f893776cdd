"""The rules for the claims of an access token (RFC 7519, RFC 8725). Pure: the time is an argument."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from chatd.accounts.external_ids import UNSTORABLE, external_id_of, external_login_id, user_id_of
from chatd.accounts.profile_claims import ClaimNames, find, read_profile
from chatd.core.errors import Refused
from chatd.core.identity import Principal, ProfileClaims
from chatd.core.ids import is_uuid

# Tokens of identity providers name the roles of the user, often hundreds of them. A head of a request has 16 KiB.
MAX_TOKEN_BYTES = 8192
MAX_SESSION = 255
DEFAULT_TENANT = "default"
TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
ACCESS = "user"


class Expected(Struct, frozen=True):
    """The expected claims of a tenant's tokens; empty for claims that are not checked. `leeway` in seconds.

    One of `audiences` has to be in the claim `audience_claim`. `scope` has to be in one of the claims `scope_claims`;
    if it is empty, a token without scopes is accepted, and one with scopes needs `user`.
    """

    tenant: str
    issuer: str
    audiences: tuple[str, ...]
    audience_claim: str
    scope: str
    scope_claims: tuple[str, ...]
    subject_claim: str
    session_claim: str
    profile: ClaimNames
    leeway: float


def principal_of(claims: Mapping[str, Any], expected: Expected, now_ms: int, token_id: str) -> Principal:
    """The user of a verified token. `token_id` replaces a missing `jti`. Raises Refused: `unauthenticated`."""
    check_times(claims, expected.leeway, now_ms / 1000)
    check_source(claims, expected)
    user, external_id = subject(claims, expected)
    check_scope(claims, expected)
    login = login_of(claims, expected, user)
    token_id, ends = text(claims, "jti", "") or token_id, int(claims["exp"] * 1000)
    profile = None if "login" in claims else profile_of(claims, expected, external_id, now_ms)
    return Principal(expected.tenant, user, token_id, login, ACCESS, ends, external_id, profile)


def login_of(claims: Mapping[str, Any], expected: Expected, user: str) -> str:
    """The login of a token: its own claim, or the session at the identity provider; "" if there is none."""
    if "login" not in claims:
        session = find(claims, expected.session_claim)
        if session is None or session == "":
            return ""
        if not isinstance(session, str) or len(session) > MAX_SESSION or UNSTORABLE.search(session):
            raise refused(f"{expected.session_claim} is not a text of at most {MAX_SESSION} characters")
        return external_login_id(user, session)
    login = text(claims, "login", "").lower()
    if login and not is_uuid(login):
        raise refused("login is not a UUID")
    return login


def profile_of(claims: Mapping[str, Any], expected: Expected, external_id: str | None, now_ms: int) -> ProfileClaims:
    """The claims to store with the user. A token without `iat` counts as issued now."""
    try:
        return read_profile(claims, expected.profile, external_id, int(number(claims, "iat", now_ms / 1000) * 1000))
    except ValueError as error:
        raise refused(str(error)) from None


def check_scope(claims: Mapping[str, Any], expected: Expected) -> None:
    scopes = {scope for name in expected.scope_claims for scope in scopes_of(find(claims, name), name)}
    if (expected.scope or scopes) and (expected.scope or ACCESS) not in scopes:
        raise refused(f"it does not have the scope `{expected.scope or ACCESS}`")


def scopes_of(value: Any, name: str) -> list[str]:
    """The scopes of a claim: a list of texts, or a text with spaces (RFC 8693, section 4.2)."""
    if value is None or isinstance(value, str):
        return (value or "").split()
    if not isinstance(value, list) or not all(isinstance(scope, str) for scope in value):
        raise refused(f"{name} is neither a text nor a list of texts")
    return value


def subject(claims: Mapping[str, Any], expected: Expected) -> tuple[str, str | None]:
    """The user id and the external id of a token."""
    name = expected.subject_claim
    sub = find(claims, name)
    if not isinstance(sub, str):
        raise refused(f"{name} is missing or not a string")
    try:
        return user_id_of(expected.tenant, sub), external_id_of(sub)
    except ValueError as error:
        raise refused(f"{name} {error}") from None


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
    if text(claims, "tid", expected.tenant) != expected.tenant:
        raise refused("it belongs to another tenant")
    if expected.issuer and claims.get("iss") != expected.issuer:
        raise refused("iss is not the expected issuer")
    found = find(claims, expected.audience_claim)
    audiences = found if isinstance(found, list) else [found]
    if expected.audiences and not any(audience in audiences for audience in expected.audiences):
        raise refused(f"{expected.audience_claim} is not the expected audience")


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
