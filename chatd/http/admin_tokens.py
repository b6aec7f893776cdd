"""Who may use /admin: the names and tokens of the configuration. They have nothing to do with the tokens of users."""

import hmac
import re

from chatd.accounts.authentication import digest
from chatd.accounts.keys import WeakKey
from chatd.accounts.settings import AccountLimits, TenantSettings
from chatd.accounts.token_rules import DEFAULT_TENANT, TENANT
from chatd.app.rate_limits import AddressLimits
from chatd.core.config import Admin, Config
from chatd.core.errors import Refused
from chatd.core.identity import Authority
from chatd.core.secrets import MIN_SECRET_BYTES

# What a header can carry and nothing can mangle.
TOKEN = re.compile(r"[\x21-\x7e]+")


class Admins:
    """All admins. Raises WeakKey when one has a token that must not be used."""

    def __init__(self, config: Config) -> None:
        self._admins = config.admins
        self._tenants = {DEFAULT_TENANT, *config.named(TenantSettings)}
        self._digests = {name: digest(admin.token) for name, admin in config.admins.items()}
        self._failures = AddressLimits(config.get(AccountLimits).auth_failures_per_minute)
        for name, admin in config.admins.items():
            check_admin(name, admin, self._tenants)
        if len(set(self._digests.values())) < len(self._digests):
            raise WeakKey("two admins have the same token: nobody could say who did something")

    def name_of(self, token: str | None, address: str) -> str:
        """Whose token this is, whatever its address has tried before.

        Raises Refused: `unauthenticated`, and `rate_limited` for an address that has tried too often.
        """
        offered, found = digest(token or ""), ""
        for name, known in self._digests.items():
            if hmac.compare_digest(offered, known):
                found = name
        if not found:
            self._failures.check(address)
            raise Refused("unauthenticated", "this is no token of an admin")
        return found

    def authority(self, name: str, tenant: str) -> Authority:
        """The admin at work in a tenant. Raises Refused: `not_found` for one that is not theirs."""
        own = self._admins[name].tenants
        if tenant not in self._tenants or (own and tenant not in own):
            raise Refused("not_found", "$.tenant: no such tenant")
        return Authority(name, tenant, everywhere=not own)


def check_admin(name: str, admin: Admin, tenants: set[str]) -> None:
    """Raises WeakKey."""
    if TENANT.fullmatch(name) is None:
        raise WeakKey(f"{name!r} is no name for an admin: small letters, digits, - and _, at most 63")
    if len(admin.token) < MIN_SECRET_BYTES or TOKEN.fullmatch(admin.token) is None:
        raise WeakKey(f"admin {name}: the token must have at least {MIN_SECRET_BYTES} bytes, letters and signs of ASCII only")
    unknown = set(admin.tenants) - tenants
    if unknown:
        raise WeakKey(f"admin {name}: there is no tenant {', '.join(sorted(unknown))}")
