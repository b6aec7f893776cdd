"""Refreshes the public keys of identity providers periodically, never because of a token.

If a provider fails, the last keys stay in use. The operator configures the address, so it may be private; otherwise the
request is made like all others (db/http_client.py).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio

from chatd.accounts.keys import Keyring, TenantKeys, read_jwks
from chatd.core.health import Condition
from chatd.db.http_client import OutboundError, check_url, open_outbound

REFRESH_S = 300.0
TIMEOUT_S = 10.0
# Seconds that the start waits for the first key sets.
FIRST_READ_S, POLL_S = 3.0, 0.01
MAX_JWKS_BYTES = 262_144


class JwksError(Exception):
    """The keys cannot be read."""


async def watch(keyring: Keyring) -> None:
    """Refresh all key sets until cancelled."""
    conditions = {name: Condition(f"signing keys of tenant {name}") for name in keyring.tenants}
    while True:
        await refresh(keyring, conditions)
        await trio.sleep(REFRESH_S)


async def wait_for_keys(keyring: Keyring) -> None:
    """Wait for the first key sets, at most `FIRST_READ_S`. Tokens of tenants without keys are refused `unavailable`."""
    with trio.move_on_after(FIRST_READ_S):
        while not keyring.is_complete:
            await trio.sleep(POLL_S)


async def refresh(keyring: Keyring, conditions: Mapping[str, Condition]) -> None:
    """Read all key sets once. Those that cannot be read stay as they are."""
    for name, tenant in list(keyring.tenants.items()):
        if tenant.jwks:
            try:
                keyring.set_keys(name, await keys_of(tenant))
            except JwksError as error:
                conditions[name].fail(str(error))
            else:
                conditions[name].recover()


async def keys_of(tenant: TenantKeys) -> dict[str, Any]:
    try:
        # Parsing a large set takes 100 ms.
        return await trio.to_thread.run_sync(read_jwks, await read(tenant.jwks), tenant.algorithm)
    except (OSError, ValueError, OutboundError) as error:
        raise JwksError(f"{tenant.jwks}: {error}") from None


async def read(source: str) -> bytes:
    """A file, or an https address. Raises OSError, ValueError or OutboundError."""
    if "://" not in source:
        return (await trio.to_thread.run_sync(Path(source).read_bytes, abandon_on_cancel=True))[:MAX_JWKS_BYTES]
    check_url(source)
    async with open_outbound(private=True, connections=1) as outbound:
        answer = await outbound.ask("GET", source, timeout=TIMEOUT_S, most=MAX_JWKS_BYTES)
    if answer.status != 200:
        raise ValueError(f"HTTP {answer.status}")
    return answer.body
