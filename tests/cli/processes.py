"""`chatd COMMAND` as processes on streams and terminals of a test, forked to share the imports (see tests/forked.py).

Tests of what an interpreter does at its start (encodings, closed streams, arguments) start one.
"""

import fcntl
import os
import subprocess
import sys
import termios
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from subprocess import CompletedProcess

from tests.forked import CONTEXT, enter

# An interpreter that runs several commands: each is forked after the imports, and keeps what the interpreter has made
# of its arguments and its environment.
INTERPRETER = """
import gc, os, sys
import chatd.daemon, rich.markdown, typer.main, typer._adapters
gc.freeze()
folder, *words = sys.argv[1:]
commands = [[]]
for word in words:
    commands.append([]) if word == "//" else commands[-1].append(word)
for number, arguments in enumerate(commands):
    if not (child := os.fork()):
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{folder}/{number}.{name}", os.O_CREAT | os.O_WRONLY), stream)
        sys.argv = ["chatd", *arguments]
        from chatd.cli.main import main
        try:
            main()
        except SystemExit as end:
            sys.stderr.flush()
            # At once: no need to take the modules apart.
            os._exit(end.code or 0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with open(f"{folder}/{number}.code", "w") as file:
        file.write(str(code))
"""


class Process:
    """A command whose standard streams are these descriptors, with methods of `subprocess.Popen`."""

    def __init__(
        self,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        descriptors: tuple[int, int, int],
        crash: bool = False,
    ) -> None:
        streams = [Connection(os.dup(number)) for number in descriptors]
        self._process = CONTEXT.Process(target=run, args=(arguments, dict(environment), Path.cwd(), streams, crash))
        self._process.start()
        for stream in streams:
            stream.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def end(self) -> None:
        """Kill it if it runs."""
        self._process.kill()
        self._process.join()


class Interpreter(subprocess.Popen[bytes]):
    """A command in a new interpreter, whose terminal these descriptors are."""

    def __init__(
        self, arguments: tuple[str, ...], environment: Mapping[str, str], descriptors: tuple[int, int, int]
    ) -> None:
        command = [sys.executable, "-m", "chatd", *arguments]
        control = (
            "import fcntl, os, signal, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
            f"signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv({command[0]!r}, {command!r})"
        )
        stdin, stdout, stderr = descriptors
        super().__init__(
            [sys.executable, "-c", control],
            stdin=stdin, stdout=stdout, stderr=stderr, env=environment, start_new_session=True,
        )  # fmt: skip

    def end(self) -> None:
        """Kill it if it runs."""
        self.kill()
        self.wait()


def run(
    arguments: tuple[str, ...], environment: dict[str, str], folder: Path, streams: list[Connection], crash: bool
) -> None:
    """Run in the child. With `crash`, a line that is entered in `chatd chat` raises an error."""
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    sys.stdin = open(0, encoding="utf8", closefd=False)  # noqa: SIM115
    if crash:
        os.environ.clear()
        os.environ.update(environment)
        from chatd.cli import chat

        chat.Terminal._read = None  # type: ignore[assignment,method-assign]
    enter(arguments, folder, environment)


def run_commands(
    commands: list[tuple[str, ...]], folder: Path, environment: Mapping[str, str]
) -> list["CompletedProcess[str]"]:
    """Run commands one after the other in an interpreter that starts with this environment."""
    words = [word for command in commands for word in ("//", *command)][1:]
    place = folder / "outputs"
    place.mkdir()
    subprocess.run(
        [sys.executable, "-c", INTERPRETER, str(place), *words], cwd=folder, env=environment, timeout=60, check=True
    )
    results = []
    for number, command in enumerate(commands):
        code, out, err = ((place / f"{number}.{name}").read_text() for name in ("code", "out", "err"))
        results.append(CompletedProcess(command, int(code), out, err))
    return results
