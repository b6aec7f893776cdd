"""The admins of the configuration, and their tokens for /admin. Tokens of users are separate."""

import hmac
import re

from chatd.accounts.keys import WeakKey
from chatd.accounts.settings import AccountLimits, TenantSettings
from chatd.accounts.token_rules import DEFAULT_TENANT, TENANT
from chatd.app.rate_limits import AddressLimits
from chatd.core.config import Admin, Config
from chatd.core.errors import Refused
from chatd.core.identity import AdminScope
from chatd.core.secrets import MIN_SECRET_BYTES, digest

# Characters that a header carries unchanged.
TOKEN = re.compile(r"[\x21-\x7e]+")


class Admins:
    """All admins. Raises WeakKey for a weak or repeated token."""

    def __init__(self, config: Config) -> None:
        self._admins = config.admins
        self._tenants = {DEFAULT_TENANT, *config.named(TenantSettings)}
        self._digests = {name: digest(admin.token) for name, admin in config.admins.items()}
        self._failures = AddressLimits(config.get(AccountLimits).auth_failures_per_minute)
        for name, admin in config.admins.items():
            check_admin(name, admin, self._tenants)
        if len(set(self._digests.values())) < len(self._digests):
            raise WeakKey("two admins have the same token, so the audit log could not distinguish them")

    def name_of(self, token: str | None, address: str) -> str:
        """The admin with this token. Earlier failures of the address do not matter to a valid token.

        Raises Refused: `unauthenticated`; `rate_limited` for an address with too many failures.
        """
        offered, found = digest(token or ""), ""
        for name, known in self._digests.items():
            if hmac.compare_digest(offered, known):
                found = name
        if not found:
            self._failures.check(address)
            raise Refused("unauthenticated", "not a valid admin token")
        return found

    def tenants_of(self, name: str) -> list[str]:
        """The tenants in which an admin may act; the default one is the first, if it is among them."""
        own = set(self._admins[name].tenants) or self._tenants
        return sorted(own, key=lambda tenant: (tenant != DEFAULT_TENANT, tenant))

    def scope_of(self, name: str, tenant: str) -> AdminScope:
        """The scope of an admin in a tenant. Raises Refused: `not_found` for a tenant outside of it."""
        own = self._admins[name].tenants
        if tenant not in self._tenants or (own and tenant not in own):
            raise Refused("not_found", "$.tenant: no such tenant")
        return AdminScope(name, tenant, all_tenants=not own, role=self._admins[name].role)


def check_admin(name: str, admin: Admin, tenants: set[str]) -> None:
    """Check the settings of an admin. Raises WeakKey."""
    if TENANT.fullmatch(name) is None:
        raise WeakKey(f"{name!r} is not a valid admin name: expected 1 to 63 of a-z, 0-9, - and _")
    if len(admin.token) < MIN_SECRET_BYTES or TOKEN.fullmatch(admin.token) is None:
        raise WeakKey(
            f"admin {name}: the token must have at least {MIN_SECRET_BYTES} bytes of printable ASCII, without spaces"
        )
    unknown = set(admin.tenants) - tenants
    if unknown:
        raise WeakKey(f"admin {name}: unknown tenant {', '.join(sorted(unknown))}")
