"""Between Hypercorn and Quart: paths that are not canonical, sockets (not at this door), and the pace of an answer.

*Paths.* A proxy decides by the path that it has decoded and tidied up; Quart decodes, too. Both see the same path only if there
is nothing to decode or tidy up, so everything else is refused before it is routed (`is_canonical`). For the same reason a header
that has one value must not come twice: a proxy may look at the first one, and Quart at the last.

*The pace.* An answer is written in parts of `PART` bytes, each when the socket has taken the one before, all within the time
that `Peer` has for it. What a request holds until its answer is written (`held`) is released when it is over, however it ends.

*The end.* When an answer is complete, Hypercorn tells the application that the exchange is over, and then closes the connection
or makes it ready for the next request, all within one `send`. Quart-Trio takes that for a client that hung up and cancels the
task that is sending, so the connection would be left as it is, neither closed nor with a timeout. Hence the shield.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

import msgspec
import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

from chatd.core.addresses import can_be_encoded
from chatd.core.errors import Refused
from chatd.http.paths import is_canonical
from chatd.http.responses import HEADERS
from chatd.http.stream import PART, Peer
from chatd.wire.base import error_of

# Seconds for the end of an answer, whose bytes have all been written.
LAST_STEP = 5.0
# Sent twice, these have two meanings. Of lengths h11 takes care.
SINGLE = frozenset({b"authorization", b"content-type", b"host", b"origin", b"sec-fetch-site"})
# The keys in the state of a request: its connection, and what it holds until it is over.
PEER, HELD = "peer", "held"


class Front:
    """An ASGI application around the other one. `socket_url` is where sockets are served."""

    def __init__(self, app: ASGIFramework, socket_url: str) -> None:
        self._app = app
        self._elsewhere = Refused("not_found", f"the WebSocket is at {socket_url}")

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            await answer(send, "websocket.http.response", 404, self._elsewhere)
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        elif not scope["path"].startswith("/"):
            await answer(send, "http.response", 400, Refused("bad_request", "the target must be a path"))
        elif not all(can_be_encoded(value.decode("latin-1")) for name, value in scope["headers"] if name == b"host"):
            await answer(send, "http.response", 400, Refused("bad_request", "the Host header is not a host"))
        elif is_ambiguous(scope["headers"]):
            await answer(send, "http.response", 400, Refused("bad_request", "a header that has one value was sent twice"))
        elif not is_canonical(scope["raw_path"]):
            await answer(send, "http.response", 404, Refused("not_found", "there is nothing at this path; see /openapi.json"))
        else:
            state: dict[str, Any] = scope["state"]
            with ExitStack() as held:
                state[HELD] = held
                await self._app(scope, receive, paced(send, state[PEER]))


def is_ambiguous(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a header that has one value was sent twice. Names are in lower case."""
    names = [name for name, _ in headers if name in SINGLE]
    return len(names) > len(set(names))


def paced(send: ASGISendCallable, peer: Peer) -> ASGISendCallable:
    """The same `send`: in parts, within the time for an answer, and its last message is not cancelled half-way."""

    async def sent(message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            peer.begin_answer()
        if message["type"] != "http.response.body":
            await send(message)
            return
        body = memoryview(message["body"])
        for start in range(0, len(body), PART):
            await send({"type": "http.response.body", "body": bytes(body[start : start + PART]), "more_body": True})
        if not message["more_body"]:
            peer.end_answer()
            with trio.move_on_after(LAST_STEP, shield=True):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    return sent


async def answer(send: Any, kind: str, status: int, refused: Refused) -> None:
    body = msgspec.json.encode(error_of(refused))
    fields = {**HEADERS, "Content-Type": "application/json", "Content-Length": str(len(body))}
    headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body, "more_body": False})
