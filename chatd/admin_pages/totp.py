"""One-time codes of admins (RFC 6238): six digits, a new one each 30 seconds, each accepted once.

The secret is encrypted with a key of the installation and bound to the name of the admin, so a stolen database does not
reveal it, and a row cannot be given to another admin.
"""

import os
from base64 import b32encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from chatd.admin_pages.lockout import Lockout
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.secrets import derived_key
from chatd.db import queries
from chatd.db.postgres import Postgres

SQL = queries.load("admin_pages/totp")
SECRET_BYTES, NONCE_BYTES = 20, 12
DIGITS, STEP_S = 6, 30
# Time steps before and after the present one whose codes are accepted (RFC 6238, section 5.2).
WINDOW = (0, -1, 1)
ISSUER = "chatd"


class OneTimeCodes:
    """Sets up and checks the codes of admins."""

    def __init__(self, config: Config, db: Postgres) -> None:
        self._db = db
        self._lockout = Lockout(config, db)
        self._cipher = AESGCM(derived_key(config.data.secret, "admin-totp"))

    async def is_set_up(self, admin: str) -> bool:
        row = await self._db.one(SQL.find, admin)
        return row is not None and bool(row["is_confirmed"])

    async def begin(self, admin: str) -> bytes:
        """A new secret, which the first correct code confirms. Raises Refused: `conflict` if codes are set up."""
        secret, nonce = os.urandom(SECRET_BYTES), os.urandom(NONCE_BYTES)
        stored = nonce + self._cipher.encrypt(nonce, secret, admin.encode())
        if await self._db.value(SQL.begin, admin, stored) is None:
            raise Refused("conflict", "one-time codes are already set up")
        return secret

    async def pending(self, admin: str) -> bytes | None:
        """The secret that is not confirmed yet."""
        row = await self._db.one(SQL.find, admin)
        return None if row is None or row["is_confirmed"] else self._decrypted(admin, row["secret"])

    async def accept(self, admin: str, code: str, now_ms: int) -> bool:
        """Whether the code is right and was not used before. The first one confirms the secret.

        Raises Refused: `rate_limited` after too many wrong codes of this admin, wherever they were sent.
        """
        await self._lockout.attempt_code(admin)
        row = await self._db.one(SQL.find, admin)
        secret = None if row is None else self._decrypted(admin, row["secret"])
        if secret is None:
            return False
        step = step_of(secret, "".join(code.split()), now_ms // 1000)
        if step is None or await self._db.value(SQL.use_step, admin, step) is None:
            return False
        await self._lockout.forget_codes(admin)
        return True

    async def remove(self, admin: str) -> bool:
        """Remove the codes of an admin. Returns False if there are none."""
        return await self._db.value(SQL.remove, admin) is not None

    def _decrypted(self, admin: str, stored: bytes) -> bytes | None:
        """The secret; None if it was encrypted with another secret of the installation."""
        try:
            return self._cipher.decrypt(stored[:NONCE_BYTES], stored[NONCE_BYTES:], admin.encode())
        except InvalidTag:
            return None


def step_of(secret: bytes, code: str, now_s: int) -> int | None:
    """The time step of a correct code, or None."""
    if len(code) != DIGITS or not (code.isascii() and code.isdigit()):
        return None
    generator = TOTP(secret, DIGITS, SHA1(), STEP_S)  # noqa: S303
    for ahead in WINDOW:
        step = now_s // STEP_S + ahead
        try:
            generator.verify(code.encode(), step * STEP_S)
        except (InvalidToken, ValueError):
            continue
        return step
    return None


def code_at(secret: bytes, now_s: int) -> str:
    """The code at a time, for tests and the command line."""
    return TOTP(secret, DIGITS, SHA1(), STEP_S).generate(now_s).decode()  # noqa: S303


def text_of(secret: bytes) -> str:
    """The secret as it is typed into an app."""
    return b32encode(secret).decode()


def uri_of(secret: bytes, admin: str) -> str:
    """The address that apps read from a QR code (Key URI Format)."""
    return TOTP(secret, DIGITS, SHA1(), STEP_S).get_provisioning_uri(admin, ISSUER)  # noqa: S303
