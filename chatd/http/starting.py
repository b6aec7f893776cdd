"""Responses on the HTTP port before the node is ready, for example during a migration of the schema.

A starting process is alive but not ready: without a response to the liveness probe, an orchestrator would kill it
during a migration. Probes get their usual form; all other requests are refused as `unavailable`.
"""

from typing import Any

import msgspec
from hypercorn.typing import ASGIFramework

from chatd.core.errors import Refused
from chatd.http.hypercorn_patches import error_answer
from chatd.http.responses import HEADERS

RETRY_S = 1
NOT_YET = Refused("unavailable", "the server is starting", retry_after=RETRY_S)
METHODS = ("GET", "HEAD")


def starting_app(socket_url: str) -> ASGIFramework:
    """ASGI application: 200 for the liveness probe, 503 for everything else."""
    probes: dict[str, tuple[int, dict[str, Any]]] = {
        "/healthz": (200, {"status": "ok"}),
        "/readyz": (503, {"status": "starting"}),
        "/health": (503, {"status": "starting"}),
        "/v1/socket/ping": (503, {"live": False, "url": socket_url, "sessions": 0}),
    }

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        is_http = scope["type"] == "http"
        kind = "http.response" if is_http else "websocket.http.response"
        status, fields = 503, error_answer(NOT_YET)
        if is_http and scope["method"] in METHODS and scope["path"] in probes:
            status, body_fields = probes[scope["path"]]
            fields = probe_answer(body_fields)
        headers, body = fields
        await send({"type": f"{kind}.start", "status": status, "headers": [lowered(*header) for header in headers]})
        await send({"type": f"{kind}.body", "body": body, "more_body": False})

    return answer


def probe_answer(body_fields: dict[str, Any]) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of a probe's response."""
    body = msgspec.json.encode(body_fields)
    fields = {
        **HEADERS,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Retry-After": str(RETRY_S),
    }
    return list(fields.items()), body


def lowered(name: str, value: str) -> tuple[bytes, bytes]:
    """A header in the form of ASGI."""
    return name.lower().encode(), value.encode()
