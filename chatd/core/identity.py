"""The identity of a user, a service or an admin after a token was verified."""

from dataclasses import dataclass
from typing import Literal, get_args

from chatd.core.errors import Refused

# Tenant and user.
UserKey = tuple[str, str]
# Of an admin. Each role may do what the ones before it may do.
Role = Literal["viewer", "moderator", "operator"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class ProfileClaims:
    """The claims of a backend's token that are stored with the user, None for absent ones. `issued_at` in milliseconds.
    `hashes` is for comparison, see `accounts/profile_claims.py`.
    """

    name: str | None
    picture_url: str | None
    locale: str | None
    roles: tuple[str, ...] | None
    issued_at: int
    hashes: bytes


@dataclass(frozen=True, slots=True)
class Principal:
    """The verified claims of an access token. `login` is the family of refresh tokens that it belongs to, or a session
    at an identity provider; "" if that is not known.

    `expires_at` in milliseconds since 1970 UTC. `external_id`: the subject of the token if it is not the user id.
    `claims`: None for tokens that chatd has issued. `is_bot`: it was signed in with the token of a bot.
    """

    tenant: str
    user: str
    token_id: str
    login: str
    scope: str
    expires_at: int
    external_id: str | None = None
    claims: ProfileClaims | None = None
    is_bot: bool = False

    @property
    def has_external_login(self) -> bool:
        """Whether the login is a session at an identity provider, which the first sign-in makes known."""
        return bool(self.login) and self.claims is not None

    @property
    def credential(self) -> str:
        """The credential that a logout ends: the login, or the token itself if it belongs to none."""
        return self.login or self.token_id


@dataclass(frozen=True, slots=True)
class ServiceIdentity:
    """A verified service token: the backend of an app, in one tenant. `token` is the id of the token."""

    tenant: str
    token: str
    name: str
    scopes: frozenset[str]

    @property
    def actor(self) -> str:
        """The name in the audit log. No admin has it: names of admins contain no colon."""
        return f"token:{self.name}"


@dataclass(frozen=True, slots=True)
class AdminScope:
    """An admin and the tenant of the command. `all_tenants`: not limited to some, so allowed to command the whole
    cluster.
    """

    name: str
    tenant: str
    all_tenants: bool
    role: Role = "viewer"

    def require(self, role: Role) -> None:
        """Refuse an admin below this role. Raises Refused: `forbidden`."""
        if not includes(self.role, role):
            raise Refused("forbidden", f"this needs an admin with the role {role}; see admins.{self.name}.role")


def includes(role: Role, other: Role) -> bool:
    """Whether the first role may do what the other one may do."""
    return ROLES.index(role) >= ROLES.index(other)
