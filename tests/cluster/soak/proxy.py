"""A proxy between a node and a server that fails like a network: in one direction or both, silently or with a reset.

Data held back while a direction is broken is delivered when it is repaired, as retransmitted packets are, even if the
sender has given up.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

LOST = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


@dataclass
class Gate:
    """One direction of a connection."""

    opened: trio.Event = field(default_factory=trio.Event)

    def __post_init__(self) -> None:
        self.opened.set()

    def close(self) -> None:
        if self.opened.is_set():
            self.opened = trio.Event()

    def open(self) -> None:
        self.opened.set()


class Proxy:
    """Listens on a port and forwards to a Unix socket."""

    def __init__(self, target: Path) -> None:
        self.port = 0
        self._target = target
        self._out, self._back = Gate(), Gate()

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = int(listener.socket.getsockname()[1])
        task_status.started()
        await trio.serve_listeners(self._serve, [listener])

    async def _serve(self, here: trio.SocketStream) -> None:
        try:
            async with here:
                await self._out.opened.wait()
                there = await trio.open_unix_socket(self._target)
                async with there, trio.open_nursery() as nursery:
                    nursery.start_soon(pump, here, there, self._out)
                    nursery.start_soon(pump, there, here, self._back)
        except* LOST:
            pass

    @contextmanager
    def broken(self, *, out: bool = True, back: bool = True) -> Iterator[None]:
        """Hold back all data silently."""
        gates = [gate for gate, meant in ((self._out, out), (self._back, back)) if meant]
        for gate in gates:
            gate.close()
        try:
            yield
        finally:
            for gate in gates:
                gate.open()


async def pump(source: trio.SocketStream, sink: trio.SocketStream, gate: Gate) -> None:
    """Forward one direction until its end, the end of the stream included."""
    while True:
        try:
            data = await source.receive_some(65536)
        except LOST:
            data = b""
        await gate.opened.wait()
        if not data:
            break
        await sink.send_all(data)
    await trio.aclose_forcefully(sink)


@asynccontextmanager
async def proxy_to(target: Path) -> AsyncIterator[Proxy]:
    made = Proxy(target)
    async with trio.open_nursery() as nursery:
        await nursery.start(made.run)
        yield made
        nursery.cancel_scope.cancel()
