"""Signatures of requests to S3 (AWS Signature Version 4: "Using the Authorization Header", "Using Query Parameters").

Pure: the time is an argument, as `20260131T235959Z`. Only for paths whose characters need no escapes.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote


class Credentials(NamedTuple):
    """The access key, and the region for which it signs."""

    key: str
    secret: str
    region: str


def signed(
    credentials: Credentials, method: str, host: str, path: str, headers: Mapping[str, str], sha256: bytes, now: str
) -> dict[str, str]:
    """All headers of the request: the given ones, in lower case, and those that signing adds. `sha256`: of the body."""
    digest = sha256.hex()
    fields = {**headers, "host": host, "x-amz-content-sha256": digest, "x-amz-date": now}
    names = ";".join(sorted(fields))
    lines = "".join(f"{name}:{fields[name].strip()}\n" for name in sorted(fields))
    request = f"{method}\n{path}\n\n{lines}\n{names}\n{digest}"
    credential = f"Credential={credentials.key}/{scope(credentials, now)}"
    signature = signature_of(credentials, request, now)
    return {**fields, "authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}"}


def presigned(
    credentials: Credentials, host: str, path: str, fields: Mapping[str, str], now: str, lifetime: int
) -> str:
    """The query of a GET that anybody may send for `lifetime` seconds; `fields` are further parameters."""
    query = {
        **fields,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{credentials.key}/{scope(credentials, now)}",
        "X-Amz-Date": now,
        "X-Amz-Expires": str(lifetime),
        "X-Amz-SignedHeaders": "host",
    }
    text = "&".join(f"{quote(name, safe='')}={quote(query[name], safe='')}" for name in sorted(query))
    request = f"GET\n{path}\n{text}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    return f"{text}&X-Amz-Signature={signature_of(credentials, request, now)}"


def scope(credentials: Credentials, now: str) -> str:
    return f"{now[:8]}/{credentials.region}/s3/aws4_request"


def signature_of(credentials: Credentials, request: str, now: str) -> str:
    """The signature of a request in its canonical form."""
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope(credentials, now)}\n{digest}"
    return hmac.new(signing_key(credentials, now[:8]), text.encode(), "sha256").hexdigest()


def signing_key(credentials: Credentials, day: str) -> bytes:
    key = f"AWS4{credentials.secret}".encode()
    for part in (day, credentials.region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
