"""Abuse of tokens: which are valid, and for how long."""

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chatd.accounts.external_ids import user_id_of
from chatd.accounts.jwks import KeySet
from chatd.accounts.keys import Keyring, UnknownKey, WeakKey, read_jwks
from chatd.accounts.settings import AccountLimits, AuthSettings, TenantSettings
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.ids import NIL
from tests.support import Daemon, running
from tests.wire_client import Raw, upgrade

SECRET = "0123456789abcdef0123456789abcdef"
USER = "01890a5d-ac96-774b-bcce-b302099a8057"
NOW = 1_800_000_000_000
CLAIMS: dict[str, Any] = {"sub": USER, "exp": NOW // 1000 + 60, "jti": "j"}


def keyring(**auth: Any) -> Keyring:
    return Keyring(
        Config()
        .using(AuthSettings(secret=SECRET, leeway=5.0, **auth))
        .using_named(TenantSettings, {"acme": TenantSettings(secret=SECRET[::-1])})
    )


def token(claims: dict[str, Any], secret: str = SECRET, **header: Any) -> str:
    algorithm = header.pop("alg", "HS256")
    return jwt.encode(claims, secret, algorithm=algorithm, headers=header)


def by_hand(header: Any, claims: Any, signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def refused(text: str, ring: Keyring | None = None) -> bool:
    try:
        (ring or keyring()).verify(text, NOW)
    except Refused as error:
        return error.code == "unauthenticated"
    return False


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


def test_valid_token_identifies_the_user() -> None:
    principal = keyring().verify(token(CLAIMS), NOW)
    assert (principal.tenant, principal.user, principal.token_id) == ("default", USER, "j")
    assert principal.expires_at == CLAIMS["exp"] * 1000


@pytest.mark.parametrize("alg", ["none", "NoNe", "NONE", "", "HS512", "RS256"])
def test_algorithm_is_not_taken_from_the_token(alg: str) -> None:
    assert refused(by_hand({"alg": alg, "typ": "JWT"}, CLAIMS))
    good = token(CLAIMS)
    assert refused(good.rpartition(".")[0] + ".")


UNCHECKED: Any = {f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["HS256", "HS256", "HS256", "none", "HS512", "RS256", None, ["HS256"]]),
        "typ": st.sampled_from(["JWT", "at+jwt", "refresh", None]),
        "kid": st.sampled_from(["", "k", 5, None]),
        "crit": st.sampled_from([["b64"], ["x"], [], "b64"]),
        "b64": st.sampled_from([True, False, None, 0]),
        "x": st.integers(),
    },
)
# Changes of a token: the position as a share of its length, and what replaces the characters there.
CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 2), st.sampled_from(["", "A", "=", ".", "-", "+", "/", " ", "\u00e9"])),
    max_size=2,
)


@given(
    HEADERS.map(lambda header: {"alg": "HS256"} | header),
    st.one_of(st.just(CLAIMS), st.just(CLAIMS), st.lists(st.integers()), st.just("text"), st.none()),
    st.booleans(),
    CHANGES,
)
def test_tokens_are_accepted_as_by_pyjwt(
    header: dict[str, Any], claims: Any, signed: bool, changes: list[tuple[float, int, str]]
) -> None:
    """The token is parsed here, and PyJWT sees only its signature. What this node accepts, PyJWT alone accepts with the
    same claims, and the reverse, except for the headers that this node refuses.
    """
    text = by_hand(header, claims)
    digest = hmac.new(SECRET.encode(), text[:-1].encode(), hashlib.sha256).digest()
    text = by_hand(header, claims, digest if signed else bytes(32))
    for place, length, replacement in changes:
        at = round(place * len(text))
        text = text[:at] + replacement + text[at + length :]
    try:
        known = jwt.decode_complete(text, SECRET, algorithms=["HS256"], options=UNCHECKED)
    except (jwt.PyJWTError, ValueError, TypeError):
        known = None
    if known is not None and ("crit" in known["header"] or known["header"].get("typ") not in (None, "JWT", "at+jwt")):
        known = None
    if known is not None and "=" in text:
        # PyJWT accepts padding.
        known = None
    assert refused(text) == (known is None or known["payload"] != CLAIMS)


ASYMMETRIC: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "RS256": rsa.generate_private_key(65537, 2048),
}
# JSON that Python reads, and JSON that it does not.
VALUES = st.sampled_from(
    [
        *("NaN", "Infinity", "1e400", "9" * 5000, "-0", "1.5", "true", "null", "[]", "{}", "[" * 900 + "]" * 900, "x"),
        *('"\\ud800"', '"\\u0000"', f'"{USER}"', '"default"', '"es256"', '"EdDSA"', '"HS256"', '"none"', '"AT+JWT"'),
    ]
)
NAMES = st.sampled_from(
    ["sub", "exp", "nbf", "iat", "tid", "jti", "scope", "alg", "typ", "kid", "crit", "b64", "\\u0061lg", ""]
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=4)


@given(
    st.sampled_from(["HS256", *ASYMMETRIC]),
    st.sampled_from(["HS256", *ASYMMETRIC]),
    st.tuples(FIELDS, FIELDS),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8", "utf-16", "utf-8-sig", "latin-1"]),
    CHANGES,
)
def test_a_token_is_accepted_only_with_the_algorithm_of_its_tenant(
    named: str,
    signed: str,
    more: tuple[list[tuple[str, str]], list[tuple[str, str]]],
    first: bool,
    encoding: str,
    changes: list[tuple[float, int, str]],
) -> None:
    """Also if fields are repeated, or nothing else about the token is right. No token causes another error."""
    providers = {name.lower(): TenantSettings(algorithm=name, jwks="keys.json") for name in ASYMMETRIC}
    ring = Keyring(Config().using(AuthSettings(secret=SECRET)).using_named(TenantSettings, providers))
    for name, key in ASYMMETRIC.items():
        ring.set_keys(name.lower(), {"": key.public_key()})
    tenant = "default" if named == "HS256" else named.lower()
    right = [("sub", f'"{USER}"'), ("exp", str(CLAIMS["exp"])), ("tid", f'"{tenant}"')]
    parts = []
    for own, others in (([("alg", f'"{named}"')], more[0]), (right, more[1])):
        fields = [*others, *own] if first else [*own, *others]
        body = "{" + ",".join(f'"{name}":{value}' for name, value in fields) + "}"
        parts.append(base64.urlsafe_b64encode(body.encode(encoding)).rstrip(b"=").decode())
    algorithm: Any = jwt.get_algorithm_by_name(signed)
    signer = algorithm.prepare_key(SECRET if signed == "HS256" else ASYMMETRIC[signed])
    signature = base64.urlsafe_b64encode(algorithm.sign(".".join(parts).encode(), signer)).rstrip(b"=").decode()
    text = ".".join([*parts, signature])
    for place, length, replacement in changes:
        at = round(place * len(text))
        text = text[:at] + replacement + text[at + length :]
    try:
        principal = ring.verify(text, NOW)
    except Refused as refused:
        assert refused.code == "unauthenticated"
        return
    expected = ring.tenants[principal.tenant].algorithm
    key = SECRET if expected == "HS256" else ASYMMETRIC[expected].public_key()
    known = jwt.decode_complete(text, key, algorithms=[expected], options=UNCHECKED)
    assert signed == known["header"]["alg"] == expected
    assert "crit" not in known["header"]
    assert known["payload"].get("tid", "default") == principal.tenant
    assert user_id_of(principal.tenant, known["payload"]["sub"]) == principal.user


def test_public_key_as_a_secret_is_refused() -> None:
    """Any client could sign tokens with it."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(WeakKey, match="random secret"):
        Keyring(Config().using(AuthSettings(secret=pem)))


def test_hs512_with_the_right_secret_is_refused() -> None:
    assert refused(token(CLAIMS, SECRET * 2, alg="HS512"))


@pytest.mark.parametrize("header", [{"crit": ["x"], "x": 1}, {"typ": "refresh"}, {"typ": 5}])
def test_unsupported_headers_are_refused(header: dict[str, Any]) -> None:
    encoded = by_hand({"alg": "HS256", **header}, CLAIMS)
    signed = jwt.api_jws.encode(
        json.dumps(CLAIMS).encode(),
        SECRET,
        "HS256",
        headers={k: v for k, v in header.items() if k != "typ"} | {"typ": str(header.get("typ", "JWT"))},
    )
    assert refused(encoded)
    assert refused(signed)


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1--", "k" * 3000, ""])
def test_kid_is_an_exact_match_and_addresses_are_not_followed(kid: str) -> None:
    """A foreign key in the header changes nothing."""
    ring = Keyring(Config().using(AuthSettings(algorithm="ES256", jwks="keys.json")))
    key = ec.generate_private_key(ec.SECP256R1())
    ring.set_keys("default", {"right": key.public_key()})
    bad = jwt.encode(
        CLAIMS, key, algorithm="ES256", headers={"kid": kid, "jku": "http://127.0.0.1:9/", "x5u": "http://127.0.0.1:9/"}
    )
    assert refused(bad, ring)
    good = jwt.encode(CLAIMS, key, algorithm="ES256", headers={"kid": "right", "jku": "http://127.0.0.1:9/"})
    assert ring.verify(good, NOW).user == USER


def test_hmac_with_the_public_key_is_refused() -> None:
    key = rsa.generate_private_key(65537, 2048)
    ring = Keyring(Config().using(AuthSettings(algorithm="RS256", jwks="keys.json")))
    ring.set_keys("default", {"": key.public_key()})
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head = by_hand({"alg": "HS256", "typ": "JWT"}, CLAIMS).rpartition(".")[0]
    forged = (
        head
        + "."
        + base64.urlsafe_b64encode(hmac.new(pem, head.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    )
    assert refused(forged, ring)
    assert ring.verify(jwt.encode(CLAIMS, key, algorithm="RS256"), NOW).user == USER


@pytest.mark.parametrize(
    "claims",
    [
        without("exp"), without("sub"),
        CLAIMS | {"exp": str(CLAIMS["exp"])}, CLAIMS | {"exp": True}, CLAIMS | {"exp": None}, CLAIMS | {"exp": [1]},
        CLAIMS | {"exp": -1}, CLAIMS | {"exp": 1e300},
        CLAIMS | {"sub": 5}, CLAIMS | {"sub": [USER]}, CLAIMS | {"sub": ""}, CLAIMS | {"sub": "a\0"},
        CLAIMS | {"sub": "\udc00"}, CLAIMS | {"sub": "x" * 256}, CLAIMS | {"sub": "é" * 128}, CLAIMS | {"sub": NIL},
        CLAIMS | {"tid": "acme"}, CLAIMS | {"tid": "nobody"}, CLAIMS | {"tid": 5},
        CLAIMS | {"scope": "refresh"}, CLAIMS | {"scope": "admin"}, CLAIMS | {"jti": 5}, CLAIMS | {"login": "x"},
        CLAIMS | {"nbf": "now"}, CLAIMS | {"iat": True}, CLAIMS | {"jti": "a\0"}, CLAIMS | {"jti": "\ud800"},
    ],
)  # fmt: skip
def test_invalid_claims_are_refused(claims: dict[str, Any]) -> None:
    assert refused(token(claims))


@pytest.mark.parametrize(("claim", "offset", "ok"), [
    ("exp", -4, True), ("exp", -5, False), ("exp", -6, False),
    ("nbf", 5, True), ("nbf", 6, False), ("iat", 5, True), ("iat", 6, False),
])  # fmt: skip
def test_token_times_are_compared_exactly(claim: str, offset: int, ok: bool) -> None:
    """Exactly five seconds of leeway."""
    assert refused(token(CLAIMS | {claim: NOW // 1000 + offset})) is not ok


@pytest.mark.parametrize("text", ["x" * 1_000_000, "." * 10_000, "a.b.c", "", "..", "e30.e30.", by_hand([], [])])
def test_malformed_tokens_are_refused(text: str) -> None:
    assert refused(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x." * 5000, "it has more than 8192 bytes"),
        ("chatd_st_" + "x" * 46, "this is a service token, which is for the server API only"),
        ("a.b.c", "malformed"),
    ],
)
def test_the_reason_of_a_refusal_is_named(text: str, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        keyring().verify(text, NOW)
    assert caught.value.message == f"the token is not valid: {reason}"


def test_long_tokens_of_providers_are_accepted() -> None:
    """Those of Keycloak name the roles of the user in each client."""
    roles = {f"client-{number}": {"roles": ["a-role-of-some-length", "another-role"]} for number in range(60)}
    long = token(CLAIMS | {"resource_access": roles})
    assert 5000 < len(long) < 8192
    assert not refused(long)


def test_a_deeply_nested_header_is_refused() -> None:
    assert refused(base64.urlsafe_b64encode(b'{"a":' + b"[" * 2000).decode().rstrip("=") + ".e30.x")


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def spellings(token: str) -> list[str]:
    """Texts that a lenient decoder reads as the same three parts."""
    found = [f" {token}", f"{token} ", f"{token}\n"]
    parts = token.split(".")
    for at, part in enumerate(parts):
        last = ALPHABET.index(part[-1])
        loose = [ALPHABET[last ^ bits] for bits in range(1, 4 if len(part) % 4 == 3 else 16)] if len(part) % 4 else []
        spelt = [part + "=", part + "==", part + "\n", part[:4] + "!" + part[4:], part[:4] + "=" + part[4:], part + "A"]
        spelt += [part[:-1] + end for end in loose] + [part.replace("-", "+").replace("_", "/")] * bool(
            {"-", "_"} & set(part)
        )
        found += [".".join([*parts[:at], text, *parts[at + 1 :]]) for text in spelt]
    return found


@pytest.mark.parametrize("claims", [CLAIMS, without("jti")], ids=["jti", "no jti"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_a_token_has_one_spelling(claims: dict[str, Any], known: bool) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    asymmetric = Keyring(Config().using(AuthSettings(algorithm="ES256", jwks="keys.json")))
    asymmetric.set_keys("default", {"": key.public_key()})
    for ring, good in ((keyring(), token(claims)), (asymmetric, jwt.encode(claims, key, algorithm="ES256"))):
        if known:
            ring.verify(good, NOW)
        for other in spellings(good):
            assert refused(other, ring), other


def test_a_second_signature_of_the_same_claims_is_the_same_token() -> None:
    """An ECDSA signature (r, s) has a twin (r, n - s), and each signing differs: none of them is a new token."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    key = ec.generate_private_key(ec.SECP256R1())
    ring = Keyring(Config().using(AuthSettings(algorithm="ES256", jwks="keys.json")))
    ring.set_keys("default", {"": key.public_key()})
    first, again = (jwt.encode(without("jti"), key, algorithm="ES256") for _ in range(2))
    head, _, signature = first.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    twin = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    twins = [first, again, f"{head}.{base64.urlsafe_b64encode(twin).rstrip(b'=').decode()}"]
    assert len(set(twins)) == 3
    assert len({ring.verify(text, NOW).token_id for text in twins}) == 1


def test_the_ids_in_a_token_have_one_spelling() -> None:
    principal = keyring().verify(token(CLAIMS | {"sub": USER.upper(), "login": USER.upper()}), NOW)
    assert (principal.user, principal.login) == (USER, USER)


def test_issuer_and_audience_are_exact() -> None:
    ring = keyring(issuer="https://id.test", audience="chat")
    right = CLAIMS | {"iss": "https://id.test", "aud": ["x", "chat"]}
    assert not refused(token(right), ring)
    for wrong in ({"iss": "https://id.test/"}, {"aud": "chat2"}, {"aud": []}, {"iss": ""}):
        assert refused(token(right | wrong), ring)
    assert refused(token(CLAIMS), ring)


@pytest.mark.parametrize("auth", [
    AuthSettings(secret="short"), AuthSettings(), AuthSettings(secret=SECRET, algorithm="none"),
    AuthSettings(secret=SECRET, algorithm="HS512"), AuthSettings(algorithm="RS256"),
])  # fmt: skip
def test_a_weak_key_is_not_served(auth: AuthSettings) -> None:
    with pytest.raises(WeakKey):
        Keyring(Config().using(auth))


def test_key_of_one_tenant_is_refused_by_another() -> None:
    assert refused(token(CLAIMS | {"tid": "acme"}, SECRET))
    assert keyring().verify(token(CLAIMS | {"tid": "acme"}, SECRET[::-1]), NOW).tenant == "acme"


async def test_keys_of_a_provider_are_read_from_its_file_and_the_last_good_ones_stay(tmp_path: Any) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    path = tmp_path / "keys.json"
    jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key())) | {"kid": "a", "alg": "EdDSA"}
    path.write_text(json.dumps({"keys": [jwk]}))
    ring = Keyring(Config().using(AuthSettings(algorithm="EdDSA", jwks=str(path))))
    good = jwt.encode(CLAIMS, key, algorithm="EdDSA", headers={"kid": "a"})
    with pytest.raises(UnknownKey):
        ring.verify(good, NOW)
    key_set = KeySet(ring, "default")
    await key_set.load()
    assert ring.verify(good, NOW).user == USER
    path.write_text("{}")
    await key_set.load()
    assert ring.verify(good, NOW).user == USER
    with pytest.raises(ValueError, match="JWKS"):
        read_jwks(b'{"keys":[]}', "EdDSA")


@pytest.mark.parametrize(
    "source", ["http://127.0.0.1:9/", "ftp://id.test/", "https://u:p@id.test/", "https://127.0.0.1:9/"]
)
async def test_keys_that_cannot_be_fetched_change_nothing(source: str, caplog: pytest.LogCaptureFixture) -> None:
    ring = Keyring(Config().using(AuthSettings(algorithm="EdDSA", jwks=source)))
    ring.set_keys("default", {"a": "the last good one"})
    await KeySet(ring, "default").load()
    assert ring.tenants["default"].keys == {"a": "the last good one"}
    assert "signing keys of tenant default failed" in caplog.text


async def test_a_socket_ends_with_its_token_unless_it_is_refreshed(config: Config) -> None:
    """4001 at the end, after a warning; a fresh token in band keeps the socket open."""
    short = config.using(replace(config.get(AuthSettings), access_ttl=2.0, leeway=0.0))
    async with running(short) as daemon, daemon.person("alice") as alice, daemon.person("bob") as bob:
        warned = await alice.event("token.expiring")
        assert warned["expires_at"] == alice.hello["expires_at"]
        fresh = daemon.token(alice.user)
        assert (await alice.call("auth.refresh", token=fresh))["expires_at"] == 2**31 * 1000
        assert (await bob.ended()).code == 4001
        assert await alice.is_served()


async def test_token_in_the_query_requires_query_token(config: Config, daemon: Daemon) -> None:

    def by_query(to: Daemon) -> bytes:
        lines = upgrade(to).replace(b"GET /v1/ws ", f"GET /v1/ws?token={to.token(USER)} ".encode()).split(b"\r\n")
        return b"\r\n".join(line for line in lines if not line.startswith(b"Authorization"))

    async with Raw.to(daemon) as raw:
        await raw.send(by_query(daemon))
        answer = await raw.read_to_end()
        assert b" 401 " in answer
        assert b"auth.query_token" in answer
    async with (
        running(config.using(replace(config.get(AuthSettings), query_token=True))) as open_daemon,
        Raw.to(open_daemon) as raw,
    ):
        await raw.send(by_query(open_daemon))
        assert b" 101 " in await raw.read(b"\r\n")


async def test_invalid_tokens_of_one_address_are_rate_limited(config: Config) -> None:
    few = config.using(replace(config.get(AccountLimits), auth_failures_per_minute=5.0))
    async with running(few) as daemon:
        answers = [await daemon.rest("GET", "/v1/conversations", token="x.y.z") for _ in range(8)]
        assert [answer.status for answer in answers] == [401] * 5 + [429] * 3
        assert int(answers[-1].headers["retry-after"]) > 0
        assert (await daemon.rest("GET", "/v1/conversations", token=daemon.token(USER))).status == 200
