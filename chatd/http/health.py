"""Is it alive, is it ready, are the sockets open. For probes and load balancers, so it must cost nothing to ask."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio
from msgspec import Struct
from quart import Response
from quart_trio import QuartTrio

from chatd.errors import Refused
from chatd.http.answers import json_response
from chatd.node.context import Node
from chatd.node.drain import Drain

# Seconds that an answer of the databases is repeated, and that they have for one.
FRESH = 1.0
TIMEOUT = 2.0
Ask = Callable[[], Awaitable[object]]


class Service(Struct):
    """One thing this server depends on. `status`: ready, away, or draining."""

    status: str


class Readiness:
    """Asks the databases, both at once, and at most once in `FRESH` seconds however many want to know."""

    def __init__(self, node: Node, drain: Drain) -> None:
        self._probes: dict[str, Ask] = {
            "postgres": lambda: node.db.value("select 1"),
            "redis": lambda: node.redis.call("PING"),
        }
        self._drain = drain
        self._asked = float("-inf")
        self._services: dict[str, Service] = {name: Service("away") for name in self._probes}
        self._lock = trio.Lock()

    async def services(self) -> dict[str, Service]:
        async with self._lock:
            if trio.current_time() - self._asked >= FRESH:
                async with trio.open_nursery() as nursery:
                    for name, ask in self._probes.items():
                        nursery.start_soon(self._probe, name, ask)
                self._asked = trio.current_time()
        return self._services | {"gateway": Service("draining" if self._drain.under_way else "ready")}

    async def _probe(self, name: str, ask: Ask) -> None:
        status = "away"
        with trio.move_on_after(TIMEOUT), suppress(Refused):
            await ask()
            status = "ready"
        self._services[name] = Service(status)


def add_routes(app: QuartTrio, node: Node, drain: Drain, socket_url: str) -> None:
    """The probes."""
    readiness = Readiness(node, drain)

    @app.get("/healthz")
    async def healthz() -> Response:
        return json_response({"status": "ok"})

    @app.get("/readyz")
    @app.get("/health")
    async def readyz() -> Response:
        services = await readiness.services()
        ready = all(service.status == "ready" for service in services.values())
        body = {"status": "ready" if ready else "not ready", "services": services}
        return json_response(body, 200 if ready else 503)

    @app.get("/v1/socket/ping")
    async def socket_ping() -> Response:
        live = not drain.under_way
        sessions = node.hub.statistics()["sessions"]
        return json_response({"live": live, "url": socket_url, "sessions": sessions}, 200 if live else 503)
