"""The server that a load test starts for itself."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

SCRIPT = """
import time
from chatd.bench.own_server import own_server
with own_server("0123456789abcdef" * 2, raises_limits=True) as server:
    print(server.pid, server.postmaster, flush=True)
    time.sleep(1000)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not `tmp_path`: the embedded Postgres of root is another user, who has to reach it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


async def test_the_server_ends_with_the_load_generator(folder: Path) -> None:
    environment = os.environ | {"TMPDIR": str(folder)}
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in (await trio.to_thread.run_sync(process.stdout.readline)).split()]
        assert len(pids) == 2
        process.send_signal(signal.SIGKILL)
    with trio.fail_after(30):
        while any(is_running(pid) for pid in pids):
            await trio.sleep(0.1)


def is_running(pid: int) -> bool:
    """Whether the process exists, and is not only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
