"""Several nodes in processes of their own, on one Postgres and one Redis, each behind proxies that can be broken."""

import json
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from trio_websocket import WebSocketConnection, connect_websocket_url

from tests.cluster.soak.proxy import Proxy, proxy_to
from tests.cluster.soak.servers import Servers, open_servers
from tests.faults.process import Process

SETTINGS = {
    "CHATD_GATEWAY__HEARTBEAT": "4",
    "CHATD_POSTGRES__TIMEOUT": "3",
    "CHATD_MESSAGE_LOG__DEADLINE": "3",
    "CHATD_MATCH__RELAX": "0.2",
    "CHATD_MATCH__RECENT": "0",
    "CHATD_MATCH__GRACE": "3",
    "CHATD_DRAIN__SPREAD": "1",
}
DIAL_TIMEOUT = 3.0
START_TIMEOUT = 60.0
# Seconds after which a drain of ten seconds has failed.
DRAINED = 15.0


class Node:
    """One `chatd serve`, which can be stopped and started again."""

    def __init__(self, process: Process, redis: Proxy, postgres: Proxy) -> None:
        self.process = process
        self.redis = redis
        self.postgres = postgres
        self.is_meant_to_run = True

    async def start(self) -> None:
        """Start the process again, as a supervisor does, until it runs."""
        with trio.fail_after(START_TIMEOUT):
            while True:
                try:
                    await self.process.start()
                    break
                except AssertionError:
                    await self.process.wait()
                    await trio.sleep(0.5)
        self.is_meant_to_run = True

    async def kill(self) -> None:
        self.is_meant_to_run = False
        await self.process.kill()

    async def drain(self) -> int | None:
        """Drain the node; return its exit code, or None if it did not exit in time."""
        self.is_meant_to_run = False
        self.process.signal(signal.SIGTERM)
        with trio.move_on_after(DRAINED):
            return await self.process.wait()
        await self.process.kill()
        return None

    def errors(self) -> list[str]:
        """The bugs that the node logged, each kind once."""
        lines = (json.loads(line) for line in self.process.log.splitlines() if line.startswith("{"))
        found = [line for line in lines if line["level"] in ("error", "critical")]
        kinds = {(line["message"], line.get("trace", "").rpartition("\n")[2]): line for line in found}
        return [f"logged as a bug: {line}" for line in kinds.values()]

    def problems(self) -> list[str]:
        """Bugs in the log, and an exit that was not ordered."""
        gone = self.process._process is None or self.process._process.poll() is not None
        return (["a node has ended by itself"] if gone and self.is_meant_to_run else []) + self.errors()


class Fleet:
    """The nodes and their servers; see `open_fleet`."""

    def __init__(self, servers: Servers, nodes: list[Node], rng: random.Random) -> None:
        self.servers = servers
        self.nodes = nodes
        self._rng = rng
        self._busy: set[Node] = set()

    @property
    def http(self) -> str:
        return self.nodes[0].process.http

    async def dial(self, nursery: trio.Nursery, url: str, **options: Any) -> WebSocketConnection:
        """Connect to a node as a load balancer does, to another node each time."""
        node = self._rng.choice(self.nodes)
        with trio.fail_after(DIAL_TIMEOUT):
            return await connect_websocket_url(nursery, node.process.socket, **options)

    def problems(self) -> list[str]:
        return [problem for node in self.nodes for problem in node.problems()]

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Node]:
        """Reserve a node for a fault; it runs before and after."""
        while len(self._busy) == len(self.nodes):
            await trio.sleep(0.1)
        node = self._rng.choice([node for node in self.nodes if node not in self._busy])
        self._busy.add(node)
        try:
            yield node
        finally:
            self._busy.discard(node)


@asynccontextmanager
async def open_fleet(
    folder: Path, count: int, rng: random.Random, settings: Callable[[Path], dict[str, str]] = lambda folder: {}
) -> AsyncIterator[Fleet]:
    """Start the nodes. `settings` are added to the configuration in this folder."""
    async with open_servers(folder) as servers, AsyncExitStack() as stack:
        folders = [folder / f"node{number}" for number in range(count)]
        nodes = [await stack.enter_async_context(open_node(one, servers, settings(one))) for one in folders]
        await nodes[0].start()
        async with trio.open_nursery() as nursery:
            for node in nodes[1:]:
                nursery.start_soon(node.start)
        yield Fleet(servers, nodes, rng)


@asynccontextmanager
async def open_node(folder: Path, servers: Servers, settings: dict[str, str]) -> AsyncIterator[Node]:
    """Create a node without starting it; kill it at the end."""
    folder.mkdir(exist_ok=True)
    async with proxy_to(servers.redis.socket) as redis, proxy_to(servers.postgres_socket) as postgres:
        environment = {
            "CHATD_REDIS__URL": f"redis://127.0.0.1:{redis.port}",
            "CHATD_POSTGRES__DSN": f"postgresql://chatd@127.0.0.1:{postgres.port}/chatd?sslmode=disable",
        }
        node = Node(Process(folder, **SETTINGS, **environment, **settings), redis, postgres)
        try:
            yield node
        finally:
            if node.process._process is not None and node.process._process.poll() is None:
                node.process.signal(signal.SIGKILL)
                node.process._process.wait()
