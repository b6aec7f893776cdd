"""A TCP connection to the daemon that can be cut, and that can stall."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import trio

from tests.support import Daemon


class Line:
    """A TCP connection to the daemon that can be cut."""

    def __init__(self, address: str) -> None:
        self._address = urlsplit(address)
        assert self._address.hostname
        assert self._address.port
        self._target = (self._address.hostname, self._address.port)
        self._scopes: set[trio.CancelScope] = set()
        self._flows = trio.Event()
        self._flows.set()
        self.url = ""

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        here = f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        self.url = self._address._replace(netloc=here).geturl()
        task_status.started()
        await trio.serve_listeners(self._carry, listeners)

    async def _carry(self, near: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            async with await trio.open_tcp_stream(*self._target) as far, trio.open_nursery() as nursery:
                far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                nursery.start_soon(self._pipe, near, far)
                await self._pipe(far, near)
                nursery.cancel_scope.cancel()

    async def _pipe(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        try:
            async for part in source:
                await self._flows.wait()
                await sink.send_all(part)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    def stall(self) -> None:
        """Forward no bytes and close nothing, until `flow` is called."""
        self._flows = trio.Event()

    def flow(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        for scope in self._scopes:
            scope.cancel()
        self._scopes.clear()


@asynccontextmanager
async def line_to(daemon: Daemon, address: str = "") -> AsyncIterator[Line]:
    """`address`: that of its gateway, or its HTTP address."""
    async with trio.open_nursery() as nursery:
        line = Line(address or daemon.addresses.socket)
        await nursery.start(line.serve)
        yield line
        nursery.cancel_scope.cancel()
