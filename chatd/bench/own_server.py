"""A server of its own for a load test: `chatd serve` in a temporary folder, with raised limits."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chatd.bench.processes import stop

STOP_TIMEOUT_S = 20.0
# One address and few users cause all the load. The limits of the gateway's queues are not changed.
RAISED_LIMITS = {
    "COMMANDS_PER_SECOND": 1e9,
    "COMMANDS_BURST": 10**9,
    "USER_COMMANDS_PER_SECOND": 1e9,
    "USER_COMMANDS_BURST": 10**9,
    "CONNECTIONS_PER_ADDRESS": 10**6,
    "PENDING_PER_ADDRESS": 10**6,
    "PENDING_HANDSHAKES": 10**6,
    "ACCEPTS_PER_SECOND": 10**6,
    "ACCEPTS_PER_ADDRESS": 10**6,
}


class NoServer(Exception):
    """The server did not start; the text contains its output."""


@dataclass(frozen=True)
class OwnServer:
    url: str
    pid: int
    postmaster: int


@contextmanager
def own_server(secret: str, *, raises_limits: bool) -> Iterator[OwnServer]:
    """Run a server whose tokens are signed with `secret`. Raises NoServer."""
    folder = Path(tempfile.mkdtemp(prefix="chatd-bench-"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHATD_")}
    if raises_limits:
        environment |= {f"CHATD_LIMITS__{name}": str(value) for name, value in RAISED_LIMITS.items()}
    environment |= {"CHATD_AUTH__SECRET": secret, "CHATD_DATA__SECRET": secret, "CHATD_DATA__DIR": str(folder / "data")}
    environment |= {"CHATD_GATEWAY__PORT": "0", "CHATD_HTTP__PORT": "0", "CHATD_LOG__LEVEL": "warning"}
    try:
        with (folder / "log").open("wb") as log:
            # A new session: ^C reaches only the load generator, which then stops the server. If the load generator is
            # killed, its end of standard input is closed, and the server stops by itself.
            process = subprocess.Popen(
                [sys.executable, "-m", "chatd", "serve", "--supervised"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                cwd=folder,
                start_new_session=True,
            )
        try:
            yield started(process, folder)
        finally:
            stop(process, STOP_TIMEOUT_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def started(process: "subprocess.Popen[bytes]", folder: Path) -> OwnServer:
    """Wait until the server is ready."""
    assert process.stdout is not None
    words = process.stdout.readline().decode().split()
    if len(words) < 2:
        raise NoServer(f"the server did not start: {(folder / 'log').read_text(errors='replace')[-2000:].strip()}")
    postmaster = int((folder / "data" / "postgres" / "postmaster.pid").read_text().split()[0])
    return OwnServer(words[-2], process.pid, postmaster)
