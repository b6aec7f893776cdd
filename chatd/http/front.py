"""Between Hypercorn and Quart: requests that Quart would stumble over, sockets (not at this door), and the end of an answer.

When an answer over HTTP/1 is complete, Hypercorn tells the application that the exchange is over, and then closes the
connection or makes it ready for the next request, all within one `send`. Quart-Trio takes that for a client that hung up and
cancels the task that is sending, so the connection would be left as it is, neither closed nor with a timeout. Hence the shield.
"""

from typing import Any

import msgspec
import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

from chatd.errors import Refused
from chatd.http.answers import HEADERS
from chatd.wire.messages import error_of

# Seconds for the end of an answer, whose bytes have all been written.
LAST_STEP = 5.0


class Front:
    """An ASGI application around the other one. `socket_url` is where sockets are served."""

    def __init__(self, app: ASGIFramework, socket_url: str) -> None:
        self._app = app
        self._elsewhere = Refused("not_found", f"the WebSocket is at {socket_url}")

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            await answer(send, "websocket.http.response", 404, self._elsewhere)
        elif scope["type"] == "http" and not scope["path"].startswith("/"):
            await answer(send, "http.response", 400, Refused("bad_request", "the target must be a path"))
        elif scope["type"] == "http" and scope["path"].startswith("//"):
            # Werkzeug would take the first slashes for one, and serve what a proxy in front has been told to keep back.
            await answer(send, "http.response", 404, Refused("not_found", "there is nothing at this path; see /openapi.json"))
        elif scope["type"] == "http" and scope["http_version"] < "2":
            await self._app(scope, receive, to_the_end(send))
        else:
            await self._app(scope, receive, send)


def to_the_end(send: ASGISendCallable) -> ASGISendCallable:
    """The same `send`, whose last message is not cancelled half-way."""

    async def sent(message: ASGISendEvent) -> None:
        if message["type"] == "http.response.body" and not message["more_body"]:
            with trio.move_on_after(LAST_STEP, shield=True):
                await send(message)
        else:
            await send(message)

    return sent


async def answer(send: Any, kind: str, status: int, refused: Refused) -> None:
    body = msgspec.json.encode(error_of(refused))
    fields = {**HEADERS, "Content-Type": "application/json", "Content-Length": str(len(body))}
    headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body, "more_body": False})
