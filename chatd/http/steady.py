"""Hypercorn's connection, without the upgrade from HTTP/1.1 to HTTP/2 (h2c).

Some proxies pass `Upgrade: h2c` on, and then all bytes. Whoever gets that far through one asks for what the proxy was told to
keep back (`/admin`, `/metrics`), from its address and with no header of it. A server may leave an upgrade alone (RFC 9110,
section 7.8), and nobody needs this one: HTTP/2 from the first byte on is spoken as before.
"""

from typing import Any

from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer


class SteadyHttp1(H11Protocol):
    """HTTP/1.1 that stays what it is."""

    async def _check_protocol(self, event: Any) -> None:
        if not any(name == b"upgrade" and value.strip().lower() == b"h2c" for name, value in event.headers):
            await super()._check_protocol(event)


class SteadyServer(TCPServer):
    """One connection."""

    async def _read_data(self) -> None:
        of = self.protocol
        of.protocol = SteadyHttp1(
            *(of.app, of.config, of.context, of.task_group, of.state, of.ssl, of.client, of.server, of.send)
        )
        await super()._read_data()
