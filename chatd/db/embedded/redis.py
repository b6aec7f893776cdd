"""The embedded Redis (or Valkey): one process, a socket in its own folder, an append-only file.

Its only user is permitted the commands that chatd uses, which do not include scripts. A test compares them with the
source.
"""

import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from subprocess import Popen
from urllib.parse import quote

import trio

from chatd.core import log
from chatd.db.embedded.account import NOBODY, ROOT, Account, account_for, give
from chatd.db.embedded.files import read, write
from chatd.db.embedded.folder_lock import EmbeddedError
from chatd.db.embedded.process import POLL_S, end, ended_on_failure, launch, log_tail
from chatd.db.embedded.redis_servers import Program, choose
from chatd.db.embedded.sockets import listener, make_socket_folder, socket_folder
from chatd.db.embedded.watch import kept_running
from chatd.db.releases import parse_version

LOG = log.get(__name__)
START_TIMEOUT_S = 60.0
PING_TIMEOUT_S = 1.0
MAX_REPLY_BYTES = 256
SOCKET = "redis.sock"
# The streams hold up to 128 MiB; presence takes about 100 bytes for each user who is connected.
MAX_MEMORY_BYTES = 512 * 1024 * 1024
# The file with the kind and version of the server that wrote the data.
WRITER = "server-version"
COMMANDS = (
    *("ping", "info", "time", "select", "watch", "unwatch", "multi", "exec"),
    *("get", "getdel", "set", "mget", "incrby", "del", "expire", "pexpire", "rename"),
    *("hdel", "hmget", "hscan", "hset", "lpop", "ltrim", "rpush"),
    *("zadd", "zrange", "zrangebyscore", "zrem", "zremrangebyscore", "zscore"),
    *("xadd", "xrange", "xread", "xrevrange", "xtrim"),
)


@asynccontextmanager
async def embedded_redis(data: Path) -> AsyncIterator[str]:
    """A running server on `data`/redis; yields its url. Stops it at the end."""
    server = Server(data / "redis")
    await server.start()
    try:
        async with kept_running("embedded Redis", server):
            yield server.url
    finally:
        with trio.CancelScope(shield=True):
            await server.stop()


class Server:
    """A server and its data folder. Its log is beside the folder."""

    def __init__(self, folder: Path, commands: str = "") -> None:
        """A server on `folder`. `commands`: rules of an ACL that replace the default, the commands that chatd uses."""
        self.folder = folder.absolute()
        self.log = self.folder.with_name(self.folder.name + ".log")
        self._commands = commands or f"-@all {' '.join(f'+{command}' for command in COMMANDS)}"

    @property
    def socket(self) -> Path:
        return socket_folder(self.folder, SOCKET) / SOCKET

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}"

    def running(self) -> bool:
        return listener(self.socket) is not None

    async def start(self) -> None:
        """Start the server unless it runs, and wait until it executes commands. Raises EmbeddedError."""
        account = account_for(self.folder)
        if self._is_foreign(account):
            await self.stop()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        if account is not None and self.folder.lstat().st_uid in (ROOT, NOBODY):
            give(self.folder, account)
        async with AsyncExitStack() as stack:
            process = None if self.running() else self._launch(account)
            if process is not None:
                await stack.enter_async_context(ended_on_failure(process, signal.SIGTERM))
            with trio.move_on_after(START_TIMEOUT_S):
                while process is None or process.poll() is None:
                    if await self._is_ready():
                        return
                    await trio.sleep(POLL_S)
            raise EmbeddedError(f"the embedded Redis does not start: {log_tail(self.log)}")

    async def stop(self) -> None:
        """Stop the server, and wait until its process has ended."""
        pid = listener(self.socket)
        if pid is not None:
            await end(pid, signal.SIGTERM)

    async def _is_ready(self) -> bool:
        """Whether it executes commands: it listens before its file is loaded, and refuses commands until then."""
        if not self.running():
            return False
        with suppress(OSError, trio.BrokenResourceError), trio.move_on_after(PING_TIMEOUT_S):
            async with await trio.open_unix_socket(self.socket) as stream:
                await stream.send_all(b"PING\r\n")
                return await stream.receive_some(MAX_REPLY_BYTES) == b"+PONG\r\n"
        return False

    def _is_foreign(self, account: Account | None) -> bool:
        """Whether the folder is that of an earlier version, where the server ran as root."""
        return account is not None and self.folder.exists() and self.folder.lstat().st_uid == ROOT

    def _launch(self, account: Account | None) -> "Popen[bytes]":
        program = choose(account)
        self._drop_unreadable(program, account)
        sockets = make_socket_folder(self.folder, SOCKET, account)
        options = {
            "port": "0",
            "unixsocket": SOCKET if sockets == self.folder else str(sockets / SOCKET),
            "unixsocketperm": "700",
            "appendonly": "yes",
            "save": "",
            # All keys are bounded. If a bound fails, a refused write is noticed; an evicted key is not.
            "maxmemory": str(MAX_MEMORY_BYTES),
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        arguments = [text for key, value in options.items() for text in (f"--{key}", value)]
        arguments += ["--user", "default", "on", "nopass", "~*", "&*", *self._commands.split()]
        return launch([str(program.path), *arguments], self.folder, self.log, account)

    def _drop_unreadable(self, program: Program, account: Account | None) -> None:
        """Delete files that this server cannot load. Nothing in the Redis of chatd has to be kept."""
        try:
            kind, _, version = read(self.folder / WRITER).strip().partition(" ")
        except OSError:
            kind = version = ""
        if kind and not program.reads_files_of(kind, parse_version(version)):
            LOG.warning(
                "the files of the embedded Redis were written by another server and are deleted",
                extra={"writer": f"{kind} {version}"},
            )
            for path in self.folder.glob("appendonly*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        write(self.folder, WRITER, f"{program.kind} {'.'.join(map(str, program.version))}\n", account)
