"""The key sets of identity providers: rotation, and sources that fail."""

import dataclasses
import datetime
import ipaddress
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chatd.accounts.jwks import MAX_JWKS_BYTES, JwksError, JwksTunables, KeySet, keys_of
from chatd.accounts.keys import Keyring, UnknownKey, read_jwks
from chatd.accounts.settings import AuthSettings, TenantSettings
from chatd.accounts.subsystem import ACCOUNTS, open_accounts
from chatd.client import Account
from chatd.core.config import Config
from chatd.core.errors import Refused
from tests.accounts.providers import Provider, times
from tests.outside import Asked, answer, outside, read
from tests.support import PATIENCE, Daemon, altered, eventually, running
from tests.wire_client import Raw, upgrade

LIMITER = trio.CapacityLimiter(1)
QUICK = JwksTunables(reload_interval_s=0.3, wait_s=PATIENCE)


def claims() -> dict[str, Any]:
    return {"sub": "ann", **times()}


def keyring(source: object, algorithm: Any = "ES256") -> Keyring:
    return Keyring(Config().using(AuthSettings(algorithm=algorithm, jwks=str(source))))


@asynccontextmanager
async def served(ring: Keyring, tunables: JwksTunables = QUICK) -> AsyncIterator[KeySet]:
    """The key set, read once, with its task."""
    key_set = KeySet(ring, "default", tunables)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(key_set.run)
        with trio.fail_after(PATIENCE):
            while not ring.is_complete and not key_set.failing:
                await trio.sleep(0.01)
        yield key_set
        nursery.cancel_scope.cancel()


async def verified(ring: Keyring, key_set: KeySet, token: str) -> str:
    """As a sign-in does it: `ok`, or the code of the refusal."""
    now = times()["iat"] * 1000
    try:
        try:
            ring.verify(token, now)
        except UnknownKey:
            await key_set.reload()
            ring.verify(token, now)
    except Refused as refused:
        return refused.code
    return "ok"


async def test_a_new_key_works_at_once_with_one_request(config: Config, tmp_path: Path) -> None:
    """Over the daemon: many clients come with tokens of a key that was published a moment ago."""
    provider = Provider(tmp_path / "keys.json", "ES256")
    tenant = TenantSettings(algorithm="ES256", jwks=str(provider.path), issuer="https://id.test")
    async with running(config.using_named(TenantSettings, {"idp": tenant})) as daemon:
        statuses: list[int] = []

        async def ask(token: str) -> None:
            statuses.append((await daemon.rest("GET", "/v1/conversations", token=token)).status)

        issued = claims() | {"iss": "https://id.test"}
        await ask(provider.sign(issued))
        new = provider.rotate()
        provider.publish(new)
        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(ask, provider.sign(issued | {"sub": f"user {number}"}))
        assert statuses == [200] * 9
        # This key is not published: the second token comes too soon after the first one to tell.
        provider.rotate()
        answers = [await daemon.rest("GET", "/v1/conversations", token=provider.sign(issued)) for _ in range(2)]
        assert {(one.status, one.body["code"]) for one in answers} == {(503, "unavailable")}
        assert int(answers[0].headers["retry-after"]) <= 10


async def test_unknown_keys_share_a_request_and_are_limited(tmp_path: Path) -> None:
    provider = Provider(tmp_path / "keys.json", "ES256")
    ring = keyring(provider.path)
    async with served(ring) as key_set:
        old = provider.sign(claims())
        provider.rotate()
        provider.publish()
        found: list[str] = []

        async def sign_in(token: str) -> None:
            found.append(await verified(ring, key_set, token))

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(sign_in, provider.sign(claims() | {"n": number}))
        assert (found, key_set.reloads) == (["ok"] * 20, 1)
        provider.rotate()
        unknown = provider.sign(claims())
        assert [await verified(ring, key_set, unknown) for _ in range(5)] == ["unavailable"] * 5
        assert key_set.reloads == 1
        await trio.sleep(QUICK.reload_interval_s)
        # Now it is certain that the provider does not publish the key.
        assert await verified(ring, key_set, unknown) == "unauthenticated"
        assert key_set.reloads == 2
        assert await verified(ring, key_set, old) == "ok"


async def test_a_removed_key_is_refused_and_known_tokens_are_verified_again(tmp_path: Path) -> None:
    provider = Provider(tmp_path / "keys.json", "ES256")
    ring = keyring(provider.path)
    async with served(ring) as key_set:
        old = provider.sign(claims())
        assert await verified(ring, key_set, old) == "ok"
        provider.publish(provider.rotate())
        assert await verified(ring, key_set, provider.sign(claims())) == "ok"
        await trio.sleep(QUICK.reload_interval_s)
        assert await verified(ring, key_set, old) == "unauthenticated"


@pytest.mark.parametrize("damage", [
    {"iss": "https://other.test"}, {"exp": 5}, {"tid": "nobody"}, {"sub": ""}, {"roles": 5}, {"scope": "other"},
])  # fmt: skip
async def test_only_a_token_with_the_expected_claims_causes_a_request(tmp_path: Path, damage: dict[str, Any]) -> None:
    provider = Provider(tmp_path / "keys.json", "ES256")
    ring = Keyring(Config().using(AuthSettings(algorithm="ES256", jwks=str(provider.path), issuer="https://id.test")))
    async with served(ring) as key_set:
        provider.rotate()
        token = provider.sign(claims() | {"iss": "https://id.test"} | damage)
        assert (await verified(ring, key_set, token), key_set.reloads) == ("unauthenticated", 0)


async def test_tokens_without_a_key_id(tmp_path: Path) -> None:
    """With one key they are verified with it, and a new one is found; with several keys they are refused."""
    provider = Provider(tmp_path / "keys.json", "ES256", use_kid=False)
    ring = keyring(provider.path)
    async with served(ring) as key_set:
        assert await verified(ring, key_set, provider.sign(claims())) == "ok"
        new = provider.rotate()
        provider.publish(new)
        assert await verified(ring, key_set, provider.sign(claims())) == "ok"
        assert key_set.reloads == 1
    several = Provider(tmp_path / "several.json", "ES256")
    ring = keyring(several.path)
    async with served(ring) as key_set:
        assert await verified(ring, key_set, several.sign_without_kid(claims())) == "ok"
        named = several.sign(claims())
        several.rotate()
        several.publish()
        await key_set.load()
        assert await verified(ring, key_set, named) == "ok"
        with pytest.raises(Refused, match="several keys"):
            ring.verify(several.sign_without_kid(claims()), times()["iat"] * 1000)


def damaged(provider: Provider) -> dict[str, bytes]:
    """Key sets that must not replace the known one."""
    one = json.loads(provider.key_set())["keys"][0]
    other = json.loads(Provider(provider.path.with_name("other.json"), "ES256").key_set())["keys"][0]
    return {
        "nothing": b"",
        "no JSON": b"<html>Service unavailable</html>",
        "a list": b"[]",
        "a number": b"5",
        "no keys": b'{"keys":[]}',
        "keys that are no list": b'{"keys":5}',
        "a key that is a number": b'{"keys":[5]}',
        "keys of another algorithm": json.dumps({"keys": [one | {"alg": "RS256"}]}).encode(),
        "keys for encryption": json.dumps({"keys": [one | {"use": "enc"}]}).encode(),
        "a damaged point": json.dumps({"keys": [one | {"x": "AAAA"}]}).encode(),
        "two keys with one id": json.dumps({"keys": [one, other | {"kid": one["kid"]}]}).encode(),
        "two keys without an id": json.dumps({"keys": [without(one, "kid"), without(other, "kid")]}).encode(),
        "an id that is a list": json.dumps({"keys": [one | {"kid": [1]}]}).encode(),
        "nested deeply": b"[" * 100_000,
        "another encoding": "{}".encode("utf-16"),
        "huge": b" " * (MAX_JWKS_BYTES + 1),
        "huge, and valid before the limit": provider.key_set().encode() + b" " * MAX_JWKS_BYTES,
    }


def without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


async def test_a_damaged_key_set_does_not_replace_the_known_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Provider(tmp_path / "keys.json", "ES256")
    ring = keyring(provider.path)
    key_set = KeySet(ring, "default")
    await key_set.load()
    known = ring.tenants["default"].keys
    for name, content in damaged(provider).items():
        provider.path.write_bytes(content)
        await key_set.load()
        assert key_set.failing, name
        assert ring.tenants["default"].keys == known, name
        ring.verify(provider.sign(claims() | {"n": name}), times()["iat"] * 1000)
    provider.publish()
    await key_set.load()
    assert not key_set.failing
    assert "signing keys of tenant default failed" in caplog.text


def test_a_key_that_is_listed_twice_is_one_key(tmp_path: Path) -> None:
    keys = json.loads(Provider(tmp_path / "keys.json", "ES256").key_set())["keys"]
    assert len(read_jwks(json.dumps({"keys": keys * 2}).encode(), "ES256")) == 1


async def test_a_file_that_hangs_holds_nobody(tmp_path: Path) -> None:
    """A pipe that nobody writes to. Tokens of unknown keys are refused soon, and other threads run."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    provider = Provider(tmp_path / "keys.json", "ES256")
    ring = keyring(path)
    ring.set_keys("default", read_jwks(provider.key_set().encode(), "ES256"))
    try:
        async with served(ring, JwksTunables(wait_s=0.2, reload_interval_s=0.0)) as key_set:
            assert await verified(ring, key_set, provider.sign(claims())) == "ok"
            provider.rotate()
            with trio.fail_after(PATIENCE):
                assert [await verified(ring, key_set, provider.sign(claims())) for _ in range(3)] == ["unavailable"] * 3
                for _ in range(50):
                    await trio.to_thread.run_sync(int)
    finally:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))


async def test_few_sign_ins_wait_for_a_provider_that_does_not_answer(config: Config, tmp_path: Path) -> None:
    """They hold slots for sign-ins. Users with known keys, also of the same provider, sign in meanwhile."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    provider = Provider(tmp_path / "keys.json", "ES256")
    tenant = TenantSettings(algorithm="ES256", jwks=str(path), issuer="https://id.test")
    tunables = JwksTunables(wait_s=10.0)
    accounts = dataclasses.replace(ACCOUNTS, open=partial(open_accounts, jwks_tunables=tunables))
    found: list[int] = []

    async def sign_in(daemon: Daemon) -> None:
        async with Raw.to(daemon) as raw:
            token = provider.sign(claims() | {"iss": "https://id.test"})
            lines = upgrade(daemon).split(b"\r\n")
            credential = b"Authorization: Bearer " + token.encode()
            await raw.send(b"\r\n".join(credential if one.startswith(b"Authorization") else one for one in lines))
            found.append(int((await raw.read(b"\r\n")).split()[1]))

    try:
        async with (
            running(config.using_named(TenantSettings, {"idp": tenant}), altered(accounts)) as daemon,
            trio.open_nursery() as nursery,
        ):
            for _ in range(24):
                nursery.start_soon(sign_in, daemon)
            await eventually(lambda: len(found) == 24 - tunables.max_waiting)
            with trio.fail_after(tunables.wait_s / 2):
                async with daemon.connected(Account("", "", daemon.token("ann"), "")) as person:
                    assert await person.is_served()
    finally:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    assert found == [503] * 24


async def test_a_token_that_stops_waiting_leaves_the_request_to_the_others(tmp_path: Path) -> None:
    provider = Provider(tmp_path / "keys.json", "ES256")
    ring = keyring(provider.path)
    async with served(ring) as key_set:
        provider.rotate()
        provider.publish()
        token = provider.sign(claims())
        found: list[str] = []

        async def sign_in() -> None:
            found.append(await verified(ring, key_set, token))

        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as left:
                left.cancel()
                await verified(ring, key_set, token)
            nursery.start_soon(sign_in)
        assert (left.cancelled_caught, found, key_set.reloads) == (True, ["ok"], 1)


def certificate(folder: Path) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 in `ca.pem` of the folder, and a server that has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(signed.public_bytes(encoding))
    (folder / "key.pem").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "key.pem")
    return context


@asynccontextmanager
async def serving(context: ssl.SSLContext, answers: list[bytes]) -> AsyncIterator[str]:
    """The address of an https server that gives these answers, one for each request; an empty one never comes."""

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            await read(stream)  # type: ignore[arg-type]
            data = answers.pop(0)
            if not data:
                await trio.sleep_forever()
            await stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        listener = listeners[0].transport_listener
        assert isinstance(listener, trio.SocketListener)
        yield f"https://127.0.0.1:{listener.socket.getsockname()[1]}/keys"
        nursery.cancel_scope.cancel()


async def test_http_is_for_providers_on_this_machine(tmp_path: Path) -> None:
    """As a Keycloak in development: without TLS, on localhost only."""
    provider = Provider(tmp_path / "keys.json", "ES256")

    async def answers(asked: Asked) -> bytes:
        return answer(provider.key_set().encode())

    async with outside(answers) as server:
        for host in ("127.0.0.1", "localhost"):
            found = await keys_of(keyring(f"http://{host}:{server.port}/certs").tenants["default"], 5, LIMITER)
            assert len(found) == 1
    for host in ("192.0.2.1", "localhost.example.org", "127.0.0.1.example.org", "[2001:db8::1]", "10.0.0.1", ""):
        with pytest.raises(JwksError, match="must begin with https://"):
            await keys_of(keyring(f"http://{host}/certs").tenants["default"], 5, LIMITER)


async def test_a_provider_that_fails_keeps_its_known_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over https: errors, redirects, endless answers and silence. The next request succeeds."""
    provider = Provider(tmp_path / "keys.json", "ES256")
    context = certificate(tmp_path)
    good = answer(provider.key_set().encode())
    failures = [
        answer(provider.key_set().encode(), "500 Internal Server Error"),
        answer(provider.key_set().encode(), "404 Not Found"),
        answer(b"", "302 Found", Location="https://127.0.0.1/other"),
        answer(b" " * (MAX_JWKS_BYTES + 1)),
        b"not HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
        b"",
    ]
    async with serving(context, [good, *failures, good]) as address:
        ring = keyring(address)
        key_set = KeySet(ring, "default", JwksTunables(timeout_s=3.0))
        await key_set.load()
        assert key_set.failing, "the certificate is not trusted"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        await key_set.load()
        known = ring.tenants["default"].keys
        assert (len(known), key_set.failing) == (1, False)
        for failure in failures:
            await key_set.load()
            assert key_set.failing, failure
            assert ring.tenants["default"].keys == known
        await key_set.load()
        assert not key_set.failing
