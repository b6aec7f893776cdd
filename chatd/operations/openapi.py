"""OpenAPI of the routes of operations."""

from typing import Any

from chatd.wire.reference.description import Routes
from chatd.wire.reference.routes import TEXT, errors, probe, server_operation


def metrics(name: str, summary: str) -> dict[str, Any]:
    text = {"description": summary, "content": {"text/plain": {"schema": {"type": "string"}}}}
    refused = errors(_404="not_found")
    responses = {"200": text, **{status: refused[status] for status in ("401", "404", "503", "504")}}
    return server_operation(name, summary, responses, security=[{"metrics": []}, {}])


STATUS = {
    "status": {"type": "string", "enum": ["ready", "degraded", "away", "draining"]},
    "services": {"type": "object"},
}
READY: dict[str, Any] = {
    "summary": "Check that the server can serve.",
    "properties": STATUS,
    "unready": "The server cannot serve.",
}
PING = {"live": {"type": "boolean"}, "url": TEXT, "sessions": {"type": "integer"}}
ROUTES: Routes = {
    "/healthz": {
        "get": probe(
            "server.healthz", "Check that the process is alive.", {"status": {"type": "string", "enum": ["ok"]}}
        )
    },
    "/readyz": {"get": probe("server.readyz", **READY)},
    "/health": {"get": probe("server.health", **READY)},
    "/v1/socket/ping": {
        "get": probe(
            "server.ping",
            "Check that WebSocket connections are accepted.",
            PING,
            unready="Connections are not accepted.",
        )
    },
    "/metrics": {"get": metrics("server.metrics", "Get the metrics of this node, for Prometheus.")},
    "/metrics/nodes": {"get": metrics("server.metrics.nodes", "Get the metrics of all nodes.")},
}
