"""Identity providers: their keys, and tokens as they sign them."""

import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from chatd.client import Account

Claims = dict[str, Any]


class Provider:
    """An identity provider whose key set is a file. `sign` uses the newest key."""

    def __init__(self, path: Path, algorithm: str = "RS256", *, use_kid: bool = True) -> None:
        self.path = path
        self.algorithm = algorithm
        self._use_kid = use_kid
        self._keys: dict[str, Any] = {}
        self.rotate()
        self.publish()

    def rotate(self) -> str:
        """Make a new key, which is not published yet. Returns its id."""
        kid = str(uuid4())
        is_rsa = self.algorithm == "RS256"
        self._keys[kid] = rsa.generate_private_key(65537, 2048) if is_rsa else ec.generate_private_key(ec.SECP256R1())
        return kid

    def publish(self, *kids: str) -> None:
        """Write the key set: these keys, or all."""
        temporary = self.path.with_suffix(".new")
        temporary.write_text(self.key_set(*kids))
        temporary.rename(self.path)

    def key_set(self, *kids: str) -> str:
        return json.dumps({"keys": [self._jwk(kid) for kid in kids or self._keys]})

    def _jwk(self, kid: str) -> Any:
        to_jwk = RSAAlgorithm.to_jwk if self.algorithm == "RS256" else ECAlgorithm.to_jwk
        named = {"kid": kid} if self._use_kid else {}
        return json.loads(to_jwk(self._keys[kid].public_key())) | named | {"alg": self.algorithm, "use": "sig"}

    def sign(self, claims: Claims, **header: Any) -> str:
        kid = next(reversed(self._keys))
        named = {"kid": kid} if self._use_kid else {}
        return jwt.encode(claims, self._keys[kid], self.algorithm, headers=named | header)

    def sign_without_kid(self, claims: Claims) -> str:
        return jwt.encode(claims, next(reversed(self._keys.values())), self.algorithm)


def times() -> Claims:
    now = int(time.time())
    return {"iat": now, "exp": now + 3600}


def keycloak() -> Claims:
    return times() | {
        "jti": f"onrtro:{uuid4()}",
        "iss": "https://HOST/realms/REALM",
        "aud": ["realm-management", "account"],
        "sub": "3f0e5a8c-8b7a-4c33-9d0e-6a1f5f3f9c11",
        "typ": "Bearer",
        "azp": "CLIENT",
        "sid": str(uuid4()),
        "acr": "1",
        "allowed-origins": ["https://app.example.org"],
        "realm_access": {"roles": ["default-roles-realm", "offline_access", "moderator"]},
        "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
        "scope": "openid profile email",
        "email_verified": True,
        "name": "Ann Example",
        "preferred_username": "ann",
        "given_name": "Ann",
        "family_name": "Example",
        "locale": "de",
        "email": "ann@example.org",
    }


def auth0() -> Claims:
    return times() | {
        "iss": "https://TENANT.auth0.com/",
        "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
        "aud": ["API", "https://TENANT.auth0.com/userinfo"],
        "azp": "my_client_id",
        "scope": "openid profile email offline_access",
        "https://EXAMPLE/roles": ["admin", "editor"],
        "https://EXAMPLE/name": "Ann Example",
    }


def auth0_with_rbac() -> Claims:
    return times() | {
        "iss": "https://TENANT.auth0.com/",
        "sub": "google-oauth2|103547991597142817347",
        "aud": "API",
        "azp": "my_client_id",
        "gty": "password",
        "scope": "",
        "permissions": ["chat:use", "read:reports"],
    }


def okta() -> Claims:
    return times() | {
        "ver": 1,
        "jti": "AT.MNAoEQ_jbKqoinrQo1D0XKjMX28U5d7ZszBceot7-Ts",
        "iss": "https://ORG.okta.com/oauth2/default",
        "aud": "api://default",
        "cid": "0oa1b2c3d4e5f6g7h8i9",
        "uid": "00u1a2b3c4d5e6f7g8h9",
        "scp": ["openid", "profile", "offline_access"],
        "auth_time": int(time.time()) - 5,
        "sub": "ann@example.org",
        "groups": ["Everyone", "Support"],
    }


def firebase() -> Claims:
    return times() | {
        "name": "Ann Example",
        "picture": "https://lh3.googleusercontent.com/a/ACg8ocKx=s96-c",
        "iss": "https://securetoken.google.com/PROJECT",
        "aud": "PROJECT",
        "auth_time": int(time.time()) - 5,
        "user_id": "aZ3kQw9VbNeR5tYuI1oPlKjHgFd2",
        "sub": "aZ3kQw9VbNeR5tYuI1oPlKjHgFd2",
        "email": "ann@example.org",
        "email_verified": True,
        "roles": ["moderator"],
        "firebase": {"identities": {"google.com": ["1035"]}, "sign_in_provider": "google.com"},
    }


def cognito() -> Claims:
    return times() | {
        "sub": "e4a8f4d8-20c1-70b4-5b1c-3a4f5a6b7c8d",
        "cognito:groups": ["admins", "beta"],
        "iss": "https://cognito-idp.REGION.amazonaws.com/POOL",
        "version": 2,
        "client_id": "CLIENT",
        "origin_jti": str(uuid4()),
        "event_id": str(uuid4()),
        "token_use": "access",
        "scope": "aws.cognito.signin.user.admin openid",
        "auth_time": int(time.time()) - 5,
        "jti": str(uuid4()),
        "username": "ann",
    }


def supabase() -> Claims:
    return times() | {
        "iss": "https://PROJECT.supabase.co/auth/v1",
        "sub": "7b1c1c1e-3c0f-4f5e-9a4a-0d6f1f9f2a10",
        "aud": "authenticated",
        "email": "ann@example.org",
        "phone": "",
        "app_metadata": {"provider": "email", "providers": ["email"], "roles": ["staff"]},
        "user_metadata": {"full_name": "Ann Example", "avatar_url": "https://cdn.example.org/ann.png"},
        "role": "authenticated",
        "aal": "aal1",
        "amr": [{"method": "password", "timestamp": int(time.time()) - 5}],
        "session_id": str(uuid4()),
        "is_anonymous": False,
    }


def account(user: str, token: str) -> Account:
    return Account("", user, token, "")
