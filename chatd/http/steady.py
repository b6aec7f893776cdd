"""Hypercorn's connection, speaking HTTP/1.1 only.

*No HTTP/2*, neither by prior knowledge nor by `Upgrade: h2c`. Hypercorn buffers what an HTTP/2 stream has no window for, so a
peer with a window of one byte makes the server hold whole answers; and an upgrade that a proxy passes on opens a tunnel past
the rules of the proxy. A proxy speaks HTTP/1.1 to its upstreams, so nothing is lost.

*One length.* A request with both Content-Length and Transfer-Encoding is one request to the proxy and may be two here. It is
refused and ends the connection (RFC 9112, section 6.3).

*A bounded head.* h11 and Hypercorn take 6 microseconds for each header, in one step, and a header needs four bytes. So a head of
more than `MAX_HEADERS` lines is refused before it is parsed.

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
MAX_HEADERS = 100


class BoundedConnection(h11.Connection):
    """A connection that refuses a head of too many lines."""

    def next_event(self) -> Any:
        """As in h11. Raises h11.RemoteProtocolError."""
        if self.their_state is h11.IDLE and has_too_many_lines(self.trailing_data[0]):
            raise h11.RemoteProtocolError("too many headers", error_status_hint=431)
        return super().next_event()


def has_too_many_lines(head: bytes) -> bool:
    """Whether no empty line ends the head within the request line and `MAX_HEADERS` lines."""
    lines = head.split(b"\n", MAX_HEADERS + 2)
    return len(lines) > MAX_HEADERS + 2 and not {b"", b"\r"}.intersection(lines[: MAX_HEADERS + 2])


class SteadyHttp1(H11Protocol):
    """HTTP/1.1 that stays what it is."""

    is_head = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connection = BoundedConnection(h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size)

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
