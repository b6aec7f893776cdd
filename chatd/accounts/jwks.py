"""The key sets of identity providers: read at the start, every five minutes, and when a token names an unknown key.

A token with an unknown key waits until its key set has been read again, so that keys may rotate without a delay. All
such tokens share one request, and a tenant has at most one in `reload_interval_s`; nothing in a token names an address.
Tokens that come sooner are refused as `unavailable`, because their key may be newer than the last request.

If a provider fails, the last keys stay in use. The operator configures the address, so it may be private; otherwise the
request is made like all others (db/http_client.py).
"""

import math
from typing import Any

import trio
from msgspec import Struct

from chatd.accounts.keys import Keyring, TenantKeys, UnknownKey, read_jwks
from chatd.core.errors import Refused
from chatd.core.health import Condition
from chatd.db.http_client import OutboundError, check_url, is_loopback, open_outbound

# Seconds that the start waits for the first key sets.
FIRST_READ_S, POLL_S = 3.0, 0.01
MAX_JWKS_BYTES = 262_144


class JwksError(Exception):
    """The keys cannot be read."""


class JwksTunables(Struct, frozen=True, kw_only=True):
    """Times in seconds. `refresh_s` follows a success, `retry_s` a failure. `timeout_s` is for one request. `wait_s`:
    how long a token waits for a reload.

    At most `max_waiting` tokens of all tenants wait, because each holds one of the few slots for sign-ins
    (`gateway/admission.py`): a provider that does not answer must not keep out users with known keys.
    """

    refresh_s: float = 300.0
    retry_s: float = 15.0
    reload_interval_s: float = 10.0
    timeout_s: float = 10.0
    wait_s: float = 3.0
    max_waiting: int = 8
    retry_full_s: float = 1.0


TUNABLES = JwksTunables()


class KeySet:
    """The key set of one tenant. `reloads` counts the requests because of an unknown key."""

    def __init__(self, keyring: Keyring, tenant: str, tunables: JwksTunables = TUNABLES) -> None:
        self._keyring = keyring
        self._tenant = tenant
        self._tunables = tunables
        self._condition = Condition(f"signing keys of tenant {tenant}")
        # Numbers of loads: the last one that has begun, has ended, and was asked for.
        self._begun = self._ended = self._asked = 0
        self._wake = trio.Event()
        self._news = trio.Event()
        # A file that cannot be read holds a thread, and no thread of others.
        self._limiter = trio.CapacityLimiter(1)
        self._next_reload = -math.inf
        self.reloads = 0

    @property
    def failing(self) -> bool:
        return self._condition.failing

    async def run(self) -> None:
        """Read the keys again and again, until cancelled."""
        while True:
            await self.load()
            with trio.move_on_after(self._tunables.retry_s if self.failing else self._tunables.refresh_s):
                await self._wake.wait()
            self._wake = trio.Event()

    async def load(self) -> None:
        """Read the keys. If that fails, the known ones stay."""
        self._begun += 1
        try:
            tenant = self._keyring.tenants[self._tenant]
            self._keyring.set_keys(self._tenant, await keys_of(tenant, self._tunables.timeout_s, self._limiter))
        except JwksError as error:
            self._condition.fail(str(error))
        else:
            self._condition.recover()
        finally:
            self._ended = self._begun
            self._news.set()
            self._news = trio.Event()

    async def reload(self) -> None:
        """Wait until `run` has read the keys again, because one is missing.

        Raises Refused: `unavailable` if that fails, or if the last reload is too recent.
        """
        now, times = trio.current_time(), self._tunables
        if self._asked <= self._ended:
            if now < self._next_reload:
                raise unavailable(self._next_reload - now)
            self._next_reload = now + times.reload_interval_s
            # One that has begun may have been answered before the key was published.
            self._asked = self._begun + 1
            self.reloads += 1
            self._wake.set()
        load = self._asked
        with trio.move_on_after(times.wait_s):
            while self._ended < load:
                await self._news.wait()
        if self._ended < load or self.failing:
            raise unavailable(times.reload_interval_s)


class KeySets(dict[str, KeySet]):
    """The key sets of all tenants with an identity provider, by tenant."""

    def __init__(self, keyring: Keyring, tunables: JwksTunables) -> None:
        super().__init__(
            (name, KeySet(keyring, name, tunables)) for name, tenant in keyring.tenants.items() if tenant.jwks
        )
        self._tunables = tunables
        self._waiting = 0

    async def reload(self, unknown: UnknownKey) -> None:
        """Read the key set again that a token needs. Raises Refused: the cause if there is none, or `unavailable`."""
        key_set = self.get(unknown.tenant)
        if key_set is None:
            raise unknown
        if self._waiting >= self._tunables.max_waiting:
            raise unavailable(self._tunables.retry_full_s)
        self._waiting += 1
        try:
            await key_set.reload()
        finally:
            self._waiting -= 1


def unavailable(retry_after: float) -> Refused:
    text = "the signing key of the token is not known yet; the keys of the identity provider are read again"
    return Refused("unavailable", text, retry_after=retry_after)


async def wait_for_keys(keyring: Keyring) -> None:
    """Wait for the first key sets, at most `FIRST_READ_S`. Tokens of tenants without keys are refused `unavailable`."""
    with trio.move_on_after(FIRST_READ_S):
        while not keyring.is_complete:
            await trio.sleep(POLL_S)


async def keys_of(tenant: TenantKeys, timeout_s: float, limiter: trio.CapacityLimiter) -> dict[str, Any]:
    """The keys of the configured source. Raises JwksError."""
    try:
        with trio.fail_after(timeout_s):
            data = await read(tenant.jwks, timeout_s, limiter)
            # Parsing a large set takes 100 ms.
            return await trio.to_thread.run_sync(read_jwks, data, tenant.algorithm, limiter=limiter)
    except trio.TooSlowError:
        raise JwksError(f"{tenant.jwks}: no answer within {timeout_s:g} s") from None
    except (OSError, ValueError, OutboundError) as error:
        raise JwksError(f"{tenant.jwks}: {error}") from None


async def read(source: str, timeout_s: float, limiter: trio.CapacityLimiter) -> bytes:
    """A file, or an https address; http is for providers on this machine, in development. Raises OSError, ValueError or
    OutboundError.
    """
    if "://" not in source:
        return await trio.to_thread.run_sync(read_file, source, abandon_on_cancel=True, limiter=limiter)
    check_url(source, ("https", "http") if is_loopback(source) else ("https",))
    async with open_outbound(private=True, connections=1) as outbound:
        answer = await outbound.ask("GET", source, timeout=timeout_s, most=MAX_JWKS_BYTES)
    if answer.status != 200:
        raise ValueError(f"HTTP {answer.status}")
    return answer.body


def read_file(path: str) -> bytes:
    """Raises OSError, or ValueError for a file that is too large."""
    with open(path, "rb") as file:
        data = file.read(MAX_JWKS_BYTES + 1)
    if len(data) > MAX_JWKS_BYTES:
        raise ValueError(f"has more than {MAX_JWKS_BYTES} bytes")
    return data
