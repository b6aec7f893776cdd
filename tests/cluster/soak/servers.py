"""The Postgres and the Redis of one run, and the faults that can be injected into them."""

import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from chatd.db.embedded import postgres, redis
from tests.prepared import prepare_postgres

SMALL = {"shared_buffers": "64MB", "max_connections": "100"}


class Servers:
    """The two servers; see `open_servers`."""

    def __init__(self, folder: Path) -> None:
        self.postgres = postgres.Server(folder / "postgres", SMALL)
        self.redis = redis.Server(folder / "redis", "+@all")

    @property
    def postgres_socket(self) -> Path:
        return self.postgres.socket

    # --- Redis ----------------------------------------------------------------------------------------------------

    def ask_redis(self, command: str) -> str:
        """Send one command; return the first line of the reply."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(5)
            peer.connect(str(self.redis.socket))
            peer.sendall(command.encode() + b"\r\n")
            return peer.recv(65536).decode()

    async def kill_redis(self, *, forget: bool) -> None:
        """Kill Redis. With `forget` its data is lost at the restart."""
        pid = int(self.ask_redis("INFO server").partition("process_id:")[2].split()[0])
        os.kill(pid, signal.SIGKILL)
        while self.redis.running():
            await trio.sleep(0.02)
        if forget:
            for path in self.redis.folder.glob("appendonly*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    # --- Postgres -------------------------------------------------------------------------------------------------

    async def sql(self, statement: str) -> None:
        """Run a transaction in psql; failures are ignored."""
        tool = postgres.binaries() / "psql"
        command = [str(tool), "-c", statement, self.postgres.dsn]
        await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False, cwd="/")


@asynccontextmanager
async def open_servers(folder: Path) -> AsyncIterator[Servers]:
    servers = Servers(folder)
    await prepare_postgres(servers.postgres.folder)
    await servers.postgres.start()
    await servers.redis.start()
    try:
        yield servers
    finally:
        with trio.CancelScope(shield=True):
            await servers.postgres.stop("immediate")
            await servers.redis.stop()
