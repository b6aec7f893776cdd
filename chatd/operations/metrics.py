"""GET /metrics, for Prometheus: this node. GET /metrics/nodes: all nodes, for workers that share one port.

Access is denied by default. Requests from localhost that no proxy forwarded are allowed; all others need
`metrics.token`, and without a token the routes do not exist for them.
"""

from collections.abc import Sequence
from hmac import compare_digest

from quart import Response, abort, request
from quart_trio import QuartTrio

from chatd.app.context import Node
from chatd.app.metrics import Metrics
from chatd.core.addresses import Network, is_loopback, is_trusted, name_of, parse, parse_networks
from chatd.core.errors import Refused
from chatd.http.responses import HEADERS, answer_of
from chatd.http.rest import offered_token
from chatd.operations import node_registry
from chatd.operations.prometheus import CONTENT_TYPE, exposition
from chatd.operations.settings import MetricsSettings
from chatd.operations.snapshot import Snapshot, SnapshotSource
from chatd.wire.base import error_of

# Headers that proxies and content networks add (besides all X-Forwarded-...), and that browsers add to requests of
# pages.
OF_PROXIES = (
    "Forwarded",
    "Via",
    "X-Real-Ip",
    "X-Client-Ip",
    "X-Cluster-Client-Ip",
    "True-Client-Ip",
    "Cf-Connecting-Ip",
)
OF_PAGES = ("Origin", "Referer")
FORWARDED = "x-forwarded-"


def add_routes(app: QuartTrio, node: Node) -> None:
    proxies, token = parse_networks(node.config.gateway.trusted_proxies), node.config.get(MetricsSettings).token

    @app.get("/metrics")
    async def metrics() -> Response:
        return refusal(proxies, token) or response_of(node, [node.get(SnapshotSource).snapshot()], name_nodes=False)

    @app.get("/metrics/nodes")
    async def metrics_of_all() -> Response:
        refused = refusal(proxies, token)
        if refused is not None:
            return refused
        try:
            return response_of(node, await node_registry.read(node.redis), name_nodes=True)
        except Refused as error:
            return answer_of(error_of(error))


def refusal(proxies: Sequence[Network], token: str) -> Response | None:
    """The refusal of a request for metrics, or None if it is allowed: 401 if a token is configured, otherwise 404 as
    for any unknown path.
    """
    if is_direct(proxies) or carries(token):
        return None
    return answer_of(error_of(Refused("unauthenticated"))) if token else abort(404)


def is_direct(proxies: Sequence[Network]) -> bool:
    """Whether the request comes from this machine and was not forwarded.

    Web pages in a local browser are not allowed.
    """
    peer = request.remote_addr or ""
    # Only an address, not a name.
    if parse(peer) is None or not is_loopback(peer) or is_trusted(peer, proxies) or is_for_another():
        return False
    return is_loopback(name_of(request.headers.get("Host", "")))


def is_for_another() -> bool:
    """Whether the headers show a proxy, or a web page as the origin."""
    headers = request.headers
    if any(name in headers for name in (*OF_PROXIES, *OF_PAGES)) or headers.get("Sec-Fetch-Site", "none") != "none":
        return True
    return any(name.lower().startswith(FORWARDED) for name, _ in headers)


def carries(token: str) -> bool:
    """Whether the request has the configured token."""
    offered = offered_token()
    return bool(token) and offered is not None and compare_digest(offered.encode(), token.encode())


def response_of(node: Node, snapshots: Sequence[Snapshot], *, name_nodes: bool) -> Response:
    text = exposition(node.get(Metrics), snapshots, name_nodes=name_nodes)
    return Response(text, headers=HEADERS, content_type=CONTENT_TYPE)
