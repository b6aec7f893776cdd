"""Lockout after failed sign-ins of an address, and after wrong one-time codes of an admin whose token was right.

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
    """The attempts within `WINDOW_MS`, by keyed hashes of addresses and names."""

    def __init__(self, config: Config, db: Postgres) -> None:
        self._db = db
        self._key = derived_key(config.data.secret, "admin-lockout")

    async def attempt_from(self, address: str) -> None:
        """Count an attempt of an address. Raises Refused: `rate_limited` if there were too many without a success."""
        await self._count(self._of_address(address), MAX_OF_ADDRESS, "too many failed sign-ins from your address")

    async def attempt_code(self, admin: str) -> None:
        """Count a one-time code of an admin, whose token was right. Raises Refused: `rate_limited`."""
        await self._count(self._of_admin(admin), MAX_OF_ADMIN, "too many wrong codes")

    async def forget_address(self, address: str) -> None:
        """Forget the attempts of an address, after a sign-in."""
        await self._db.run(SQL.forget, self._of_address(address))

    async def forget_codes(self, admin: str) -> None:
        """Forget the codes of an admin, after a right one."""
        await self._db.run(SQL.forget, self._of_admin(admin))

    async def _count(self, key: bytes, limit: int, message: str) -> None:
        """Count before the attempt: of several at the same time, none is checked without being counted."""
        row = await self._db.one(SQL.add, key, WINDOW_MS)
        assert row is not None
        if row["attempts"] > limit:
            raise Refused("rate_limited", message, retry_after=max(1.0, row["left_ms"] / 1000))

    def _of_address(self, address: str) -> bytes:
        return hmac.digest(self._key, b"address\x00" + bucket(address).encode(), "sha256")

    def _of_admin(self, admin: str) -> bytes:
        return hmac.digest(self._key, b"admin\x00" + admin.encode(), "sha256")


async def sweep(db: Postgres) -> None:
    await delete_all(db, SQL.sweep, WINDOW_MS)
