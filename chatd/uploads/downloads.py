"""The HTTP routes of downloads, with a token or by a signed URL.

If a browser opens a file, nothing in it runs (sandbox, no sniffing); only images that chatd has encoded, audio and
video are displayed inline.
"""

from collections.abc import AsyncIterator, Mapping
from functools import partial

from quart import Response, request
from quart_trio import QuartTrio

from chatd.app.context import Node
from chatd.app.rate_limits import UserLimits
from chatd.core.addresses import parse_networks
from chatd.core.errors import Refused
from chatd.core.ids import is_uuid
from chatd.http.responses import HEADERS, refused_answer
from chatd.http.rest import identify, query, request_address
from chatd.uploads import service
from chatd.uploads.blobs import BlobMissing, Blobs
from chatd.uploads.events import PATH
from chatd.uploads.ranges import Unsatisfiable, matches, wanted
from chatd.uploads.service import Stored
from chatd.uploads.signed_urls import SUFFIX, Part, UrlSigner

# A download is read and sent in parts, so that a slow reader holds one of them only.
PART = 262_144
# For a request with a token: stored by the browser of one user, and revalidated each time, because permissions can
# change.
OWN_CACHE = {
    "Cache-Control": "private, no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Authorization",
}


def add_routes(app: QuartTrio, node: Node) -> None:
    """Add the GET routes of files and thumbnails."""
    proxies = parse_networks(node.config.gateway.trusted_proxies)

    async def with_token(upload: str, part: Part) -> Response:
        try:
            principal = await identify(node, request_address(proxies))
            node.get(UserLimits).charge(principal.tenant, principal.user, 1)
            if not is_uuid(upload):
                raise service.missing()
            stored = service.part_of(await service.find(node, principal, upload), part)
            return await answer(node, stored, OWN_CACHE)
        except Refused as refused:
            return refused_answer(node, refused)

    async def with_signature(upload: str, part: Part) -> Response:
        try:
            given = query()
            tenant, expires, signature = (given.get(name, "") for name in ("tenant", "expires", "signature"))
            left_ms = node.get(UrlSigner).check(tenant, upload, part, expires, signature, node.clock())
            stored = service.part_of(await service.find_signed(node, tenant, upload), part)
            return await answer(node, stored, shared_cache(left_ms))
        except Refused as refused:
            return refused_answer(node, refused)

    for part, path in ((Part.FILE, f"{PATH}/<upload>"), (Part.THUMBNAIL, f"{PATH}/<upload>/thumbnail")):
        name = "upload.get" if part is Part.FILE else "upload.thumbnail"
        app.add_url_rule(path, name, partial(with_token, part=part), methods=["GET"])
        app.add_url_rule(f"{path}{SUFFIX}", f"{name}.signed", partial(with_signature, part=part), methods=["GET"])


async def answer(node: Node, stored: Stored, cache: Mapping[str, str]) -> Response:
    """The response with the file, or with the requested range; `cache`: who may store and embed it."""
    etag = f'"{stored.sha256}"'
    headers = {**headers_of(stored, etag), **cache}
    if matches(request.headers.get("If-None-Match", ""), etag):
        return Response("", status=304, headers=headers)
    try:
        span = wanted(range_header(etag), stored.size)
    except Unsatisfiable:
        return Response("", status=416, headers={**headers, "Content-Range": f"bytes */{stored.size}"})
    start, end = span or (0, stored.size)
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size}"
    first = b"" if start == end else await part_of(node, stored, start, end)
    response = Response(parts(node, stored, first, start, end), 206 if span else 200, headers, content_type=stored.mime)
    response.content_length = end - start
    # `Peer` has the time for the whole answer.
    response.timeout = None
    return response


def range_header(etag: str) -> str:
    """The Range header; empty if If-Range names other content."""
    condition = request.headers.get("If-Range", etag)
    return request.headers.get("Range", "") if condition == etag else ""


def headers_of(stored: Stored, etag: str) -> dict[str, str]:
    return {
        **HEADERS,
        "Accept-Ranges": "bytes",
        "Content-Disposition": service.disposition_of(stored),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "ETag": etag,
    }


def shared_cache(left_ms: int) -> dict[str, str]:
    """For a signed URL: pages of any origin embed it, and a browser asks once in its lifetime."""
    return {
        "Cache-Control": f"private, max-age={left_ms // 1000}, immutable",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }


async def part_of(node: Node, stored: Stored, start: int, end: int) -> bytes:
    try:
        return await node.get(Blobs).read(stored.key, start, min(PART, end - start))
    except BlobMissing:
        raise service.missing() from None


async def parts(node: Node, stored: Stored, first: bytes, start: int, end: int) -> AsyncIterator[bytes]:
    """The parts of the body after the first; each is read when it is sent.

    If the file is deleted in between, the connection is closed.
    """
    part, at = first, start
    while at < end:
        yield part
        at += len(part)
        if at < end:
            part = await part_of(node, stored, at, end)
