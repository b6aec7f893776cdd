"""Probes for load balancers and orchestrators: liveness, readiness, and whether sockets are accepted.

They must be cheap.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import trio
from msgspec import Struct
from quart import Response
from quart_trio import QuartTrio

from chatd.app.context import Node
from chatd.core.errors import Refused
from chatd.http.responses import json_response
from chatd.realtime.drain import Drain

# How long a result of the databases is reused, and the timeout of one probe.
MAX_AGE_S = 1.0
PROBE_TIMEOUT_S = 2.0
# States in which a load balancer sends clients to this node.
SERVING = ("ready", "degraded")
Ask = Callable[[], Awaitable[str]]


class Service(Struct, omit_defaults=True):
    """A dependency of this server.

    `status`: ready; away (it does not answer); full, read_only or failing (Postgres answers but accepts no writes);
    refusing (Redis answers but rejects commands); degraded (background services fail, which are named); draining.
    """

    status: str
    failing: list[str] = []


class Readiness:
    """Probes both databases at the same time, at most once in `MAX_AGE_S` seconds regardless of the number of
    requests.
    """

    def __init__(self, node: Node, drain: Drain) -> None:
        self._node = node
        self._probes: dict[str, Ask] = {"postgres": self._ask_postgres, "redis": self._ask_redis}
        self._drain = drain
        self._checked_at = float("-inf")
        self._services: dict[str, Service] = {name: Service("away") for name in self._probes}
        self._lock = trio.Lock()

    async def services(self) -> dict[str, Service]:
        async with self._lock:
            if trio.current_time() - self._checked_at >= MAX_AGE_S:
                async with trio.open_nursery() as nursery:
                    for name, ask in self._probes.items():
                        nursery.start_soon(self._probe, name, ask)
                self._checked_at = trio.current_time()
        return self._services | {
            "background": self._background(),
            "gateway": Service("draining" if self._drain.announced else "ready"),
        }

    async def _ask_postgres(self) -> str:
        if await self._node.db.value("show transaction_read_only") == "on":
            return "read_only"
        return self._node.db.faults.write_status or "ready"

    async def _ask_redis(self) -> str:
        await self._node.redis.call("PING")
        return "refusing" if self._node.redis.failing else "ready"

    def _background(self) -> Service:
        names = sorted(condition.name for condition in self._node.health.failing)
        return Service("degraded", names) if names else Service("ready")

    async def _probe(self, name: str, ask: Ask) -> None:
        status = "away"
        with trio.move_on_after(PROBE_TIMEOUT_S), suppress(Refused):
            status = await ask()
        self._services[name] = Service(status)


def status_of(services: Mapping[str, Service]) -> str:
    """The status of the node.

    Messages need a Postgres that accepts writes; they do not need Redis or a background service.
    """
    if services["gateway"].status == "draining":
        return "draining"
    if services["postgres"].status != "ready":
        return "away"
    return "ready" if all(service.status == "ready" for service in services.values()) else "degraded"


def add_routes(app: QuartTrio, node: Node) -> None:
    drain, socket_url = node.get(Drain), node.config.gateway.public_url
    readiness = Readiness(node, drain)

    @app.get("/healthz")
    async def healthz() -> Response:
        return json_response({"status": "ok"})

    @app.get("/readyz")
    @app.get("/health")
    async def readyz() -> Response:
        services = await readiness.services()
        status = status_of(services)
        return json_response({"status": status, "services": services}, 200 if status in SERVING else 503)

    @app.get("/v1/socket/ping")
    async def socket_ping() -> Response:
        live = not drain.announced
        sessions = node.hub.statistics()["sessions"]
        return json_response({"live": live, "url": socket_url, "sessions": sessions}, 200 if live else 503)
