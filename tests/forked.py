"""`chatd COMMAND` as a process, forked from one that has imported the modules of the daemon.

A command is a real process with its own environment, folder, streams and exit code; only the imports, nine tenths of
its CPU time, are shared. Tests of the start of an interpreter (encodings, closed streams) start one instead:
tests/cli/test_output.py.
"""

import gc
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

import trio

# For the children. Not chatd.cli, which inspects the terminal at import.
import typer.main

import chatd.client
import chatd.daemon
from chatd.app.addresses import Addresses
from chatd.core.config import Config

assert chatd.client
assert chatd.daemon
assert typer.main
CONTEXT = multiprocessing.get_context("forkserver")
# The other two are imported by each command when it reads its arguments.
CONTEXT.set_forkserver_preload([__name__, "pydantic.type_adapter", "typer._adapters"])
TIMEOUT_S = 60.0


class Forked:
    """A running command, with the methods of `subprocess.Popen`.

    `stdout` is a pipe; `log` collects its standard error.
    """

    def __init__(self, arguments: tuple[str, ...], environment: Mapping[str, str], log: Path) -> None:
        reading, writing = CONTEXT.Pipe(duplex=False)
        self._process = CONTEXT.Process(target=serve, args=(arguments, Path.cwd(), dict(environment), writing, log))
        self._process.start()
        writing.close()
        self.stdout = open(os.dup(reading.fileno()), "rb")  # noqa: SIM115
        reading.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int:
        self._process.join()
        self.stdout.close()
        assert self._process.exitcode is not None
        return self._process.exitcode


@contextmanager
def forked_daemon(config: Config) -> Iterator[Addresses]:
    """The addresses of a daemon in a process of its own, killed at the end."""
    receiving, sending = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=run_daemon, args=(config, sending), daemon=True)
    process.start()
    sending.close()
    assert receiving.poll(TIMEOUT_S)
    try:
        yield receiving.recv()
    finally:
        process.kill()
        process.join()


def run_daemon(config: Config, ready: Connection) -> None:
    """Run in the child."""
    gc.freeze()
    trio.run(partial(chatd.daemon.run, config, ready=ready.send))


def run_chatd(arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> "CompletedProcess[str]":
    """Run a command to its end, in this folder and with exactly this environment."""
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place, "out"), Path(place, "err")
        process = CONTEXT.Process(target=run, args=(arguments, folder, dict(environment), out, err))
        process.start()
        process.join(TIMEOUT_S)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutExpired(arguments, TIMEOUT_S, out.read_text(), err.read_text())
        return CompletedProcess(arguments, process.exitcode, out.read_text(), err.read_text())


def run(arguments: tuple[str, ...], folder: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    """Run in the child."""
    redirect(1, out)
    redirect(2, err)
    enter(arguments, folder, environment)


def serve(arguments: tuple[str, ...], folder: Path, environment: dict[str, str], out: Connection, log: Path) -> None:
    """Run in the child, in a session of its own."""
    os.setsid()
    os.dup2(out.fileno(), 1)
    out.close()
    redirect(2, log)
    enter(arguments, folder, environment)


def redirect(number: int, path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, number)
    os.close(descriptor)


def enter(arguments: tuple[str, ...], folder: Path, environment: dict[str, str]) -> None:
    gc.freeze()
    # The tests may run below `nohup`, or in the background of a script, which ignores these signals for its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # Those of the first process remember what kind of file they had.
    sys.stdout, sys.stderr = (open(number, "w", 1, encoding="utf8", closefd=False) for number in (1, 2))  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["chatd", *arguments]
    from chatd.cli.main import main

    main()
