"""What the HTTP side answers before the node is ready, for example during a migration of the schema.

A process that starts is alive and takes no clients yet: without an answer, a liveness probe would end it during a migration.
"""

from typing import Any

import msgspec

ALIVE = "/healthz"
RETRY_AFTER_S = b"1"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """ASGI application: 200 for the liveness probe, 503 for everything else."""
    kind = "http.response" if scope["type"] == "http" else "websocket.http.response"
    status, said = (200, "ok") if scope["path"] == ALIVE else (503, "starting")
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), (b"retry-after", RETRY_AFTER_S)]
    body = msgspec.json.encode({"status": said})
    await send({"type": f"{kind}.start", "status": status, "headers": [*headers, (b"content-length", b"%d" % len(body))]})
    await send({"type": f"{kind}.body", "body": body, "more_body": False})
