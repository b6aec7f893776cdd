"""Answers that do not fit into one part: how many one user, one address and all together may have under way.

A client that does not read costs the memory of one part, or of the whole answer if that was made in one piece. So their number
is bounded. An answer that is read as it is sent (a file) waits for its turn; one that is in memory already (a list) is refused.
What was changed by the request is done, so its answer is never refused.

How long a list is, is known when it is in memory, so the number of those that are being made is bounded too (see `building`).
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
from chatd.http.rest import asker
from chatd.http.slots import TURN_TIMEOUT_S, Bounds, Owner, Owners, Slots
from chatd.http.stream import PART

BOUNDS = Bounds(per_user=8, per_address=64, total=1024)


def bound(app: QuartTrio, node: Node) -> None:
    """Let no user have more of them under way."""
    proxies, owners = parse_networks(node.config.gateway.trusted_proxies), Owners(node.config)
    slots = Slots("long answers", BOUNDS)

    @app.after_request
    async def reserve(response: Response) -> Response:
        length, streamed = response.headers.get("Content-Length", type=int), isinstance(response.response, IterableBody)
        if request.method == "HEAD" and streamed:
            # Hypercorn would read all of it, and send nothing.
            response.response = response.data_body_class(b"")
        reader: Owner | None = g.get("reader")
        if (request.method != "GET" and reader is None) or (length is not None and length <= PART):
            return response
        owner = reader or owners.of(g.get("who"), asker(proxies))
        if streamed:
            await slots.wait(owner, TURN_TIMEOUT_S)
        try:
            held().enter_context(slots.reserve(owner))
        except Refused as refused:
            return refused_answer(node, refused)
        return response


def held() -> ExitStack:
    """What this request holds until its answer is written."""
    stack: ExitStack = request.scope["state"][HELD]
    return stack
