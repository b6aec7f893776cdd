"""A Postgres of the distribution, as an operator has it: another version and another locale than the embedded one."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pytest
import trio

from chatd.db.embedded.account import account_for, give
from chatd.db.embedded.postgres import CREATE
from chatd.db.embedded.process import POLL_S, end, launch, log_tail, run_tool

INSTALLS = Path("/usr/lib/postgresql")
START_TIMEOUT_S = 60


def programs() -> Path:
    """The folder of initdb and postgres: of the oldest version installed. In CI a missing Postgres fails the test."""
    found = sorted(INSTALLS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        missing = "there is no Postgres of the distribution: apt-get install postgresql"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return found[0].parent


class SystemPostgres:
    """One cluster in `folder`, whose parents all accounts may search. `locale`: options of initdb."""

    def __init__(self, folder: Path, programs: Path, settings: dict[str, str], locale: Sequence[str]) -> None:
        self.folder, self.log = folder, folder.with_name(folder.name + ".log")
        self._programs = programs
        self._settings = {"listen_addresses": "", "unix_socket_directories": str(folder)} | settings
        self._locale = locale

    @property
    def dsn(self) -> str:
        return f"postgresql://chatd@/chatd?host={quote(str(self.folder), safe='')}"

    async def start(self) -> None:
        account = account_for(self.folder)
        self.folder.mkdir(mode=0o700)
        if account is not None:
            give(self.folder, account)
        data = ["-D", str(self.folder)]
        initdb = [
            str(self._programs / "initdb"),
            *data,
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "-A",
            "trust",
            "-N",
            *self._locale,
        ]
        await run_tool(initdb, self.folder, account)
        server = str(self._programs / "postgres")
        await run_tool(
            [server, "--single", *data, "-c", "exit_on_error=on", "postgres"], self.folder, account, "\n".join(CREATE)
        )
        options = [text for key, value in self._settings.items() for text in ("-c", f"{key}={value}")]
        process = launch([server, *data, *options], self.folder, self.log, account)
        with trio.move_on_after(START_TIMEOUT_S):
            while process.poll() is None:
                if re.search(r"^ready *$", self._pid_file(), re.MULTILINE):
                    return
                await trio.sleep(POLL_S)
        pytest.fail(f"Postgres does not start: {log_tail(self.log)}")

    async def stop(self, mode: str = "immediate") -> None:
        pid = self._pid_file().partition("\n")[0]
        if pid:
            await end(int(pid), {"fast": 2, "immediate": 3}[mode])

    def _pid_file(self) -> str:
        path = self.folder / "postmaster.pid"
        return path.read_text() if path.exists() else ""
