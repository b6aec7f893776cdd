"""Hypercorn's connection, without what a proxy in front may take for something else.

*The upgrade to HTTP/2.* Some proxies pass `Upgrade: h2c` on, and then all bytes. Whoever gets that far through one asks for what
the proxy was told to keep back (`/admin`, `/metrics`), from its address and with no header of it. A server may leave an upgrade
alone (RFC 9110, section 7.8), and nobody needs this one: HTTP/2 from the first byte on is spoken as before.

*Two lengths.* What a proxy has taken for one request by its Content-Length may be two by Transfer-Encoding, the second of
which it never judged. It is answered like any other that cannot be framed, and ends the connection (RFC 9112, section 6.3).
"""

from typing import Any

from hypercorn.events import Closed
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer


class SteadyHttp1(H11Protocol):
    """HTTP/1.1 that stays what it is."""

    async def _check_protocol(self, event: Any) -> None:
        if not any(name == b"upgrade" and value.strip().lower() == b"h2c" for name, value in event.headers):
            await super()._check_protocol(event)

    async def _create_stream(self, request: Any) -> None:
        if {b"content-length", b"transfer-encoding"} <= {name for name, _ in request.headers}:
            await self._send_error_response(400)
            await self.send(Closed())
        else:
            await super()._create_stream(request)


class SteadyServer(TCPServer):
    """One connection."""

    async def _read_data(self) -> None:
        of = self.protocol
        of.protocol = SteadyHttp1(
            *(of.app, of.config, of.context, of.task_group, of.state, of.ssl, of.client, of.server, of.send)
        )
        await super()._read_data()
