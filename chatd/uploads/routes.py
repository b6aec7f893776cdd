"""The HTTP routes of files: upload by a form, and download.

A download needs a token in a header, so a browser cannot open a file by its URL: a page fetches it and creates a blob.
If a browser opens a file nevertheless, nothing in it runs (sandbox, no sniffing); only images that chatd has encoded,
audio and video are displayed inline.
"""

from collections.abc import AsyncIterator

import trio
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import RequestTimeout

from chatd.app.command_texts import stored_text
from chatd.app.context import Node
from chatd.app.rate_limits import UserLimits
from chatd.core.addresses import parse_networks
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.ids import is_uuid
from chatd.core.turns import in_turns
from chatd.http.large_bodies import allow_large_bodies
from chatd.http.responses import HEADERS, json_response, refused_answer
from chatd.http.rest import identify, request_address
from chatd.http.slots import Owner, Owners
from chatd.uploads import service
from chatd.uploads.admission import UploadSlots
from chatd.uploads.blobs import BlobMissing, Blobs
from chatd.uploads.events import PATH, Upload
from chatd.uploads.file_names import disposition, label
from chatd.uploads.file_types import INLINE
from chatd.uploads.multipart import MAX_FORM_OVERHEAD_BYTES, read_file
from chatd.uploads.ranges import Unsatisfiable, matches, wanted
from chatd.uploads.service import Stored
from chatd.uploads.settings import UploadSettings
from chatd.wire.texts import TextKind

# The cost of an upload and of a download in the user's token bucket of commands.
COST = 5.0
# A download is read and sent in parts, so that a slow reader holds one of them only.
PART = 262_144


def add_routes(app: QuartTrio, node: Node) -> None:
    """Add the POST and GET routes; deletion is a command."""
    settings = node.config.get(UploadSettings)
    proxies, owners = parse_networks(node.config.gateway.trusted_proxies), Owners(node.config)
    slots = UploadSlots(settings)
    allow_large_bodies(app, PATH, settings.max_bytes + MAX_FORM_OVERHEAD_BYTES)

    async def authenticated(cost: float) -> Principal:
        principal = await identify(node, request_address(proxies))
        node.get(UserLimits).charge(principal.tenant, principal.user, cost)
        return principal

    @app.post(PATH, endpoint="upload.create")
    async def create() -> Response:
        try:
            principal = await authenticated(COST)
            return json_response(await receive(node, slots, principal, owners.of(principal, request_address(proxies))))
        except Refused as refused:
            return refused_answer(node, refused)

    @app.get(f"{PATH}/<upload>", endpoint="upload.get")
    async def get(upload: str) -> Response:
        try:
            principal = await authenticated(1)
            if not is_uuid(upload):
                raise service.missing()
            return await answer(node, await service.find(node, principal, upload))
        except Refused as refused:
            return refused_answer(node, refused)


async def receive(node: Node, slots: UploadSlots, principal: Principal, owner: Owner) -> Upload:
    """Receive a file. Raises Refused, and the exceptions that Quart answers with 408 and 413."""
    settings = node.config.get(UploadSettings)
    with slots.reserve(principal, owner) as slot:
        payer = service.Payer(node.config, principal, owner.address)
        await service.check_quota(node, payer, node.clock())
        with trio.move_on_after(settings.timeout) as timeout_scope:
            received = await read_file(settings.max_bytes, slot.reserve_bytes)
        if timeout_scope.cancelled_caught:
            raise RequestTimeout
        async with slots.decoding(owner):
            content = await service.prepared(received.data, settings)
        name = label(received.name)
        if name is not None:
            name = await in_turns(stored_text(node, principal.tenant, TextKind.NAME, name, "$.file"))
        return await service.keep(node, principal, payer, content, name, node.clock())


async def answer(node: Node, stored: Stored) -> Response:
    """The response with the file, or with the requested range."""
    etag = f'"{stored.sha256}"'
    headers = headers_of(stored, etag)
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
    kind = "inline" if stored.mime in INLINE else "attachment"
    return {
        **HEADERS,
        "Accept-Ranges": "bytes",
        # Stored by the browser of one user, and revalidated each time, because permissions can change.
        "Cache-Control": "private, no-cache",
        "Content-Disposition": disposition(kind, stored.name, stored.mime),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "ETag": etag,
        "Vary": "Authorization",
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
