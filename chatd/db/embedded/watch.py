"""Restart an embedded server that has ended: killed, or because its disk was full."""

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import trio

from chatd.core.health import Condition, keep
from chatd.db.embedded.folder_lock import EmbeddedError

CHECK_S = 1.0
# Time between two attempts to start it, doubled after each failure.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
LAST_BYTES = 2000


class Server(Protocol):
    """A server and its data folder."""

    log: Path

    @property
    def socket(self) -> Path: ...

    async def start(self) -> None: ...


@asynccontextmanager
async def kept_running(name: str, server: Server) -> AsyncIterator[None]:
    """Restart the server when it has ended, within the block. The caller stops it afterwards."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep, Condition(f"watch of the {name}"), watch, Condition(name), server)
        yield
        nursery.cancel_scope.cancel()


async def watch(condition: Condition, server: Server) -> None:
    """Check repeatedly whether the server listens, and start it if it does not."""
    pause_s = FIRST_PAUSE_S
    while True:
        await trio.sleep(CHECK_S)
        if listens(server.socket):
            continue
        if not condition.failing:
            condition.fail(f"it exited and is restarted: {last_line(server.log)}")
        try:
            await server.start()
        except (EmbeddedError, OSError) as error:
            condition.fail(error)
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        else:
            condition.recover()
            pause_s = FIRST_PAUSE_S


def listens(path: Path) -> bool:
    """Whether a process listens on the socket, even if its queue is full."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.setblocking(False)
        try:
            peer.connect(str(path))
        except OSError as error:
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    return True


def last_line(path: Path) -> str:
    """The last line of a log that reports a failure, else the last line; "" if the log is empty."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LAST_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    written = [line.strip() for line in reversed(lines) if line.strip()]
    return next((line for line in written if "PANIC" in line or "FATAL" in line), written[0] if written else "")
