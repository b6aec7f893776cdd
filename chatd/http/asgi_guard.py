"""An ASGI application between Hypercorn and Quart: rejects ambiguous requests, and bounds the time of a response.

*Paths.* A proxy routes by the path that it has decoded and normalized; Quart decodes the path as well. Both see the
same path only if there is nothing to decode or normalize, so all other paths are rejected before routing
(`is_canonical`). For the same reason a header with a single value must not occur twice: a proxy may use the first one,
and Quart the last.

*Responses.* A response is written in parts of `PART_BYTES`, each after the socket has accepted the previous one, all
within the time that `BoundedStream` allows. What a request holds until its response is written (`held`) is released
when it ends.

*Bodies.* A body is received only as fast as the view reads it (`BodyFlow`).

*The end.* When a response is complete, Hypercorn tells the application that the exchange is over, and then closes the
connection or prepares it for the next request, all within one `send`. Quart-Trio mistakes that for a client that
disconnected and cancels the task that is sending, which would leave the connection neither closed nor with a timeout.
Hence the shield.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

import msgspec
import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

from chatd.core.addresses import can_be_encoded
from chatd.core.errors import Refused
from chatd.http.body_flow import BODY_FLOW, BodyFlow
from chatd.http.paths import is_canonical
from chatd.http.responses import HEADERS
from chatd.http.stream import PART_BYTES, BoundedStream
from chatd.wire.base import error_of

# For the end of a response, whose bytes have all been written.
LAST_STEP_TIMEOUT_S = 5.0
# Headers that must not occur twice. h11 checks Content-Length.
SINGLE = frozenset({b"authorization", b"content-type", b"host", b"origin", b"sec-fetch-site"})
# The keys in the state of a request: its connection, and the resources that it holds.
PEER, HELD = "peer", "held"


class AsgiGuard:
    """The guard in front of the application. `socket_url`: the WebSocket endpoint, which is named in the response to a
    WebSocket request at this port. `most_unread`: see `BodyFlow`.
    """

    def __init__(self, app: ASGIFramework, socket_url: str, most_unread: int) -> None:
        self._app = app
        self._most_unread = most_unread
        self._elsewhere = Refused("not_found", f"the WebSocket is at {socket_url}")

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            await answer(send, "websocket.http.response", 404, self._elsewhere)
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        elif not scope["path"].startswith("/"):
            await answer(send, "http.response", 400, Refused("bad_request", "the target must be a path"))
        elif not all(can_be_encoded(value.decode("latin-1")) for name, value in scope["headers"] if name == b"host"):
            await answer(send, "http.response", 400, Refused("bad_request", "the Host header is not valid"))
        elif is_ambiguous(scope["headers"]):
            await answer(
                send, "http.response", 400, Refused("bad_request", "a header that allows only one value was sent twice")
            )
        elif not is_canonical(scope["raw_path"]):
            await answer(send, "http.response", 404, Refused("not_found", "no such path; see /openapi.json"))
        else:
            state: dict[str, Any] = scope["state"]
            with ExitStack() as held:
                state[HELD] = held
                state[BODY_FLOW] = flow = BodyFlow(receive, self._most_unread)
                await self._app(scope, flow.receive, paced(send, state[PEER], flow))


def is_ambiguous(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a header that allows only one value was sent twice. Names are in lower case."""
    names = [name for name, _ in headers if name in SINGLE]
    return len(names) > len(set(names))


def paced(send: ASGISendCallable, peer: BoundedStream, flow: BodyFlow) -> ASGISendCallable:
    """Wrap `send`: it sends in parts, within the time for a response, and its last message is shielded from
    cancellation.
    """

    async def sent(message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            peer.begin_answer()
            flow.discard()
        if message["type"] != "http.response.body":
            await send(message)
            return
        body = memoryview(message["body"])
        for start in range(0, len(body), PART_BYTES):
            await send(
                {"type": "http.response.body", "body": bytes(body[start : start + PART_BYTES]), "more_body": True}
            )
        if not message["more_body"]:
            peer.end_answer()
            with trio.move_on_after(LAST_STEP_TIMEOUT_S, shield=True):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    return sent


async def answer(send: Any, kind: str, status: int, refused: Refused) -> None:
    body = msgspec.json.encode(error_of(refused))
    fields = {**HEADERS, "Content-Type": "application/json", "Content-Length": str(len(body))}
    headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body, "more_body": False})
