"""Lockout after failed sign-ins: of an address, and of an admin whose token was right and whose one-time code was not.

The counters are in Postgres, so they hold on all nodes. Nobody without a token can lock out an admin.
"""

import hmac

from chatd.core.addresses import bucket
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.secrets import derived_key
from chatd.db import queries
from chatd.db.batches import delete_all
from chatd.db.postgres import Postgres

SQL = queries.load("admin_pages/lockout")
WINDOW_MS = 900_000
MAX_OF_ADDRESS = 10
MAX_OF_ADMIN = 5


class Lockout:
    """The failures within `WINDOW_MS`, by keyed hashes of addresses and names."""

    def __init__(self, config: Config, db: Postgres) -> None:
        self._db = db
        self._key = derived_key(config.data.secret, "admin-lockout")

    async def check_address(self, address: str) -> None:
        """Raises Refused: `rate_limited` for an address with too many failures."""
        await self._check(self._of_address(address), MAX_OF_ADDRESS, "too many failed sign-ins from your address")

    async def check_admin(self, admin: str) -> None:
        """Raises Refused: `rate_limited` for an admin with too many wrong codes."""
        await self._check(self._of_admin(admin), MAX_OF_ADMIN, "too many wrong codes")

    async def count(self, address: str, admin: str = "") -> None:
        """Count a failure of the address and, with the right token, of the admin."""
        await self._db.run(SQL.add, self._of_address(address), WINDOW_MS)
        if admin:
            await self._db.run(SQL.add, self._of_admin(admin), WINDOW_MS)

    async def forget(self, address: str, admin: str) -> None:
        """Forget the failures, after a sign-in."""
        await self._db.run(SQL.forget, self._of_address(address))
        await self._db.run(SQL.forget, self._of_admin(admin))

    async def _check(self, key: bytes, limit: int, message: str) -> None:
        row = await self._db.one(SQL.failures, [key], WINDOW_MS)
        if row is not None and row["failures"] >= limit:
            raise Refused("rate_limited", message, retry_after=max(1.0, row["left_ms"] / 1000))

    def _of_address(self, address: str) -> bytes:
        return hmac.digest(self._key, b"address\x00" + bucket(address).encode(), "sha256")

    def _of_admin(self, admin: str) -> bytes:
        return hmac.digest(self._key, b"admin\x00" + admin.encode(), "sha256")


async def sweep(db: Postgres) -> None:
    await delete_all(db, SQL.sweep, WINDOW_MS)
