"""What the HTTP door answers before the node is ready, for example while the schema is brought up to date.

A process that starts is alive, and takes no clients yet: without an answer a probe of liveness would end it in the middle of a
migration.
"""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
import trio
from hypercorn.typing import ASGIFramework

from chatd.config import Config
from chatd.http.server import serve_http

ALIVE = "/healthz"
RETRY_AFTER_S = b"1"


@asynccontextmanager
async def answering_while_starting(listener: socket.socket, config: Config) -> AsyncIterator[Callable[[], None]]:
    """Answer until what is yielded is called, or the block ends."""
    started = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_http, cast(ASGIFramework, answer), listener, started.wait, config)
        yield started.set
        nursery.cancel_scope.cancel()


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """200 for the probe of liveness, 503 for everything else."""
    if scope["type"] != "http":
        return
    status, said = (200, "ok") if scope["path"] == ALIVE else (503, "starting")
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), (b"retry-after", RETRY_AFTER_S)]
    body = msgspec.json.encode({"status": said})
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
