"""The signing keys of all tenants: verifies and issues access tokens.

The configuration fixes one algorithm and one source of keys for each tenant. A token selects a key by two exact matches
only: `tid` (or else `iss`) among the tenants, `kid` among the keys of that tenant. A token without `kid` is verified
with the only key of its tenant. Nothing in a token names an address; an unknown `kid` makes `jwks.py` read the
configured one again, within its limits.
"""

import base64
import hashlib
import json
import secrets
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import jwt
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from chatd.accounts.profile_claims import ClaimNames
from chatd.accounts.service_tokens import FORM as SERVICE_TOKEN
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


class UnknownKey(Refused):
    """The key of the token is not known. The claims of the token are as expected, but not verified."""

    def __init__(self, tenant: str, why: str) -> None:
        super().__init__("unauthenticated", f"the token is not valid: {why}")
        self.tenant = tenant


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
        self._by_issuer = tenants_by_issuer(self.tenants)
        self._verified: OrderedDict[str, Principal] = OrderedDict()

    @property
    def is_complete(self) -> bool:
        """Whether the keys of all tenants are known. Those of identity providers are read after the start."""
        return all(tenant.keys for tenant in self.tenants.values())

    def verify(self, token: str, now_ms: int) -> Principal:
        """The user of a token. Raises Refused: `unauthenticated`; UnknownKey if another key may be needed."""
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
        check_header(tenant, parsed.header)
        key = key_of(tenant, parsed.header)
        is_verified = key is not None and is_signed(parsed, tenant.algorithm, key)
        if key is not None and not is_verified and (tenant.algorithm == "HS256" or "kid" in parsed.header):
            raise refused("wrong signature")
        # Identify the token by its signing input (RFC 7515, section 5.2). Its signature is not unique: in ECDSA, (r, s)
        # and (r, n - s) are both valid.
        token_id = hashlib.sha256(parsed.signing_input).hexdigest()[:32]
        principal = principal_of(parsed.claims, tenant.expected, now_ms, token_id)
        if not is_verified:
            # Only here: a token whose claims are refused does not make this node read the key set again.
            raise UnknownKey(
                tenant.expected.tenant, "its key id (kid) is unknown" if key is None else "wrong signature"
            )
        return principal

    def _tenant_of(self, claims: Mapping[str, Any]) -> TenantKeys:
        """Select the tenant whose key to try. The claim is checked again after the signature."""
        issuer = claims.get("iss")
        by_issuer = self._by_issuer.get(issuer, DEFAULT_TENANT) if isinstance(issuer, str) else DEFAULT_TENANT
        name = claims.get("tid", by_issuer)
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
        claims = {"sub": user, "tid": tenant, "iat": issued, "exp": expires, "jti": uuid7(now_ms), "login": login}
        claims |= required_claims(keys.expected) | {keys.expected.subject_claim: user}
        return jwt.encode(claims, keys.keys[""], algorithm="HS256"), expires * 1000

    def set_keys(self, tenant: str, keys: dict[str, Any]) -> None:
        """Replace the keys of a tenant. Forget all verified tokens if a key is no longer valid."""
        known = self.tenants[tenant].keys
        self.tenants[tenant] = replace(self.tenants[tenant], keys=keys)
        if any(keys.get(kid) != key for kid, key in known.items()):
            self._verified.clear()


def tenants_by_issuer(tenants: Mapping[str, TenantKeys]) -> dict[str, str]:
    """The tenants whose tokens need no `tid`, because no other tenant has their issuer."""
    issuers = Counter(tenant.expected.issuer for tenant in tenants.values())
    found = ((name, tenant.expected.issuer) for name, tenant in tenants.items())
    return {issuer: name for name, issuer in found if issuer and issuers[issuer] == 1}


def required_claims(expected: Expected) -> dict[str, Any]:
    """What a token needs to be accepted besides its user and its times."""
    values = [
        *((name, expected.scope or ACCESS) for name in expected.scope_claims[:1]),
        *((expected.audience_claim, audience) for audience in expected.audiences[:1]),
        ("iss", expected.issuer),
    ]
    return {name: value for name, value in values if value}


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
    return TenantKeys(expected_of(name, section, settings, leeway), settings.algorithm, keys, settings.jwks)


def expected_of(tenant: str, section: str, settings: AuthSettings | TenantSettings, leeway: float) -> Expected:
    """The claims that the settings of a tenant require. Raises WeakKey if they accept no token."""
    needed = [
        ("scope", settings.scope, "scope_claims", settings.scope_claims),
        ("audience", settings.audience, "audience_claim", settings.audience_claim),
    ]
    for name, value, needs, claim in needed:
        if value and not claim:
            raise WeakKey(f"{section}.{name} is set, and {section}.{needs} is empty", f"set {section}.{needs}")
    if not settings.subject_claim:
        raise WeakKey(f"{section}.subject_claim is empty", f'set {section}.subject_claim to "sub"')
    profile = ClaimNames(settings.name_claim, settings.picture_claim, settings.locale_claim, settings.roles_claim)
    return Expected(
        tenant=tenant,
        issuer=settings.issuer,
        audiences=tuple(settings.audience.split()),
        audience_claim=settings.audience_claim,
        scope=settings.scope,
        scope_claims=tuple(settings.scope_claims),
        subject_claim=settings.subject_claim,
        session_claim=settings.session_claim,
        profile=profile,
        leeway=leeway,
    )


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
        raise refused(f"it has more than {MAX_TOKEN_BYTES} bytes")
    if token.startswith(SERVICE_TOKEN.prefix):
        raise refused("this is a service token, which is for the server API only")
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


def check_header(tenant: TenantKeys, header: Mapping[str, Any]) -> None:
    """Check the header of a token. Raises Refused."""
    if "crit" in header or header.get("typ") not in TYPES or header.get("b64") is False:
        raise refused("unsupported header")
    if not isinstance(header.get("kid", ""), str):
        raise refused("its key id (kid) is not a string")
    if header.get("alg") != tenant.algorithm:
        raise refused("its algorithm is not the one configured for the tenant")
    if "kid" not in header and len(tenant.keys) > 1 and "" not in tenant.keys:
        raise refused("it has no key id (kid), and its tenant has several keys")


def key_of(tenant: TenantKeys, header: Mapping[str, Any]) -> Any:
    """The key to verify a token with; None if it is not known."""
    if tenant.algorithm == "HS256":
        return tenant.keys[""]
    if "kid" not in header and len(tenant.keys) == 1:
        return next(iter(tenant.keys.values()))
    return tenant.keys.get(header.get("kid", ""))


def read_jwks(text: bytes, algorithm: str) -> dict[str, Any]:
    """The public keys of a JWKS (RFC 7517) that are for this algorithm, by `kid`. Raises ValueError."""
    keys = dict[str, Any]()
    try:
        for key in jwt.PyJWKSet.from_json(text.decode()).keys:
            if key.algorithm_name != algorithm or key.public_key_use not in (None, "sig"):
                continue
            kid = key.key_id or ""
            if keys.setdefault(kid, key.key) != key.key:
                raise ValueError(f"two keys have the same key id (kid): {kid!r:.50}")
    except (jwt.PyJWTError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a JWKS: {type(error).__name__}: {error}"[:200]) from None
    if not keys:
        raise ValueError(f"the JWKS has no key for {algorithm}")
    return keys
