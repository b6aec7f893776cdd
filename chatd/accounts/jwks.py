"""Keeps the public keys of identity providers fresh: by the clock, never because of a token.

A provider that is away costs nothing but freshness: the last good keys stay. The address is the operator's, from the
configuration, and may stand in the operator's house; for the rest it is asked as everybody is (db/http_client.py).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio

from chatd.accounts.keys import Keyring, TenantKeys, read_jwks
from chatd.core.health import Condition
from chatd.db.http_client import OutboundError, check_url, open_outbound

EVERY = 300.0
TIMEOUT = 10.0
# Seconds that the start waits for the first key sets, and between two looks.
FIRST_READ_S, POLL_S = 3.0, 0.01
MOST_BYTES = 262_144


class JwksError(Exception):
    """The keys cannot be read; the text says why."""


async def watch(keyring: Keyring) -> None:
    """Read all key sets again and again. A service of the daemon."""
    conditions = {name: Condition(f"signing keys of tenant {name}") for name in keyring.tenants}
    while True:
        await refresh(keyring, conditions)
        await trio.sleep(EVERY)


async def wait_for_keys(keyring: Keyring) -> None:
    """Wait for the first key sets, as long as a start may take for them: until then their tokens are answered `unavailable`."""
    with trio.move_on_after(FIRST_READ_S):
        while not keyring.is_complete:
            await trio.sleep(POLL_S)


async def refresh(keyring: Keyring, conditions: Mapping[str, Condition]) -> None:
    """Read all key sets once. Where they cannot be read the last ones stay."""
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
        # A large set takes a hundred milliseconds.
        return await trio.to_thread.run_sync(read_jwks, await read(tenant.jwks), tenant.algorithm)
    except (OSError, ValueError, OutboundError) as error:
        raise JwksError(f"{tenant.jwks}: {error}") from None


async def read(source: str) -> bytes:
    """A file, or an https address. Raises OSError, ValueError or OutboundError."""
    if "://" not in source:
        return (await trio.to_thread.run_sync(Path(source).read_bytes, abandon_on_cancel=True))[:MOST_BYTES]
    check_url(source)
    async with open_outbound(private=True, connections=1) as outbound:
        answer = await outbound.ask("GET", source, timeout=TIMEOUT, most=MOST_BYTES)
    if answer.status != 200:
        raise ValueError(f"HTTP {answer.status}")
    return answer.body
