"""Limits how many connections of the pool the statements of one user take; some are reserved for sign-in.

`charge_to` sets the user of the current task. Statements of other tasks belong to the server itself.
"""

from contextvars import ContextVar

import trio
from msgspec import Struct

from chatd.core.config import PostgresSection
from chatd.core.errors import Refused

# Statements of one user that may wait for a connection; more are refused.
MAX_WAITING = 100


class Account(Struct, eq=False):
    """A user, and the connection time that one command has used."""

    tenant: str
    user: str
    used_s: float = 0.0


ACCOUNT: ContextVar[Account | None] = ContextVar("chatd_database_account", default=None)


def charge_to(tenant: str, user: str) -> Account:
    """Charge the further statements of this task to a user."""
    account = Account(tenant, user)
    ACCOUNT.set(account)
    return account


class Slots(Struct, eq=False):
    """The connections of one user. `claims`: statements that use one or wait for one."""

    free: trio.Semaphore
    claims: int = 0


class FairShare:
    """The shares of all users: `acquire` before a connection is lent to a user, `release` after."""

    def __init__(self, settings: PostgresSection) -> None:
        of_users = max(1, settings.pool - settings.reserved)
        # In a small pool one user takes at most half.
        self._per_user = min(settings.user_connections, max(1, of_users // 2))
        self._of_users = trio.Semaphore(of_users)
        self._slots: dict[tuple[str, str], Slots] = {}

    async def acquire(self, account: Account) -> None:
        """Take a connection for a statement of this user. Raises Refused: `rate_limited` if too many statements of the
        user wait.
        """
        key = (account.tenant, account.user)
        slots = self._slots.get(key)
        if slots is None:
            slots = self._slots[key] = Slots(trio.Semaphore(self._per_user))
        if slots.claims >= self._per_user + MAX_WAITING:
            raise too_many()
        slots.claims += 1
        try:
            await acquire(slots.free)
            try:
                await acquire(self._of_users)
            except BaseException:
                slots.free.release()
                raise
        except BaseException:
            self._forget(key, slots)
            raise

    def refusal(self, account: Account) -> Refused:
        """The refusal for a timeout: caused by statements of the same user, or of all users."""
        slots = self._slots.get((account.tenant, account.user))
        if slots is not None and not slots.free.value:
            return too_many()
        return Refused("unavailable", "the database is busy", retry_after=1)

    def release(self, account: Account) -> None:
        key = (account.tenant, account.user)
        slots = self._slots[key]
        slots.free.release()
        self._of_users.release()
        self._forget(key, slots)

    def _forget(self, key: tuple[str, str], slots: Slots) -> None:
        slots.claims -= 1
        if not slots.claims:
            del self._slots[key]


def too_many() -> Refused:
    return Refused("rate_limited", "too many of your commands are waiting for the database", retry_after=1)


async def acquire(semaphore: trio.Semaphore) -> None:
    """Acquire a semaphore, without a checkpoint if it is free."""
    try:
        semaphore.acquire_nowait()
    except trio.WouldBlock:
        await semaphore.acquire()
