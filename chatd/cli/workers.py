"""`chatd serve --workers N`: one process for each core, on the same two ports.

The kernel distributes the connections (SO_REUSEPORT). The workers are ordinary nodes, which communicate over the bus.
The supervisor runs the embedded servers, reserves the ports, and restarts workers that die. A worker whose supervisor
dies drains by itself: its standard input ends.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from logging import ERROR
from pathlib import Path

import trio

from chatd.accounts.settings import AuthSettings
from chatd.app.addresses import Addresses
from chatd.app.listening import bound
from chatd.core.config import Config
from chatd.core.health import Condition
from chatd.daemon import CannotServe, cancel_after
from chatd.db.embedded.select import open_servers, uses_embedded_postgres, uses_embedded_redis

# Seconds before a worker that died is started again, and that workers have beyond the time of their drain.
RESTART_S, GRACE_S = 1.0, 10.0
READY = b"chatd is ready: "
# One index process is enough for all workers.
ONLY_FIRST = {"CHATD_SEARCH__INDEXER": "off"}


class CannotStart(CannotServe):
    """A worker ended before it was ready."""


class Supervisor:
    """Starts, watches and stops the workers. `run` returns when all workers have ended."""

    def __init__(self, config: Config, path: Path | None, count: int, ready: Callable[[Addresses], None]) -> None:
        self._config = config
        self._path = path
        self._count = count
        self._ready = ready
        self._processes: dict[int, trio.Process] = {}
        self._addresses: Addresses | None = None
        self._leaving = False
        self._staying = count
        self._all_gone = trio.Event()

    async def run(self) -> None:
        with reserved(self._config) as ports:
            async with open_servers(self._config) as (dsn, url), trio.open_nursery() as nursery:
                try:
                    await self._start_all(nursery, environment_of(self._config, ports, dsn, url))
                    assert self._addresses is not None
                    self._ready(self._addresses)
                    await self._follow_signals()
                finally:
                    self._send(signal.SIGKILL)
                    nursery.cancel_scope.cancel()

    async def _start_all(self, nursery: trio.Nursery, environment: dict[str, str]) -> None:
        """Start the workers one after another: the first one applies the migrations."""
        for number in range(self._count):
            await nursery.start(self._keep, number, environment)

    async def _keep(
        self, number: int, environment: dict[str, str], task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Restart one worker until the supervisor stops."""
        condition = Condition(f"worker {number}")
        await self._launch(number, environment)
        task_status.started()
        while True:
            code = await self._processes[number].wait()
            if self._leaving or code == 0:
                self._note_gone()
                return
            condition.fail(f"it exited with code {code} and is restarted", level=ERROR)
            await trio.sleep(RESTART_S)
            if self._leaving:
                self._note_gone()
                return
            await self._launch_again(number, environment, condition)

    async def _launch_again(self, number: int, environment: dict[str, str], condition: Condition) -> None:
        """Start the worker. If that fails, `_keep` tries again."""
        try:
            await self._launch(number, environment)
        except (CannotStart, OSError) as error:
            condition.fail(error, level=ERROR)
            return
        condition.recover()
        if self._leaving:
            self._processes[number].send_signal(signal.SIGTERM)

    def _note_gone(self) -> None:
        """Note which workers have ended. A worker that ended successfully was stopped on purpose, and stays ended."""
        self._staying -= 1
        if not self._staying:
            self._all_gone.set()

    async def _launch(self, number: int, environment: dict[str, str]) -> None:
        config = ["--config", str(self._path)] if self._path else []
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "chatd", "serve", "--supervised", *config],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | environment | (ONLY_FIRST if number else {}),
            start_new_session=True,
        )
        self._processes[number] = process
        line = await first_line(process)
        if not line.startswith(READY):
            await process.wait()
            raise CannotStart(f"worker {number} did not start; see above")
        self._addresses = Addresses(*line.removeprefix(READY).decode().split())

    async def _follow_signals(self) -> None:
        """Pass on each signal: the first one drains, a second one stops at once.

        Returns when all workers have ended.
        """
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel_after, nursery.cancel_scope, self._all_gone.wait)
                nursery.start_soon(cancel_after, nursery.cancel_scope, signals.__anext__)
            self._leaving = True
            self._send(signal.SIGTERM)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hurry, signals)
                with trio.move_on_after(self._config.drain.notice + self._config.drain.timeout + GRACE_S):
                    for process in self._processes.values():
                        await process.wait()
                nursery.cancel_scope.cancel()

    async def _hurry(self, signals: AsyncIterator[int]) -> None:
        await anext(signals)
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        """Send a signal to all running workers."""
        for process in self._processes.values():
            if process.returncode is None:
                process.send_signal(number)


async def first_line(process: trio.Process) -> bytes:
    """The first line of a worker; "" if it ends before."""
    assert process.stdout is not None
    line = b""
    async for part in process.stdout:
        line += part
        if b"\n" in line:
            break
    return line.partition(b"\n")[0]


@contextmanager
def reserved(config: Config) -> Iterator[tuple[int, int]]:
    """Bind both ports to reserve them, without listening: only workers get connections. Raises OSError."""
    with (
        bound(config.gateway.host, config.gateway.port, reuse_port=True) as one,
        bound(config.http.host, config.http.port, reuse_port=True) as two,
    ):
        yield port_of(one), port_of(two)


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


def environment_of(config: Config, ports: tuple[int, int], dsn: str, url: str) -> dict[str, str]:
    """The environment of a worker: the values that it needs besides the configuration file."""
    found = {
        "CHATD_GATEWAY__PORT": str(ports[0]),
        "CHATD_HTTP__PORT": str(ports[1]),
        "CHATD_GATEWAY__REUSE_PORT": "true",
        "CHATD_GATEWAY__SINGLE_PORT": str(config.gateway.single_port).lower(),
        # They may have been made here, by the first start on this folder.
        "CHATD_AUTH__SECRET": config.get(AuthSettings).secret,
        "CHATD_DATA__SECRET": config.data.secret,
    }
    if uses_embedded_postgres(config):
        found["CHATD_POSTGRES__DSN"] = dsn
    if uses_embedded_redis(config):
        found["CHATD_REDIS__URL"] = url
    return found


async def end_with_supervisor() -> None:
    """Drain at the end of standard input: the supervisor has died."""
    descriptor = sys.stdin.fileno()
    ended = False
    while not ended:
        await trio.lowlevel.wait_readable(descriptor)
        ended = not os.read(descriptor, 100)
    os.kill(os.getpid(), signal.SIGTERM)
