"""Start and stop a server that outlives the daemon. No shell is involved."""

import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from chatd.db.embedded.account import Account
from chatd.db.embedded.folder_lock import EmbeddedError

POLL_S = 0.01
STOP_TIMEOUT_S = 60.0
# Servers do not get the environment of the daemon, which may contain secrets.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
MAX_LOG_TAIL_BYTES = 1500


def launch(command: Sequence[str], folder: Path, log: Path, account: Account | None) -> "subprocess.Popen[bytes]":
    """Start `command` in `folder`, as the leader of a session, writing to `log`. Raises EmbeddedError."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        return subprocess.Popen(  # noqa: S603
            command,
            cwd=folder,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            umask=0o077,
            **(account.options() if account else {}),
        )
    except OSError as error:
        raise EmbeddedError(f"{command[0]} cannot be started: {error}") from error
    finally:
        os.close(descriptor)


async def run_tool(command: Sequence[str], folder: Path, account: Account | None, text: str = "") -> None:
    """Run a tool of a server, with `text` as its input, and wait for its end. Raises EmbeddedError with its output."""
    try:
        done = await trio.run_process(
            command,
            stdin=text.encode(),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=folder,
            env=ENVIRONMENT,
            **(account.options() if account else {}),
        )
    except OSError as error:
        raise EmbeddedError(f"{command[0]} cannot be started: {error}") from error
    if done.returncode:
        output = (done.stdout + done.stderr).decode(errors="replace").strip()[-MAX_LOG_TAIL_BYTES:]
        raise EmbeddedError(f"{os.path.basename(command[0])} failed: {output or f'exit code {done.returncode}'}")


async def end(pid: int, number: int) -> None:
    """Send a signal, and wait until the process has ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    with trio.move_on_after(STOP_TIMEOUT_S):
        while not is_gone(pid):
            await trio.sleep(POLL_S)


@asynccontextmanager
async def ended_on_failure(process: "subprocess.Popen[bytes]", number: int) -> AsyncIterator[None]:
    """End the process of a server if the block fails: a start that is cancelled, or that takes too long."""
    try:
        yield
    except BaseException:
        with trio.CancelScope(shield=True):
            await end(process.pid, number)
        raise


def is_gone(pid: int) -> bool:
    """Whether a process has ended. A child of this process is reaped."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def log_tail(log: Path) -> str:
    """The end of the log of a server, for an error message."""
    try:
        text = log.read_text(errors="replace").strip()
    except OSError:
        return "its log is empty"
    return text[-MAX_LOG_TAIL_BYTES:] or "its log is empty"
