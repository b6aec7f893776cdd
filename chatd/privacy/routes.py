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
from chatd.core.identity import Principal
from chatd.http.long_answers import held
from chatd.http.responses import HEADERS, refused_answer
from chatd.http.rest import identify, request_address
from chatd.http.slots import Bounds, Owners, Slots
from chatd.privacy import export

PER_HOUR = 4
BOUNDS = Bounds(per_user=1, per_address=4, total=64)
# Exports that may read from the database at the same time. While a page is sent, an export does not count.
MAX_READERS = 4
CONTENT = "application/x-ndjson"


def add_routes(app: QuartTrio, node: Node) -> None:
    proxies, owners = parse_networks(node.config.gateway.trusted_proxies), Owners(node.config)
    limits = UserLimits(PER_HOUR / 3600, PER_HOUR)
    slots, readers = Slots("exports", BOUNDS), trio.Semaphore(MAX_READERS)

    @app.get("/v1/me/export", endpoint="me.export")
    async def me_export() -> Response:
        try:
            address = request_address(proxies)
            who = await identify(node, address)
            node.get(UserLimits).charge(who.tenant, who.user, 5)
            held().enter_context(slots.reserve(owners.of(who, address)))
            limits.charge(who.tenant, who.user, 1)
            async with readers:
                pages = export.pages(node.db, node.get(AllPersonalData), who.tenant, who.user)
                first = await anext(pages)
        except Refused as refused:
            return refused_answer(node, refused)
        return file_of(body(readers, first, pages), who)


async def body(readers: trio.Semaphore, first: bytes, pages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pages. Each is read after the previous one was sent, within `readers`."""
    page = first
    while page:
        yield page
        async with readers:
            page = await anext(pages, b"")


def file_of(parts: AsyncIterator[bytes], who: Principal) -> Response:
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="chatd-{who.user}.jsonl"'}
    response = Response(parts, 200, headers, content_type=CONTENT)
    # `BoundedStream` has a timeout for the whole response.
    response.timeout = None
    return response
