"""A logout closes the sessions of the token that it was asked with, or of its login, and no other ones of the user."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from chatd.accounts.keys import read_jwks
from chatd.accounts.settings import TenantSettings
from chatd.client import Account
from chatd.core.config import Config
from tests.support import Daemon, Person, covers, running

Sign = Callable[[dict[str, Any]], str]


def issuer(algorithm: str, folder: Path) -> tuple[TenantSettings, Sign]:
    """A tenant with an issuer of its own, and how that signs."""
    if algorithm == "HS256":
        secret = "0123456789abcdef" * 2
        return TenantSettings(secret=secret), lambda claims: jwt.encode(claims, secret, algorithm)
    key: Any
    if algorithm == "ES256":
        key = ec.generate_private_key(ec.SECP256R1())
        public = ECAlgorithm.to_jwk(key.public_key())
    else:
        key = rsa.generate_private_key(65537, 2048)
        public = RSAAlgorithm.to_jwk(key.public_key())
    path = folder / "keys.json"
    path.write_text(json.dumps({"keys": [json.loads(public) | {"kid": "one", "alg": algorithm, "use": "sig"}]}))
    return TenantSettings(algorithm=algorithm, jwks=str(path)), lambda claims: jwt.encode(
        claims, key, algorithm, headers={"kid": "one"}
    )


async def closes(person: Person, code: int) -> None:
    assert (await person.ended(20)).code == code


async def test_tokens_of_an_issuer_are_accepted_from_the_beginning(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long its keys take to be read: the first clients must not be refused as if their tokens were invalid."""
    tenant, sign = issuer("ES256", tmp_path)
    user = str(uuid4())

    def slow(text: bytes, algorithm: str) -> dict[str, Any]:
        time.sleep(0.5)
        return read_jwks(text, algorithm)

    monkeypatch.setattr("chatd.accounts.jwks.read_jwks", slow)
    async with running(config.using_named(TenantSettings, {"idp": tenant})) as daemon:
        token = sign({"sub": user, "tid": "idp", "exp": 2**31, "jti": "one"})
        async with daemon.connected(Account("", user, token, "")) as one:
            assert await one.is_served()


@covers("auth.logout")
@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
@pytest.mark.parametrize("jti", ["one for each", "none", "empty"])
async def test_a_logout_with_a_token_of_another_issuer(
    config: Config, tmp_path: Path, algorithm: str, jti: str
) -> None:
    tenant, sign = issuer(algorithm, tmp_path)
    user = str(uuid4())

    def account(number: int) -> Account:
        claims = {"sub": user, "tid": "idp", "exp": 2**31 + number}
        claims |= {"one for each": {"jti": str(uuid4())}, "none": {}, "empty": {"jti": ""}}[jti]
        return Account("", user, sign(claims), "")

    async with running(config.using_named(TenantSettings, {"idp": tenant})) as daemon:
        phone, tablet = account(0), account(1)
        async with daemon.connected(phone) as one, daemon.connected(phone) as two, daemon.connected(tablet) as other:
            await check_logout(daemon, one, two, other)
            assert (await daemon.rest("GET", "/v1/unread", token=phone.access_token)).status == 401
            assert (await daemon.rest("GET", "/v1/unread", token=tablet.access_token)).status == 200


async def check_logout(daemon: Daemon, one: Person, two: Person, other: Person) -> None:
    assert (await daemon.rest("POST", "/v1/auth/logout", {}, token=one.account.access_token)).status == 200
    await closes(one, 4404)
    await closes(two, 4404)
    assert other.closed is None
    assert await other.is_served()


async def test_a_logout_with_a_token_of_this_server(daemon: Daemon) -> None:
    """All tokens of the login are one credential."""
    device = {"device": "d" * 32}
    first, second = [(await daemon.rest("POST", "/v1/auth/anonymous", device)).body for _ in range(2)]
    fresh = (await daemon.rest("POST", "/v1/auth/refresh", {"refresh_token": first["refresh_token"]})).body
    accounts = [Account("", first["user"], body["access_token"], "") for body in (first, fresh, second)]
    async with (
        daemon.connected(accounts[0]) as one,
        daemon.connected(accounts[1]) as two,
        daemon.connected(accounts[2]) as other,
    ):
        await check_logout(daemon, one, two, other)
