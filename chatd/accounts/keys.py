"""The signing keys of all tenants: verifies and issues access tokens.

The configuration fixes one algorithm and one source of keys for each tenant. A token selects a key by two exact matches
only: `tid` among the tenants, `kid` among the keys of that tenant. No token causes a request to another server.
"""

import base64
import hashlib
import json
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import jwt
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from chatd.accounts.settings import AuthSettings, TenantSettings
from chatd.accounts.token_rules import ACCESS, DEFAULT_TENANT, MAX_TOKEN_BYTES, TENANT, Expected, principal_of, refused
from chatd.core.config import Config
from chatd.core.errors import OperatorError, Refused
from chatd.core.identity import Principal
from chatd.core.ids import uuid7
from chatd.core.secrets import MIN_SECRET_BYTES
from chatd.core.settings import is_alone, kept

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")
MAX_CACHED = 50_000
TYPES = (None, "JWT", "at+jwt")


class WeakKey(OperatorError):
    """A key that must not be used. `fix`: what the operator can do."""

    def __init__(
        self, text: str, fix: str = "run `chatd init`, or set the named key to at least 32 random bytes"
    ) -> None:
        super().__init__(text)
        self.fix = fix


class TenantKeys(Struct):
    """How the tokens of one tenant are verified. `keys` by `kid`; "" for tokens without one."""

    expected: Expected
    algorithm: str
    keys: dict[str, Any]
    jwks: str


def token_keys(config: Config) -> bytes:
    """The token keys of all tenants as bytes. Nodes compare a fingerprint of them."""
    settings: dict[str, AuthSettings | TenantSettings] = {
        DEFAULT_TENANT: config.get(AuthSettings),
        **config.named(TenantSettings),
    }
    return msgspec.msgpack.encode(sorted((name, one.algorithm, one.secret) for name, one in settings.items()))


def ensure_token_secret(config: Config, *, make: bool = True) -> Config:
    """The same as `ensure_installation_secret`, for `auth.secret`. Raises OperatorError."""
    auth = config.get(AuthSettings)
    if not is_alone(config) or auth.secret or auth.algorithm != "HS256":
        return config
    return config.using(replace(auth, secret=kept(config, "secret", make=make) or secrets.token_urlsafe(48)))


class Keyring:
    """The keys of all tenants.

    Caches verified tokens until they expire; revocations are checked in the database.
    """

    def __init__(self, config: Config) -> None:
        self._auth = config.get(AuthSettings)
        settings: dict[str, AuthSettings | TenantSettings] = {
            DEFAULT_TENANT: config.get(AuthSettings),
            **config.named(TenantSettings),
        }
        self.tenants = {
            name: tenant_keys(name, tenant, config.get(AuthSettings).leeway) for name, tenant in settings.items()
        }
        self._verified: OrderedDict[str, Principal] = OrderedDict()

    @property
    def is_complete(self) -> bool:
        """Whether the keys of all tenants are known. Those of identity providers are read after the start."""
        return all(tenant.keys for tenant in self.tenants.values())

    def verify(self, token: str, now_ms: int) -> Principal:
        """The user of a token. Raises Refused: `unauthenticated`; `unavailable` while no key of its tenant is known."""
        known = self._verified.get(token)
        if known is not None and known.expires_at > now_ms:
            return known
        principal = self._verify(token, now_ms)
        self._verified[token] = principal
        if len(self._verified) > MAX_CACHED:
            self._verified.popitem(last=False)
        return principal

    def _verify(self, token: str, now_ms: int) -> Principal:
        parsed = parse(token)
        tenant = self._tenant_of(parsed.claims)
        if not is_signed(parsed, tenant.algorithm, key_of(tenant, parsed.header)):
            raise refused("wrong signature")
        # Identify the token by its signing input (RFC 7515, section 5.2). Its signature is not unique: in ECDSA, (r, s)
        # and (r, n - s) are both valid.
        token_id = hashlib.sha256(parsed.signing_input).hexdigest()[:32]
        return principal_of(parsed.claims, tenant.expected, now_ms, token_id)

    def _tenant_of(self, claims: Mapping[str, Any]) -> TenantKeys:
        """Select the tenant whose key to try. The claim is checked again after the signature."""
        name = claims.get("tid", DEFAULT_TENANT)
        tenant = self.tenants.get(name) if isinstance(name, str) else None
        if tenant is None:
            raise refused("no such tenant")
        return tenant

    def minting_tenants(self) -> list[str]:
        """The tenants whose access tokens this server issues."""
        return [name for name, keys in self.tenants.items() if keys.algorithm == "HS256"]

    def check_mints(self, tenant: str) -> TenantKeys:
        """Check that this server issues tokens for the tenant. Raises Refused: `forbidden` if an identity provider
        issues the tokens of this tenant.
        """
        keys = self.tenants.get(tenant)
        if keys is None or keys.algorithm != "HS256":
            raise Refused("forbidden", "an identity provider issues the tokens of this tenant")
        return keys

    def mint(self, tenant: str, user: str, login: str, now_ms: int, ttl: float | None = None) -> tuple[str, int]:
        """A new access token and its expiry in milliseconds. Raises as `check_mints` does."""
        keys = self.check_mints(tenant)
        issued = now_ms // 1000
        expires = -(-now_ms // 1000) + int(ttl or self._auth.access_ttl)
        claims = {
            "sub": user,
            "tid": tenant,
            "iat": issued,
            "exp": expires,
            "jti": uuid7(now_ms),
            "scope": ACCESS,
            "login": login,
        } | {name: value for name, value in source_of(keys.expected).items() if value}
        return jwt.encode(claims, keys.keys[""], algorithm="HS256"), expires * 1000

    def set_keys(self, tenant: str, keys: dict[str, Any]) -> None:
        """Replace the keys of a tenant, and forget all verified tokens."""
        self.tenants[tenant] = replace(self.tenants[tenant], keys=keys)
        self._verified.clear()


def source_of(expected: Expected) -> Mapping[str, str]:
    return {"iss": expected.issuer, "aud": expected.audience}


def tenant_keys(name: str, settings: AuthSettings | TenantSettings, leeway: float) -> TenantKeys:
    """Build the keys of a tenant from its settings. Raises WeakKey."""
    if TENANT.fullmatch(name) is None:
        raise WeakKey(
            f"{name!r} is not a valid tenant name: expected 1 to 63 of a-z, 0-9, - and _", "rename its section"
        )
    if settings.algorithm not in ALGORITHMS:
        raise WeakKey(f"tenant {name}: algorithm must be one of {', '.join(ALGORITHMS)}")
    section = "auth" if isinstance(settings, AuthSettings) else f"tenants.{name}"
    if settings.algorithm == "HS256" and len(settings.secret.encode()) < MIN_SECRET_BYTES:
        raise WeakKey(
            f"tenant {name}: {section}.secret must have at least {MIN_SECRET_BYTES} bytes. `chatd init` generates one."
        )
    if settings.algorithm != "HS256" and not settings.jwks:
        raise WeakKey(
            f"tenant {name}: {settings.algorithm} needs {section}.jwks, the address or file of the public keys",
            f"set {section}.jwks, or set {section}.algorithm to HS256 and {section}.secret to a secret",
        )
    keys = {"": hmac_key(section, settings.secret)} if settings.algorithm == "HS256" else {}
    expected = Expected(name, settings.issuer, settings.audience, leeway)
    return TenantKeys(expected, settings.algorithm, keys, settings.jwks)


def hmac_key(section: str, secret: str) -> bytes:
    """The key of HS256. Raises WeakKey for the text of a public key, which is no secret."""
    try:
        key: bytes = jwt.get_algorithm_by_name("HS256").prepare_key(secret)
    except jwt.InvalidKeyError:
        raise WeakKey(f"{section}.secret is a key or certificate, not a random secret") from None
    return key


class Token(NamedTuple):
    """A token in its parts. `header` and `claims` can be trusted only if `is_signed`."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes


def parse(token: str) -> Token:
    """Parse a signed token in the compact serialization (RFC 7515, section 7.1). Raises Refused.

    PyJWT would parse it twice, because the key depends on the claims, and examines every character in Python.
    """
    signing_input, _, signature = token.rpartition(".")
    header, _, claims = signing_input.partition(".")
    if len(token) > MAX_TOKEN_BYTES:
        raise refused("malformed")
    try:
        return Token(json_object(header), json_object(claims), signing_input.encode("ascii"), bytes_of(signature))
    except (ValueError, RecursionError):
        raise refused("malformed") from None


def json_object(part: str) -> dict[str, Any]:
    """A JSON object in base64url. Raises ValueError or RecursionError."""
    value = json.loads(bytes_of(part))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def bytes_of(part: str) -> bytes:
    """The bytes of canonical base64url: no padding, no unused bits (RFC 7515). Raises ValueError."""
    decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != part.encode("ascii"):
        raise ValueError("not canonical base64url")
    return decoded


def is_signed(token: Token, algorithm: str, key: Any) -> bool:
    """Whether the key has signed the token with this algorithm, by PyJWT."""
    try:
        check = jwt.get_algorithm_by_name(algorithm)
        # `tenant_keys` has prepared the secret of an HMAC.
        prepared = key if algorithm == "HS256" else check.prepare_key(key)
        return check.verify(token.signing_input, prepared, token.signature)
    except (jwt.PyJWTError, ValueError, TypeError):
        return False


def key_of(tenant: TenantKeys, header: Mapping[str, Any]) -> Any:
    """The key to verify a token with. Raises Refused."""
    if "crit" in header or header.get("typ") not in TYPES or header.get("b64") is False:
        raise refused("unsupported header")
    if not isinstance(header.get("kid", ""), str):
        raise refused("its key id (kid) is not a string")
    if header.get("alg") != tenant.algorithm:
        raise refused("its algorithm is not the one configured for the tenant")
    if tenant.algorithm == "HS256":
        return tenant.keys[""]
    if not tenant.keys:
        raise Refused("unavailable", "the keys of the identity provider have not been loaded yet")
    key = tenant.keys.get(header.get("kid", ""))
    if key is None:
        raise refused("its key id (kid) is unknown")
    return key


def read_jwks(text: bytes, algorithm: str) -> dict[str, Any]:
    """The public keys of a JWKS (RFC 7517) that are for this algorithm, by `kid`. Raises ValueError."""
    keys = {}
    try:
        for key in jwt.PyJWKSet.from_json(text.decode()).keys:
            if key.algorithm_name == algorithm and key.public_key_use in (None, "sig"):
                keys[key.key_id or ""] = key.key
    except (jwt.PyJWTError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a JWKS: {error}") from None
    if not keys:
        raise ValueError(f"the JWKS has no key for {algorithm}")
    return keys
