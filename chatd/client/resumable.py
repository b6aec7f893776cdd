"""Uploads a file in parts (tus 1.0.0), reports progress, and goes on after a break."""

import http.client
import json
import random
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import IO, Any, NamedTuple

import trio

from chatd.client.account import Account, refused
from chatd.client.backoff import Backoff
from chatd.client.types import Upload
from chatd.client.wire_base import typed
from chatd.core.errors import Refused

PART_BYTES = 524_288
# Seconds that one request may take; the server reads the file after the last part.
TIMEOUT_S = 90.0
# Failures in a row, without a byte more on the server.
MAX_FAILURES = 8
# Refusals after which the client asks where the upload continues.
TEMPORARY = ("conflict", "internal", "rate_limited", "timeout", "unavailable")
# Called with the bytes that the server has, and with all bytes.
Progress = Callable[[int, int], None]


class Reply(NamedTuple):
    """The headers and the body of an answer."""

    headers: Mapping[str, str]
    body: bytes


class PartsUpload:
    """One file. `url`: where its parts go; None until it has begun."""

    def __init__(self, account: Account, file: IO[bytes], length: int, name: str | None, progress: Progress) -> None:
        self.url: str | None = None
        self._account = account
        self._file = file
        self._length = length
        self._name = name
        self._progress = progress

    async def run(self) -> Upload:
        """Upload the file. Raises Refused, or OSError if the server does not answer for long."""
        backoff, failures, offset = Backoff(random.random, most=10.0), 0, 0
        while self.url is None or offset < self._length:
            try:
                if self.url is None:
                    self.url, offset = await self._begin(), 0
                else:
                    offset = await self._send_part(offset if not failures else await self._offset())
                failures = 0
                self._progress(offset, self._length)
            except (OSError, Refused) as error:
                failures += 1
                if failures > MAX_FAILURES or (isinstance(error, Refused) and error.code not in TEMPORARY):
                    raise
                requested_s = error.retry_after if isinstance(error, Refused) else None
                await trio.sleep(backoff.next_wait(trio.current_time(), requested_s))
        url = f"{self._account.http.rstrip('/')}/v1/uploads/{self.url.rpartition('/')[2]}/info"
        answer: Upload = typed(json.loads((await self._ask("GET", url, {})).body), {"upload": Upload})
        return answer

    async def _begin(self) -> str:
        headers = {"Upload-Length": str(self._length)}
        if self._name:
            headers["Upload-Metadata"] = f"filename {b64encode(self._name.encode()).decode()}"
        reply = await self._ask("POST", f"{self._account.http.rstrip('/')}/v1/uploads/tus", headers)
        upload = reply.headers["Location"].rpartition("/")[2]
        return f"{self._account.http.rstrip('/')}/v1/uploads/tus/{upload}"

    async def _send_part(self, offset: int) -> int:
        """Send the next part, unless the server has the whole file. Returns the position after it."""
        if offset == self._length:
            return offset
        data = await trio.to_thread.run_sync(part_of, self._file, offset)
        headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        return int((await self._ask("PATCH", str(self.url), headers, data)).headers["Upload-Offset"])

    async def _offset(self) -> int:
        return int((await self._ask("HEAD", str(self.url), {})).headers["Upload-Offset"])

    async def _ask(self, method: str, url: str, headers: dict[str, str], data: bytes | None = None) -> Reply:
        token = self._account.access_token
        try:
            return await request(method, url, headers, data, token)
        except Refused as refusal:
            if refusal.code != "unauthenticated":
                raise
        return await request(method, url, headers, data, await self._account.refresh(token))


def part_of(file: IO[bytes], offset: int) -> bytes:
    file.seek(offset)
    return file.read(PART_BYTES)


async def request(method: str, url: str, headers: dict[str, str], data: bytes | None, token: str) -> Reply:
    fields = {**headers, "Tus-Resumable": "1.0.0", "Authorization": f"Bearer {token}"}
    return await trio.to_thread.run_sync(request_blocking, method, url, fields, data, abandon_on_cancel=True)


def request_blocking(method: str, url: str, headers: dict[str, str], data: bytes | None) -> Reply:
    """One request. Raises Refused, OSError."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"expected an http or https URL: {url}")
    asked = urllib.request.Request(url, data, headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return Reply(answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        # An answer to HEAD has no body.
        codes = {401: "unauthenticated", 404: "not_found"}
        if method == "HEAD" and error.code in codes:
            raise Refused(codes[error.code], "the upload has ended") from None
        raise refused(error.read()) from None
    except (http.client.HTTPException, ValueError, TypeError) as error:
        raise OSError(f"{url} does not answer like a chatd server: {error}") from error


def opened(file: Any) -> IO[bytes]:
    """A file in memory, or at a path."""
    return BytesIO(file) if isinstance(file, bytes) else open(file, "rb")
