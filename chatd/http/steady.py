"""Hypercorn's connection, speaking HTTP/1.1 only.

*No HTTP/2*, neither by prior knowledge nor by `Upgrade: h2c`. Hypercorn buffers what an HTTP/2 stream has no window for, so a
peer with a window of one byte makes the server hold whole answers; and an upgrade that a proxy passes on opens a tunnel past
the rules of the proxy. A proxy speaks HTTP/1.1 to its upstreams, so nothing is lost.

*One length.* A request with both Content-Length and Transfer-Encoding is one request to the proxy and may be two here. It is
refused and ends the connection (RFC 9112, section 6.3).

Errors that are found before there is a request have a JSON body like all others.
"""

from typing import Any

import h11
import msgspec
from hypercorn.events import Closed
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer

from chatd.errors import Refused
from chatd.http.answers import HEADERS
from chatd.wire.messages import error_of

VERSIONS = (b"1.0", b"1.1")
MESSAGES = {431: "the head of the request is too large", 505: "only HTTP/1.1 is spoken here"}


class SteadyHttp1(H11Protocol):
    """HTTP/1.1 that stays what it is."""

    is_head = False

    async def _check_protocol(self, event: Any) -> None:
        """Hypercorn would change the protocol here."""

    async def _create_stream(self, request: Any) -> None:
        self.is_head = request.method == b"HEAD"
        if request.http_version not in VERSIONS:
            await self._refuse(505)
        elif {b"content-length", b"transfer-encoding"} <= {name for name, _ in request.headers}:
            await self._refuse(400)
        else:
            await super()._create_stream(request)

    async def _refuse(self, status: int) -> None:
        await self._send_error_response(status)
        await self.send(Closed())

    async def _send_error_response(self, status_code: int) -> None:
        head, body = error_answer(Refused("bad_request", MESSAGES.get(status_code, "not a request of HTTP/1.1")))
        await self._send_h11_event(h11.Response(status_code=status_code, headers=head))
        if not self.is_head:
            await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


def error_answer(refused: Refused) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of an answer after which the connection closes, for who has no application behind it."""
    body = msgspec.json.encode(error_of(refused))
    fields = {**HEADERS, "Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    if refused.retry_after is not None:
        fields["Retry-After"] = str(round(refused.retry_after))
    return list(fields.items()), body


class SteadyServer(TCPServer):
    """One connection."""

    async def _read_data(self) -> None:
        of = self.protocol
        of.protocol = SteadyHttp1(
            *(of.app, of.config, of.context, of.task_group, of.state, of.ssl, of.client, of.server, of.send)
        )
        await super()._read_data()
