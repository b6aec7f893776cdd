"""The secret of the installation, and the keys that are derived from it: one for each purpose, none of them a token
key.

A stolen database without the secret does not reveal what was hashed with it.
"""

import hashlib
import hmac
from functools import lru_cache

from chatd.core.errors import OperatorError

MIN_SECRET_BYTES = 32


class BadSecret(OperatorError):
    """The secret of the installation is missing, too short, or not the one of the database; the text names the fix."""


@lru_cache(maxsize=64)
def derived_key(secret: str, purpose: str) -> bytes:
    """32 bytes, different for each purpose (HMAC-SHA-256, as the expand step of RFC 5869). Raises BadSecret."""
    if len(secret.encode()) < MIN_SECRET_BYTES:
        what = f"has fewer than {MIN_SECRET_BYTES} bytes" if secret else "is not set, and there is none in data.dir"
        raise BadSecret(f"data.secret {what}. `chatd init` and the first `chatd serve` generate one.")
    return hmac.digest(secret.encode(), b"chatd\x00" + purpose.encode(), "sha256")


def fingerprint(secret: str, keys: bytes = b"") -> str:
    """16 hexadecimal digits that identify a secret, and `keys` where they are given, without showing them.

    Raises BadSecret.
    """
    key = derived_key(secret, "fingerprint")
    return (hmac.digest(key, keys, "sha256") if keys else key).hex()[:16]


def digest(secret: str) -> bytes:
    """Hash a random secret (ticket, refresh token, link) to store or compare it. All hashes have the same length."""
    return hashlib.sha256(secret.encode()).digest()
