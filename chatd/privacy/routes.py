"""GET /v1/me/export: everything stored about the user, as a file of JSON lines."""

from collections.abc import AsyncIterator

import trio
from quart import Response
from quart_trio import QuartTrio

from chatd.app.context import Node
from chatd.app.personal_data import AllPersonalData
from chatd.app.rate_limits import UserLimits
from chatd.core.addresses import parse_networks
from chatd.core.errors import Refused
from chatd.http.long_answers import held
from chatd.http.responses import HEADERS, refused_answer
from chatd.http.rest import identify, request_address
from chatd.http.slots import Bounds, Owner, Owners, Slots
from chatd.privacy import export

PER_HOUR = 4
BOUNDS = Bounds(per_user=1, per_address=4, total=64)
# Exports that may read from the database at the same time. While a page is sent, an export does not count.
MAX_READERS = 4
CONTENT = "application/x-ndjson"


class Exports:
    """The exports of this node: their slots, and the reads from the database."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._slots = Slots("exports", BOUNDS)
        self._readers = trio.Semaphore(MAX_READERS)

    def reserve(self, owner: Owner) -> None:
        """Reserve a slot until the response is written. Raises Refused: `rate_limited`."""
        held().enter_context(self._slots.reserve(owner))

    async def begin(self, tenant: str, user: str) -> Response:
        """The response with everything that is stored about a user. Raises Refused: `not_found`."""
        async with self._readers:
            pages = export.pages(self._node.db, self._node.get(AllPersonalData), tenant, user)
            first = await anext(pages)
        return file_of(body(self._readers, first, pages), user)


def add_routes(app: QuartTrio, node: Node) -> None:
    proxies, owners = parse_networks(node.config.gateway.trusted_proxies), Owners(node.config)
    limits = UserLimits(PER_HOUR / 3600, PER_HOUR)

    @app.get("/v1/me/export", endpoint="me.export")
    async def me_export() -> Response:
        try:
            address = request_address(proxies)
            who = await identify(node, address)
            node.get(UserLimits).charge(who.tenant, who.user, 5)
            exports = node.get(Exports)
            exports.reserve(owners.of(who, address))
            limits.charge(who.tenant, who.user, 1)
            return await exports.begin(who.tenant, who.user)
        except Refused as refused:
            return refused_answer(node, refused)


async def body(readers: trio.Semaphore, first: bytes, pages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pages. Each is read after the previous one was sent, within `readers`."""
    page = first
    while page:
        yield page
        async with readers:
            page = await anext(pages, b"")


def file_of(parts: AsyncIterator[bytes], user: str) -> Response:
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="chatd-{user}.jsonl"'}
    response = Response(parts, 200, headers, content_type=CONTENT)
    # `BoundedStream` has a timeout for the whole response.
    response.timeout = None
    return response
