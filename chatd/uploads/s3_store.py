"""Blobs as objects in an S3-compatible bucket: three requests, signed by `sigv4`, over httpx, which runs on Trio.

The operator configures the URL. Redirects and proxies of the environment are not used, responses are read only up to
the requested size, and every request has a deadline. The rules of the bucket keep the objects private; only chatd
reads them.
"""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import trio

from chatd.core.errors import OperatorError, Refused
from chatd.core.health import Condition
from chatd.uploads.blobs import BlobMissing, Presigned, path_of
from chatd.uploads.chunks import Chunks
from chatd.uploads.settings import UploadSettings
from chatd.uploads.sigv4 import Credentials, presigned, signed

# httpx would log each request, with the key of the file in its path.
logging.getLogger("httpx").setLevel(logging.WARNING)
# Seconds: for one step of a request, and for all of it.
STEP_TIMEOUT_S, TIMEOUT_S = 10.0, 60.0
TIME = "%Y%m%dT%H%M%SZ"
AWAY = "the file store is unreachable"


def new_client() -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=32, max_keepalive_connections=8)
    return httpx.AsyncClient(timeout=STEP_TIMEOUT_S, limits=limits, trust_env=False, follow_redirects=False)


class Bucket:
    """Blobs in a bucket, see `blobs.Blobs`."""

    def __init__(self, settings: UploadSettings, client: httpx.AsyncClient) -> None:
        self._base = httpx.URL(settings.s3_endpoint.rstrip("/"))
        self._bucket = settings.s3_bucket
        self._credentials = Credentials(settings.s3_key, settings.s3_secret, settings.s3_region)
        self._is_presigned = settings.s3_presigned
        self._client = client
        self._condition = Condition("upload bucket", quiet_s=1.0)

    async def identity(self) -> str:
        return f"bucket {self._bucket} at {self._base}"

    async def put(self, key: str, data: Chunks) -> None:
        await self._ask("PUT", key, (200,), body=data)

    async def read(self, key: str, start: int, length: int) -> bytes:
        wanted = {"range": f"bytes={start}-{start + length - 1}"}
        return await self._ask("GET", key, (206,), headers=wanted, most=length)

    async def delete(self, key: str) -> None:
        # For a missing object Amazon answers 204, others 404.
        await self._ask("DELETE", key, (200, 204, 404))

    def presigned(self, key: str, reply: Presigned) -> str | None:
        if not self._is_presigned:
            return None
        url = self._url(key)
        fields = {"response-content-type": reply.mime, "response-content-disposition": reply.disposition}
        signed_at = datetime.fromtimestamp(reply.signed_at / 1000, UTC).strftime(TIME)
        lifetime = (reply.expires_at - reply.signed_at) // 1000
        query = presigned(self._credentials, url.netloc.decode("ascii"), url.path, fields, signed_at, lifetime)
        return f"{url}?{query}"

    def _url(self, key: str) -> httpx.URL:
        return self._base.copy_with(path=f"{self._base.path.rstrip('/')}/{self._bucket}/{path_of(key)}")

    async def _ask(
        self,
        method: str,
        key: str,
        good: tuple[int, ...],
        *,
        headers: dict[str, str] | None = None,
        body: Chunks | None = None,
        most: int = 0,
    ) -> bytes:
        """Send a request. Returns at most `most` bytes of the response. Raises BlobMissing, Refused."""
        body = Chunks() if body is None else body
        digest = await trio.to_thread.run_sync(body.sha256)
        request = self._request(method, key, headers or {}, body, digest)
        try:
            with trio.fail_after(TIMEOUT_S):
                answer = await self._answer(request, good, most)
        except (httpx.HTTPError, trio.TooSlowError) as error:
            self._condition.fail(error)
            raise Refused("unavailable", AWAY, retry_after=5) from error
        self._condition.recover()
        return answer

    def _request(self, method: str, key: str, headers: dict[str, str], body: Chunks, digest: bytes) -> httpx.Request:
        url = self._url(key)
        now = datetime.now(UTC).strftime(TIME)
        fields = signed(self._credentials, method, url.netloc.decode("ascii"), url.path, headers, digest, now)
        if body:
            fields["content-length"] = str(len(body))
        return self._client.build_request(method, url, headers=fields, content=chunks_of(body) if body else None)

    async def _answer(self, request: httpx.Request, good: tuple[int, ...], most: int) -> bytes:
        answer = await self._client.send(request, stream=True)
        try:
            if answer.status_code in good:
                return await first_bytes(answer, most)
            # 416: the object has no bytes in this range.
            if answer.status_code in (404, 416) and most:
                raise BlobMissing
            why = (await first_bytes(answer, 500)).decode("utf8", "replace")
            cause = OperatorError(f"HTTP {answer.status_code}: {why}")
            self._condition.fail(str(cause))
            raise Refused("unavailable", "the file store is unavailable", retry_after=5) from cause
        finally:
            with trio.CancelScope(shield=True):
                await answer.aclose()


async def chunks_of(body: Chunks) -> AsyncIterator[bytes]:
    for chunk in body:
        yield chunk


async def first_bytes(answer: httpx.Response, most: int) -> bytes:
    """The first bytes of the response; the rest is not read."""
    data = b""
    async for part in answer.aiter_raw():
        data += part
        if len(data) >= most:
            break
    return data[:most]
