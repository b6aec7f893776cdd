"""A daemon in its own process, which can be killed."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from trio_websocket import ConnectionClosed, open_websocket_url

from chatd.client import Account
from chatd.db.embedded import postgres as embedded_postgres
from chatd.db.embedded import redis as embedded_redis
from chatd.db.embedded.sockets import listener
from tests.forked import Forked
from tests.prepared import prepare_postgres
from tests.reply import Link

SECRET = "0123456789abcdef0123456789abcdef"
START_TIMEOUT = 60.0
LIMITS = {
    "CHATD_LIMITS__COMMANDS_PER_SECOND": "1000000",
    "CHATD_LIMITS__COMMANDS_BURST": "1000000",
    "CHATD_LIMITS__USER_COMMANDS_PER_SECOND": "1000000",
    "CHATD_LIMITS__USER_COMMANDS_BURST": "1000000",
    "CHATD_LIMITS__CONNECTIONS_PER_ADDRESS": "10000",
    "CHATD_LIMITS__PENDING_PER_ADDRESS": "1000",
    "CHATD_LIMITS__ACCEPTS_PER_ADDRESS": "1000",
    "CHATD_LIMITS__SIGNUPS_PER_MINUTE": "100000",
}


class Process:
    """`chatd serve` with embedded servers in `folder`, on the same ports at each start.

    `initdb`: whether it creates the data folder of Postgres; else it finds a copy of one with the schema.
    """

    def __init__(self, folder: Path, *arguments: str, initdb: bool = False, **environment: str) -> None:
        self.folder = folder
        self._arguments = arguments
        self._initdb = initdb
        self.socket = self.http = ""
        self._environment = environment
        self._process: subprocess.Popen[bytes] | Forked | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    async def start(self) -> None:
        await self.launch()
        await self.read_addresses()

    async def launch(self) -> None:
        """Start the process, without waiting until it is ready."""
        ports = [self.socket.split(":")[2].split("/")[0], self.http.split(":")[2]] if self.http else ["0", "0"]
        environment = {
            "CHATD_DATA__DIR": str(self.folder / "data"),
            "CHATD_AUTH__SECRET": SECRET,
            "CHATD_DATA__SECRET": SECRET,
            "CHATD_GATEWAY__PORT": ports[0],
            "CHATD_HTTP__PORT": ports[1],
            "CHATD_DRAIN__NOTICE": "0",
            **LIMITS,
            **self._environment,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._initdb and "CHATD_POSTGRES__DSN" not in environment:
            await prepare_postgres(self.folder / "data" / "postgres")
        self._process = launch(self._arguments, os.environ | environment, self.folder / "log")

    async def read_addresses(self) -> None:
        """Wait until it is ready."""
        assert self._process is not None
        assert self._process.stdout is not None
        with trio.fail_after(START_TIMEOUT):
            line = (await trio.to_thread.run_sync(self._process.stdout.readline, abandon_on_cancel=True)).decode()
        assert line.startswith("chatd is ready: "), self.log
        self.socket, self.http = line.removeprefix("chatd is ready: ").split()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def wait(self) -> int:
        """Wait for the exit, and return its code."""
        assert self._process is not None
        with trio.fail_after(START_TIMEOUT):
            return await trio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.wait()

    async def end(self) -> None:
        """Stop it in any state, and leave no server behind."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGTERM)
            self.signal(signal.SIGTERM)
            await self.wait()
        end_servers(self.folder / "data")

    async def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return await self.wait()


def launch(arguments: tuple[str, ...], environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes] | Forked":
    """Start `chatd serve`: with an interpreter of its own only where the start is changed."""
    if "LD_PRELOAD" not in environment:
        return Forked(("serve", *arguments), environment, log)
    command = [sys.executable, "-m", "chatd", "serve", *arguments]
    with log.open("ab") as stderr:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=environment, start_new_session=True)


def end_servers(data: Path) -> None:
    """Stop the embedded servers that a killed daemon left behind."""
    redis, postgres = embedded_redis.Server(data / "redis"), embedded_postgres.Server(data / "postgres", {})
    # SIGQUIT is the immediate shutdown of Postgres.
    for path, number in ((redis.socket, signal.SIGKILL), (postgres.socket, signal.SIGQUIT)):
        pid = listener(path)
        if pid is not None:
            os.kill(pid, number)


@asynccontextmanager
async def process(folder: Path, *arguments: str, initdb: bool = False, **environment: str) -> AsyncIterator[Process]:
    """A running daemon; stopped at the end with its servers."""
    daemon = Process(folder, *arguments, initdb=initdb, **environment)
    try:
        await daemon.start()
        yield daemon
    finally:
        with trio.CancelScope(shield=True):
            await daemon.end()


@asynccontextmanager
async def linked(daemon: Process, account: Account, codec: str = "json") -> AsyncIterator[Link]:
    """A connection for commands; events are ignored."""
    headers = [(b"Authorization", b"Bearer " + account.access_token.encode())]
    async with open_websocket_url(
        daemon.socket, subprotocols=[f"chatd.v1.{codec}"], extra_headers=headers
    ) as connection:
        link = Link(connection)
        await link.receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, link)
            yield link
            nursery.cancel_scope.cancel()


async def listen(link: Link) -> None:
    try:
        await link.run(lambda event: None, lambda command, reply: None)
    except ConnectionClosed:
        return
