"""In front of Quart: requests that it would stumble over, and sockets, which are not served at this door."""

from typing import Any

import msgspec
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from chatd.errors import Refused
from chatd.wire.messages import error_of


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
        else:
            await self._app(scope, receive, send)


async def answer(send: Any, kind: str, status: int, refused: Refused) -> None:
    body = msgspec.json.encode(error_of(refused))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body, "more_body": False})
