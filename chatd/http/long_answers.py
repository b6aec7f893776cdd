"""Limits on responses that do not fit into one part: per user, per address, and in total.

A client that does not read costs the memory of one part, or of the whole response if it was made in one piece. So their
number is bounded. A response that is streamed (a file) waits for a slot; one that is in memory (a list) is refused
without a slot. The response to a request that changed something is never refused.

The size of a list is known only when it is in memory, so the number of requests that read is bounded too (see
`read_turns`).
"""

from contextlib import ExitStack

from quart import Response, g, request
from quart.wrappers.response import IterableBody
from quart_trio import QuartTrio

from chatd.app.context import Node
from chatd.core.addresses import parse_networks
from chatd.core.errors import Refused
from chatd.http.asgi_guard import HELD
from chatd.http.responses import refused_answer
from chatd.http.rest import request_address
from chatd.http.slots import TURN_TIMEOUT_S, Bounds, Owner, Owners, Slots
from chatd.http.stream import PART_BYTES

# The type of responses that do not end by themselves.
EVENT_STREAM = "text/event-stream; charset=utf-8"
BOUNDS = Bounds(per_user=8, per_address=64, total=1024)


def bound(app: QuartTrio, node: Node) -> None:
    """Apply the limits to all responses."""
    proxies, owners = parse_networks(node.config.gateway.trusted_proxies), Owners(node.config)
    slots = Slots("large responses", BOUNDS)

    @app.after_request
    async def reserve(response: Response) -> Response:
        length, streamed = response.headers.get("Content-Length", type=int), isinstance(response.response, IterableBody)
        if request.method == "HEAD" and streamed:
            # Hypercorn would read the whole body, and send nothing.
            response.response = response.data_body_class(b"")
        reader: Owner | None = g.get("reader")
        if response.content_type == EVENT_STREAM:
            # It has a slot of another kind.
            return response
        if (request.method != "GET" and reader is None) or (length is not None and length <= PART_BYTES):
            return response
        owner = reader or owners.of(g.get("who"), request_address(proxies))
        if streamed:
            await slots.wait(owner, TURN_TIMEOUT_S)
        try:
            held().enter_context(slots.reserve(owner))
        except Refused as refused:
            return refused_answer(node, refused)
        return response


def held() -> ExitStack:
    """The resources that this request holds until its response is written."""
    stack: ExitStack = request.scope["state"][HELD]
    return stack
