"""Keeps the public keys of identity providers fresh: by the clock, never because of a token.

A provider that is away costs nothing but freshness: the last good keys stay. The address is the operator's, from the
configuration; answers are bounded, redirects are not followed.
"""

import urllib.request
from pathlib import Path
from typing import Any

import trio

from chatd import log
from chatd.node.keys import Keyring, TenantKeys, read_jwks

LOG = log.get(__name__)
EVERY = 300.0
TIMEOUT = 10.0
MOST_BYTES = 262_144


class JwksError(Exception):
    """The keys cannot be read; the text says why."""


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """The operator named one address."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


async def watch(keyring: Keyring) -> None:
    """Read all key sets again and again. A service of the daemon."""
    while True:
        await refresh(keyring)
        await trio.sleep(EVERY)


async def refresh(keyring: Keyring) -> None:
    """Read all key sets once."""
    for name, tenant in list(keyring.tenants.items()):
        if tenant.jwks:
            try:
                keyring.set_keys(name, await keys_of(tenant))
            except JwksError as error:
                LOG.warning("the keys of a tenant could not be read; the last ones stay", extra={"tenant": name, "why": error})


async def keys_of(tenant: TenantKeys) -> dict[str, Any]:
    try:
        text = await trio.to_thread.run_sync(read, tenant.jwks, abandon_on_cancel=True)
        return read_jwks(text, tenant.algorithm)
    except (OSError, ValueError) as error:
        raise JwksError(f"{tenant.jwks}: {error}") from None


def read(source: str) -> bytes:
    """A file, or an https address. Raises OSError or ValueError."""
    if "://" not in source:
        return Path(source).read_bytes()[:MOST_BYTES]
    if not source.startswith("https://"):
        raise ValueError("a JWKS is fetched by https only")
    opener = urllib.request.build_opener(NoRedirects)
    with opener.open(source, timeout=TIMEOUT) as answer:
        return bytes(answer.read(MOST_BYTES))
