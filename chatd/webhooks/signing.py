"""The signatures of webhooks, by Standard Webhooks (https://www.standardwebhooks.com).

The secret of an endpoint is derived from `data.secret` and a random salt. So the database and its backups contain no
secret, and a new salt is a new secret.
"""

import hmac
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from secrets import token_bytes

from standardwebhooks import Webhook

from chatd.core.secrets import derived_key

SALT_BYTES = 16
PREFIX = "whsec_"


def new_salt() -> bytes:
    return token_bytes(SALT_BYTES)


def secret_of(installation_secret: str, endpoint: str, salt: bytes) -> bytes:
    """The secret of an endpoint: 32 bytes. Raises BadSecret."""
    key = derived_key(installation_secret, "webhooks")
    return hmac.digest(key, endpoint.encode() + b"\x00" + salt, "sha256")


def shown_secret(secret: bytes) -> str:
    """The secret as receivers configure it."""
    return PREFIX + b64encode(secret).decode()


def signed_headers(secrets: Iterable[bytes], event: str, now_s: int, body: bytes) -> Mapping[str, str]:
    """The headers of a request, with one signature for each secret."""
    at, text = datetime.fromtimestamp(now_s, tz=UTC), body.decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": event,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(Webhook(secret).sign(event, at, text) for secret in secrets),
    }
