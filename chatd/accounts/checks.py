"""What `chatd check` examines of accounts."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

import trio

from chatd.accounts.jwks import TUNABLES, JwksError, keys_of
from chatd.accounts.keys import Keyring, WeakKey
from chatd.accounts.settings import TenantSettings
from chatd.accounts.token_rules import DEFAULT_TENANT
from chatd.app.checks import Finding
from chatd.core.config import Config


def check_settings(config: Config) -> Iterator[Finding]:
    try:
        yield Finding("keys", True, f"tenants: {', '.join(Keyring(config).tenants)}", code="settings.keys")
    except WeakKey as error:
        yield Finding("keys", False, str(error), error.fix, "settings.keys")
    if DEFAULT_TENANT in config.named(TenantSettings):
        detail = f"[tenants.{DEFAULT_TENANT}] would replace [auth]"
        yield Finding(
            "names",
            False,
            detail,
            f"move its settings to [auth], and remove [tenants.{DEFAULT_TENANT}]",
            "settings.names",
        )


async def check(config: Config) -> Iterable[Finding]:
    """Whether the public keys of identity providers can be read."""
    found = list[Finding]()
    with suppress(WeakKey):
        for name, tenant in Keyring(config).tenants.items():
            if not tenant.jwks:
                continue
            try:
                detail, is_read = (
                    f"{len(await keys_of(tenant, TUNABLES.timeout_s, trio.CapacityLimiter(1)))} of tenant {name}",
                    True,
                )
            except JwksError as error:
                detail, is_read = str(error), False
            section = "auth" if name == DEFAULT_TENANT else f"tenants.{name}"
            fix = f"set {section}.jwks to a JSON Web Key Set: a file, or an https URL that answers"
            found.append(Finding("signing keys", is_read, detail, fix, "settings.jwks"))
    return found
