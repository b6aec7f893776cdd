"""Tokens as identity providers sign them, with the settings of docs/auth.md."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chatd.accounts.external_ids import user_id_of
from chatd.accounts.jwks import KeySet
from chatd.accounts.keys import Keyring
from chatd.accounts.settings import AuthSettings, TenantSettings
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.db.postgres import Postgres
from tests.accounts import providers
from tests.accounts.providers import Claims, Provider
from tests.support import Daemon, running

DOCUMENT = Path("docs/auth.md").read_text()
NOTHING = {"name": None, "picture_url": None, "locale": None, "roles": []}
NAME = {"name": "Ann Example"}
# Claims, header, subject, profile.
FORMS: dict[str, tuple[Callable[[], Claims], Claims, str, dict[str, Any]]] = {
    "Keycloak": (
        providers.keycloak, {"typ": "JWT"}, "3f0e5a8c-8b7a-4c33-9d0e-6a1f5f3f9c11",
        NAME | {"locale": "de", "roles": ["default-roles-realm", "offline_access", "moderator"]},
    ),
    "Auth0": (
        providers.auth0, {"typ": "at+jwt"}, "auth0|5f7c8ec7c33c6c004bbafe82", NAME | {"roles": ["admin", "editor"]},
    ),
    "Auth0 with RBAC": (providers.auth0_with_rbac, {"typ": "JWT"}, "google-oauth2|103547991597142817347", {}),
    "Okta": (providers.okta, {"typ": None}, "00u1a2b3c4d5e6f7g8h9", {"roles": ["Everyone", "Support"]}),
    "Firebase": (
        providers.firebase, {"typ": "JWT"}, "aZ3kQw9VbNeR5tYuI1oPlKjHgFd2",
        NAME | {"picture_url": "https://lh3.googleusercontent.com/a/ACg8ocKx=s96-c", "roles": ["moderator"]},
    ),
    "Cognito": (
        providers.cognito, {"typ": None}, "e4a8f4d8-20c1-70b4-5b1c-3a4f5a6b7c8d", {"roles": ["admins", "beta"]},
    ),
    "Supabase": (
        providers.supabase, {"typ": "JWT"}, "7b1c1c1e-3c0f-4f5e-9a4a-0d6f1f9f2a10",
        NAME | {"picture_url": "https://cdn.example.org/ann.png", "roles": ["staff"]},
    ),
}  # fmt: skip


def documented(provider: str) -> dict[str, Any]:
    """The settings in the table of the document."""
    row = re.search(rf"^\| {re.escape(provider)} \| (.*) \|$", DOCUMENT, re.MULTILINE)
    assert row is not None
    return tomllib.loads("\n".join(re.findall(r"`([^`]+)`", row.group(1))))


def test_all_providers_of_the_document_are_tried() -> None:
    rows = re.findall(r"^\| ([^|]+) \| `algorithm", DOCUMENT, re.MULTILINE)
    assert rows == list(FORMS)


@pytest.mark.parametrize("name", FORMS)
async def test_a_token_of_the_provider_signs_in_its_user(
    config: Config, store: Postgres, tmp_path: Path, name: str
) -> None:
    """The tenant follows from the issuer. Over REST and over a WebSocket."""
    claims, header, subject, profile = FORMS[name]
    settings = documented(name)
    provider = Provider(tmp_path / "keys.json", settings["algorithm"])
    tenant = msgspec.convert(settings | {"jwks": str(provider.path)}, TenantSettings)
    async with running(config.using_named(TenantSettings, {"idp": tenant})) as daemon:
        token = provider.sign(claims(), **header)
        assert (await daemon.rest("GET", "/v1/conversations", token=token)).status == 200
        user = user_id_of("idp", subject)
        async with daemon.connected(providers.account(user, token)) as person:
            assert (person.hello.user, person.hello.tenant) == (user, "idp")
            renewed = await person.call("auth.refresh", token=provider.sign(claims(), **header))
            assert renewed.expires_at > 0
        row = await store.one(
            "select name, picture_url, locale, roles, external_id from users where tenant = 'idp' and id = $1", user
        )
        external_id = None if user == subject else subject
        assert dict(row or {}) == NOTHING | profile | {"external_id": external_id}


def keyring(settings: dict[str, Any], provider: Provider) -> Keyring:
    auth = msgspec.convert(settings | {"jwks": str(provider.path)}, AuthSettings)
    return Keyring(Config().using(auth))


WRONG: dict[str, list[Claims]] = {
    "Keycloak": [
        {"iss": "https://HOST/realms/OTHER"}, {"azp": "OTHER"}, {"azp": None}, {"scope": "profile"}, {"scope": None},
        {"scope": 5}, {"scope": ["openid", 5]}, {"realm_access": {"roles": "x" * 256}},
        {"realm_access": {"roles": {"admin": True}}}, {"realm_access": {"roles": [["admin"]]}},
        {"realm_access": {"roles": ["admin", ""]}}, {"realm_access": {"roles": [None]}},
        {"realm_access": {"roles": ["x"] * 101}}, {"realm_access": {"roles": ["a\0"]}}, {"realm_access": {"roles": True}},
    ],
    "Auth0": [{"aud": "OTHER"}, {"aud": ["https://TENANT.auth0.com/userinfo"]}, {"iss": "https://TENANT.auth0.com"}],
    "Auth0 with RBAC": [{"permissions": []}, {"permissions": ["read:reports"]}, {"permissions": None}],
    "Okta": [{"scp": ["profile"]}, {"scp": {"openid": True}}, {"uid": 5}, {"uid": ""}, {"aud": "api://other"}],
    "Firebase": [{"aud": "OTHER"}, {"sub": ""}, {"sub": "x" * 256}, {"scope": "admin"}, {"roles": {"admin": True}}],
    "Cognito": [{"client_id": "OTHER"}, {"client_id": None, "aud": "CLIENT"}, {"scope": "openid"}],
    "Supabase": [{"role": "anon"}, {"role": "service_role", "sub": None}, {"role": None}, {"aud": "anon"}],
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
async def test_other_tokens_of_the_provider_are_refused(tmp_path: Path, name: str) -> None:
    """Those for another app, those without the scope, and those with roles of a wrong form."""
    settings, claims = documented(name), FORMS[name][0]
    provider = Provider(tmp_path / "keys.json", settings["algorithm"])
    ring = keyring(settings, provider)
    await KeySet(ring, "default").load()
    now = claims()["iat"] * 1000
    assert ring.verify(provider.sign(claims()), now).user
    for wrong in WRONG[name]:
        with pytest.raises(Refused) as refused:
            ring.verify(provider.sign(claims() | wrong), now)
        assert refused.value.code == "unauthenticated", wrong


IGNORED: list[Claims] = [
    {"name": 5}, {"name": ["Ann"]}, {"name": "x" * 101}, {"name": " "}, {"name": "a\0b"}, {"name": "\ud800"},
    {"name": "two\nlines"}, {"name": None}, {"name": {"first": "Ann"}},
    {"picture": "javascript:alert(1)"}, {"picture": "https://x.test/ a"}, {"picture": "data:image/png;base64,AA"},
    {"picture": "https://x.test/" + "x" * 2048}, {"picture": 1}, {"picture": []},
    {"locale": "not a locale"}, {"locale": "x" * 36}, {"locale": 1}, {"locale": "de\n"}, {"locale": ""},
]  # fmt: skip


@pytest.mark.parametrize("claim", IGNORED)
async def test_a_name_picture_or_locale_that_does_not_fit_is_ignored(
    daemon: Daemon, store: Postgres, claim: Claims
) -> None:
    known = {"name": "Ann", "picture": "https://x.test/ann.png", "locale": "pt_BR", "roles": "admin"}
    for claims in (known, known | claim, claim):
        assert (await daemon.rest("GET", "/v1/conversations", token=daemon.token("ann", **claims))).status == 200
    row = await store.one("select name, picture_url, locale from users where external_id = 'ann'")
    assert dict(row or {}) == {"name": "Ann", "picture_url": "https://x.test/ann.png", "locale": "pt-BR"}


async def test_several_audiences(tmp_path: Path) -> None:
    provider = Provider(tmp_path / "keys.json")
    ring = keyring(documented("Cognito") | {"audience": "WEB IOS"}, provider)
    await KeySet(ring, "default").load()
    claims = providers.cognito()
    for client in ("WEB", "IOS"):
        assert ring.verify(provider.sign(claims | {"client_id": client}), claims["iat"] * 1000).user
    for client in ("CLIENT", "WEB IOS", ""):
        with pytest.raises(Refused):
            ring.verify(provider.sign(claims | {"client_id": client}), claims["iat"] * 1000)
