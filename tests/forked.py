"""`chatd COMMAND` as a process, forked from one that has imported the modules of the daemon.

A command is a real process with its own environment, folder, streams and exit code; only the imports, nine tenths of its
CPU time, are shared. Tests of the start of an interpreter (encodings, closed streams) start one instead:
tests/cli/test_output.py.
"""

import gc
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

# For the children. Not chatd.cli, which inspects the terminal at import.
import typer.main

import chatd.client
import chatd.daemon

assert chatd.client
assert chatd.daemon
assert typer.main
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])
TIMEOUT_S = 60.0


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
    gc.freeze()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, path in ((1, out), (2, err)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.argv = ["chatd", *arguments]
    from chatd.cli.main import main

    main()
