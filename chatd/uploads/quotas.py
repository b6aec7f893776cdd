"""How many bytes a user, and all anonymous accounts of an address, may upload within a day."""

from collections.abc import Awaitable, Callable
from typing import Any

from chatd.accounts.bans import hash_of
from chatd.app.context import Node
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.db import queries
from chatd.uploads.settings import UploadSettings

SQL = queries.load("uploads/quotas")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# Runs one statement with its arguments: a method of `Postgres`, or of a connection within a transaction.
Statement = Callable[..., Awaitable[Any]]


class Payer:
    """The user and the address that an upload counts for. `address` is a bucket; empty: no quota of an address."""

    def __init__(self, config: Config, who: Principal, address: str) -> None:
        self._settings = config.get(UploadSettings)
        self._who = (who.tenant, who.user)
        self._address_hash = hash_of(config, address) if address else None

    async def check(self, find: Statement, size: int, now: int) -> None:
        """Check that `size` more bytes fit into the quotas. Raises Refused: `rate_limited`."""
        used = await find(SQL.usage, *self._who, now - DAY_MS, self._address_hash, (now - DAY_MS) // HOUR_MS)
        if used["by_user"] + size > self._settings.user_quota_bytes:
            raise over_quota("you have reached the upload limit of one user within 24 hours")
        if used["by_address"] + size > self._settings.address_quota_bytes:
            raise over_quota("your address has reached its upload limit within 24 hours")

    async def lock(self, run: Statement) -> None:
        """Let uploads of the user count one at a time, until the end of the transaction."""
        await run(SQL.lock_owner, *self._who)

    async def charge(self, run: Statement, size: int, now: int) -> None:
        """Count bytes for the address, if the user is anonymous."""
        if self._address_hash is not None:
            await run(SQL.charge_address, *self._who, self._address_hash, now // HOUR_MS, size)


async def check_quota(node: Node, payer: Payer, now: int) -> None:
    """Check the quotas before a file is received. Raises Refused: `rate_limited`."""
    await payer.check(node.db.one, 1, now)


def over_quota(message: str) -> Refused:
    return Refused("rate_limited", message, retry_after=3600)
