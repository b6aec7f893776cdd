"""GET /v1/me/export: all that is stored of who asks, as a file of JSON lines."""

from collections.abc import AsyncIterator

import trio
from quart import Response
from quart_trio import QuartTrio

from chatd.domain.addresses import parse_networks
from chatd.domain.identity import Principal
from chatd.domain.pseudonyms import Mask, ids_in
from chatd.errors import Refused
from chatd.http.answers import HEADERS, refused_answer
from chatd.http.api import asker, identify
from chatd.node import export
from chatd.node.context import Node
from chatd.node.limits import UserLimits

# Of one user, on this node; and at the same time, of all.
PER_HOUR, AT_ONCE = 4, 4
CONTENT = "application/x-ndjson"


def add_routes(app: QuartTrio, node: Node) -> None:
    proxies = parse_networks(node.config.gateway.trusted_proxies)
    limits = UserLimits(PER_HOUR / 3600, PER_HOUR)
    places = trio.Semaphore(AT_ONCE)

    @app.get("/v1/me/export", endpoint="me.export")
    async def me_export() -> Response:
        try:
            who = await identify(node, asker(proxies))
            node.limits.take(who.tenant, who.user, 5)
            check_place(places)
            limits.take(who.tenant, who.user, 1)
            head = await export.profile(node.db, who.tenant, who.user)
        except Refused as refused:
            return refused_answer(node, refused)
        return file_of(body(node, places, who, head), who)


def check_place(places: trio.Semaphore) -> None:
    """Raises Refused: `unavailable`."""
    if not places.value:
        raise Refused("unavailable", "too many exports are under way", retry_after=30)


async def body(node: Node, places: trio.Semaphore, who: Principal, head: bytes) -> AsyncIterator[bytes]:
    await places.acquire()
    try:
        yield head
        async for page in export.pages(node.db, who.tenant, who.user):
            yield await masked(node, who, page)
    finally:
        places.release()


async def masked(node: Node, who: Principal, page: bytes) -> bytes:
    """With strangers as they were called, however long ago it was. Raises Refused."""
    if node.hub.veils is None:
        return page
    mask = Mask()
    mask.hide((await node.hub.veils.met_ever(who.tenant, who.user, ids_in(page))).items())
    return mask.outward(page)


def file_of(parts: AsyncIterator[bytes], who: Principal) -> Response:
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="chatd-{who.user}.jsonl"'}
    response = Response(parts, 200, headers, content_type=CONTENT)
    # A slow reader is the business of `peer`.
    response.timeout = None
    return response
