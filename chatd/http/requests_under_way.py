"""The application behind the server.

It can be replaced while connections are open, and all requests can be cancelled.
"""

from typing import Any

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from chatd.core.errors import Refused
from chatd.http.asgi_guard import answer

INTERRUPTED = Refused("timeout", "the server stopped before this request was finished; its outcome is unknown")


class RequestsUnderWay:
    """An ASGI application that passes each request to the current application."""

    def __init__(self, app: ASGIFramework) -> None:
        self.app = app
        self._scopes: set[trio.CancelScope] = set()

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        started = False

        async def sent(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        with trio.CancelScope() as request:
            self._scopes.add(request)
            try:
                await self.app(scope, receive, sent)
            finally:
                self._scopes.discard(request)
        if request.cancelled_caught and not started:
            await answer(send, "http.response", INTERRUPTED.row.status, INTERRUPTED)

    def end(self) -> None:
        """Cancel all requests. Those without a response get a 504."""
        for request in self._scopes:
            request.cancel()
