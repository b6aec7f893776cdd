"""Signatures of requests to S3 (AWS Signature Version 4: "Authenticating Requests: Using the Authorization Header").

Pure: the time is an argument, as `20260131T235959Z`. Only for paths without a query, whose characters need no escapes.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple


class Credentials(NamedTuple):
    """The access key, and the region for which it signs."""

    key: str
    secret: str
    region: str


def signed(
    credentials: Credentials, method: str, host: str, path: str, headers: Mapping[str, str], body: bytes, now: str
) -> dict[str, str]:
    """All headers of the request: the given ones, in lower case, and those that signing adds."""
    digest = hashlib.sha256(body).hexdigest()
    fields = {**headers, "host": host, "x-amz-content-sha256": digest, "x-amz-date": now}
    names = ";".join(sorted(fields))
    lines = "".join(f"{name}:{fields[name].strip()}\n" for name in sorted(fields))
    request = f"{method}\n{path}\n\n{lines}\n{names}\n{digest}"
    scope = f"{now[:8]}/{credentials.region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.new(signing_key(credentials, now[:8]), text.encode(), "sha256").hexdigest()
    credential = f"Credential={credentials.key}/{scope}"
    return {**fields, "authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"}


def signing_key(credentials: Credentials, day: str) -> bytes:
    key = f"AWS4{credentials.secret}".encode()
    for part in (day, credentials.region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
