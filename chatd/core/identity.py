"""The identity of a user or an admin after a token was verified."""

from dataclasses import dataclass

# Tenant and user.
UserKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Principal:
    """The verified claims of an access token. `login` is the family of refresh tokens it came from, "" for foreign tokens.

    `expires_at` in milliseconds since 1970 UTC.
    """

    tenant: str
    user: str
    token_id: str
    login: str
    scope: str
    expires_at: int

    @property
    def credential(self) -> str:
        """What a logout ends: the login, or the token itself where it belongs to none."""
        return self.login or self.token_id


@dataclass(frozen=True, slots=True)
class Authority:
    """An admin at work in one tenant. `everywhere`: may also order what concerns the cluster as a whole."""

    name: str
    tenant: str
    everywhere: bool
