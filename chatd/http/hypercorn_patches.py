"""Hypercorn's connection class, limited to HTTP/1.1.

*No HTTP/2*, neither by prior knowledge nor by `Upgrade: h2c`. Hypercorn buffers what does not fit into the window of an
HTTP/2 stream, so a peer with a window of one byte makes the server keep whole responses in memory; and an upgrade that
a proxy forwards opens a tunnel that bypasses the rules of the proxy. Proxies use HTTP/1.1 to their upstreams, so
nothing is lost.

*One length.* A request with both Content-Length and Transfer-Encoding is one request for the proxy and may be two here.
It is refused and ends the connection (RFC 9112, section 6.3).

*A bounded head.* h11 and Hypercorn take 6 microseconds for each header, in one step, and a header needs four bytes. So
a head of more than `MAX_HEADERS` lines is refused before it is parsed.

Errors that are found before there is a request have a JSON body like all others.

*The end.* Hypercorn closes idle connections without a response when the server stops. A request that arrives at that
moment would be lost, so it is answered with 503 before it is read, and further bytes are read and dropped (see
`BoundedStream.aclose`).
"""

import math
from typing import Any

import h11
import msgspec
import trio
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext

from chatd.core.errors import Refused
from chatd.http.responses import HEADERS
from chatd.wire.base import error_of

VERSIONS = (b"1.0", b"1.1")
LEAVING = Refused("maintenance", "the server is about to stop", retry_after=1)
MESSAGES = {431: "the head of the request is too large", 505: "only HTTP/1.1 is supported"}
MAX_HEADERS = 100


class BoundedConnection(h11.Connection):
    """A connection that refuses a head of too many lines."""

    def next_event(self) -> Any:
        """Like `next_event` of h11. Raises h11.RemoteProtocolError."""
        if self.their_state is h11.IDLE and has_too_many_lines(self.trailing_data[0]):
            raise h11.RemoteProtocolError("too many headers", error_status_hint=431)
        return super().next_event()


def has_too_many_lines(head: bytes) -> bool:
    """Whether no empty line ends the head within the request line and `MAX_HEADERS` lines."""
    lines = head.split(b"\n", MAX_HEADERS + 2)
    return len(lines) > MAX_HEADERS + 2 and not {b"", b"\r"}.intersection(lines[: MAX_HEADERS + 2])


class SteadyHttp1(H11Protocol):
    """HTTP/1.1 without an upgrade to another protocol."""

    is_head = False
    # No more requests are read from this connection.
    is_over = False

    @property
    def is_answering(self) -> bool:
        return self.connection.our_state in (h11.SEND_RESPONSE, h11.SEND_BODY)

    @property
    def is_awaited(self) -> bool:
        """Whether the peer has sent a whole request, and waits for the rest of its response."""
        return self.is_answering and self.connection.their_state in (h11.DONE, h11.MUST_CLOSE)

    async def handle(self, event: Event) -> None:
        if not (self.is_over and isinstance(event, RawData)):
            await super().handle(event)

    async def refuse_more(self) -> None:
        """Answer the request that may come, without reading it."""
        self.is_over, self.is_head = True, False
        if self.connection.our_state is h11.IDLE:
            await self._send_refusal(LEAVING.row.status, LEAVING)

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
        await self._send_refusal(
            status_code, Refused("bad_request", MESSAGES.get(status_code, "the request is not valid HTTP/1.1"))
        )

    async def _send_refusal(self, status_code: int, refused: Refused) -> None:
        head, body = error_answer(refused)
        await self._send_h11_event(h11.Response(status_code=status_code, headers=head))
        if not self.is_head:
            await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


def error_answer(refused: Refused) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of a response after which the connection closes, when no application has the request."""
    body = msgspec.json.encode(error_of(refused))
    fields = {**HEADERS, "Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    if refused.retry_after is not None:
        fields["Retry-After"] = str(round(refused.retry_after))
    return list(fields.items()), body


class SteadyContext(WorkerContext):
    """The state that all connections share. `leaving`: the server stops; Hypercorn's own `terminated` is never set."""

    def __init__(self) -> None:
        super().__init__(None)
        self.leaving = trio.Event()


class SteadyServer(TCPServer):
    """One connection."""

    context: SteadyContext

    def _http(self) -> SteadyHttp1:
        """The protocol of the connection. Replaces that of Hypercorn at the first use, before a byte is read."""
        of = self.protocol
        if not isinstance(of.protocol, SteadyHttp1):
            of.protocol = SteadyHttp1(
                *(of.app, of.config, of.context, of.task_group, of.state, of.ssl, of.client, of.server, of.send)
            )
        return of.protocol

    async def _read_data(self) -> None:
        """Like that of Hypercorn, but a peer that waits for a response may be silent."""
        http = self._http()
        while True:
            try:
                with trio.fail_after(self.config.read_timeout or math.inf):
                    data = bytes(await self.stream.receive_some(MAX_RECV))
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                break
            except trio.TooSlowError:
                if http.is_awaited:
                    continue
                break
            await http.handle(RawData(data))
            if not data:
                break
        await http.handle(Closed())

    async def _idle_timeout(self) -> None:
        """Close a connection without a request: after the keep-alive timeout, or when the server stops."""
        with trio.move_on_after(self.config.keep_alive_timeout):
            await self.context.leaving.wait()
        if self._http().is_answering:
            # A request arrived at the same moment.
            return
        with trio.CancelScope(shield=True):
            if self.context.leaving.is_set():
                await self._http().refuse_more()
            await self._initiate_server_close()
