"""Hypercorn in the same process, on a socket that we opened."""

import os
import socket
from collections.abc import Awaitable, Callable

from hypercorn.config import Config as Hypercorn
from hypercorn.trio import serve
from quart_trio import QuartTrio

KEEP_ALIVE = 30.0
READ_TIMEOUT = 30
GRACE = 5.0


def hypercorn_config(listener: socket.socket) -> Hypercorn:
    config = Hypercorn()
    config.bind = [f"fd://{os.dup(listener.fileno())}"]
    config.keep_alive_timeout = KEEP_ALIVE
    config.read_timeout = READ_TIMEOUT
    config.graceful_timeout = GRACE
    config.h11_max_incomplete_size = 16_384
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = None
    return config


async def serve_http(app: QuartTrio, listener: socket.socket, wait_shutdown: Callable[[], Awaitable[None]]) -> None:
    """Serve until `wait_shutdown` returns; then finish what is under way."""
    await serve(app, hypercorn_config(listener), shutdown_trigger=wait_shutdown)
