"""Sessions of admins in a browser: in Postgres, so that they are valid on all nodes.

All times are those of the database: a node with a wrong clock neither ends a session nor keeps one. A session ends with
the token that it was opened with, because the row has a keyed hash of it.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode

from msgspec import Struct

from chatd.admin_pages.settings import AdminPagesSettings
from chatd.core.config import Config
from chatd.core.secrets import derived_key, digest
from chatd.db import queries
from chatd.db.batches import delete_all
from chatd.db.postgres import Postgres, Tx

SQL = queries.load("admin_pages/sessions")
SECRET_BYTES = 32
MAX_SESSIONS = 20


class Found(Struct, frozen=True):
    """A session: its admin, and the time of the database in ms."""

    admin: str
    now: int


class AdminSessions:
    """Opens, finds and ends sessions. A session is known by its secret, which is the cookie."""

    def __init__(self, config: Config, db: Postgres) -> None:
        settings = config.get(AdminPagesSettings)
        self._admins = config.admins
        self._db = db
        self._idle_ms, self._ttl_ms = round(settings.idle_timeout * 1000), round(settings.session_ttl * 1000)
        self._token_key = derived_key(config.data.secret, "admin-session-tokens")
        self._form_key = derived_key(config.data.secret, "admin-forms")

    async def open(self, admin: str) -> str:
        """A new session. Returns its secret. Raises Refused."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        await self._db.in_transaction(insert, digest(secret), admin, self._token_hash(admin), self._ttl_ms)
        return secret

    async def find(self, secret: str, *, touch: bool = True) -> Found | None:
        """The session, if it has not ended. With `touch` it counts as a request of the admin. Raises Refused."""
        if not secret:
            return None
        key = digest(secret)
        row = await self._db.one(SQL.find, key, self._idle_ms)
        if row is None or row["has_ended"] or row["admin"] not in self._admins:
            return None
        if not hmac.compare_digest(row["token_hash"], self._token_hash(row["admin"])):
            return None
        if touch and row["is_stale"]:
            await self._db.run(SQL.touch, key)
        return Found(row["admin"], row["now"])

    async def end(self, secret: str) -> None:
        await self._db.run(SQL.remove, digest(secret))

    async def end_others(self, admin: str, secret: str) -> None:
        """End the other sessions of an admin."""
        await self._db.run(SQL.remove_others, admin, digest(secret))

    def form_token(self, secret: str) -> str:
        """The token that each form of this session carries."""
        return urlsafe_b64encode(hmac.digest(self._form_key, secret.encode(), "sha256")).decode()

    def is_form_token(self, secret: str, token: str) -> bool:
        return hmac.compare_digest(self.form_token(secret).encode(), token.encode())

    def _token_hash(self, admin: str) -> bytes:
        return hmac.digest(self._token_key, self._admins[admin].token.encode(), "sha256")


async def insert(tx: Tx, key: bytes, admin: str, token_hash: bytes, ttl_ms: int) -> None:
    """Add a session, and end the oldest ones of an admin with too many."""
    await tx.run(SQL.add, key, admin, token_hash, ttl_ms)
    await tx.run(SQL.limit_sessions, admin, MAX_SESSIONS)


async def sweep(db: Postgres) -> None:
    await delete_all(db, SQL.sweep)
