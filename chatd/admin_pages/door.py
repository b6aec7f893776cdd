"""The port of the pages: a server of its own, on loopback unless configured otherwise."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from chatd.admin_pages.app import AdminPages
from chatd.admin_pages.settings import AdminPagesSettings
from chatd.app.context import Node
from chatd.app.listening import open_listener
from chatd.core import log
from chatd.http.server import ServerTunables, open_http

LOG = log.get(__name__)
BACKLOG = 128
TUNABLES = ServerTunables(max_connections=256)
# Time for the last requests when the node stops.
LAST_REQUESTS_S = 1.0


class AdminAddress(str):
    """The URL of the pages. Found in `Node.services`."""

    __slots__ = ()


def is_served(node: Node) -> bool:
    return bool(node.config.admins) and node.config.get(AdminPagesSettings).enabled


@asynccontextmanager
async def open_door(node: Node, pages: AdminPages) -> AsyncIterator[AdminAddress]:
    """Serve the pages while the block runs. Raises OSError if the port is taken."""
    settings = node.config.get(AdminPagesSettings)
    reuse = node.config.gateway.reuse_port
    with open_listener(settings.host, settings.port, BACKLOG, reuse_port=reuse) as listener:
        address = AdminAddress(url_of(listener))
        async with open_http(pages.application(), listener, node.config, node.health, TUNABLES) as server:
            LOG.info("the pages for admins are ready", extra={"url": address})
            yield address
            await server.finish(trio.current_time() + LAST_REQUESTS_S)


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/admin" if ":" in host else f"http://{host}:{port}/admin"
