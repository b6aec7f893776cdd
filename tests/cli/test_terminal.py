"""`chatd chat` on a real terminal: the typed line stays intact while lines arrive."""

import fcntl
import os
import re
import signal
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from select import select

import pytest
import trio

from chatd.cli.line_editor import EndOfInput, LineEditor, fitting
from tests.cli.processes import Interpreter, Process
from tests.cli.test_chat import chat
from tests.cli.test_chat import terminal as pipe
from tests.forked import CONTEXT
from tests.support import PATIENCE, Daemon, shared

daemon = shared

COLUMNS = 40
Start = Callable[[tuple[str, ...], dict[str, str], tuple[int, int, int]], Process | Interpreter]
# Of no matter here.
STYLES = re.compile(rb"\x1b\[[0-9;]*m")


class Screen:
    """A terminal with a process: `type` keys, `sees` waits until a text was written.

    The caller waits for `process`.
    """

    def __init__(self, master: int, slave: int, process: Process | Interpreter) -> None:
        self.master, self.slave, self.process = master, slave, process
        self.written = b""

    def type(self, keys: str | bytes) -> None:
        os.write(self.master, keys.encode() if isinstance(keys, str) else keys)

    async def sees(self, text: str) -> None:
        """Text from here on."""
        with trio.move_on_after(3 * PATIENCE):
            while text.encode() not in self.written:
                await trio.lowlevel.wait_readable(self.master)
                self.written = STYLES.sub(b"", self.written + os.read(self.master, 65536))
        assert text.encode() in self.written
        self.written = self.written.partition(text.encode())[2]

    async def ends(self) -> int:
        with trio.fail_after(3 * PATIENCE):
            while self.process.poll() is None:
                with trio.move_on_after(0.05):
                    await trio.lowlevel.wait_readable(self.master)
                    self.written += os.read(self.master, 65536)
        while select([self.master], [], [], 0)[0]:
            self.written += os.read(self.master, 65536)
        return self.process.returncode

    async def stops(self) -> None:
        """Wait until the process is stopped."""
        state = Path(f"/proc/{self.process.pid}/stat")
        with trio.fail_after(3 * PATIENCE):
            while state.read_text().rpartition(")")[2].split()[0] != "T":
                await trio.sleep(0.02)

    async def forget(self) -> None:
        """Drop what was written so far."""
        with trio.move_on_after(0.1):
            while True:
                await trio.lowlevel.wait_readable(self.master)
                os.read(self.master, 65536)
        self.written = b""

    def modes(self) -> list[object]:
        return termios.tcgetattr(self.slave)


@asynccontextmanager
async def screen(arguments: tuple[str, ...], home: Path, start: Start = Process, **more: str) -> AsyncIterator[Screen]:
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (24, COLUMNS))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment |= {"XDG_STATE_HOME": str(home), "TERM": "xterm", "NO_COLOR": "1"} | more
    process = start(arguments, environment, (slave, slave, slave))
    try:
        yield Screen(master, slave, process)
    finally:
        process.end()
        os.close(master)
        os.close(slave)


async def test_typed_line_is_redrawn_below_new_lines(daemon: Daemon, tmp_path: Path) -> None:
    async with screen(chat(daemon, "--as", "alice"), tmp_path) as alice:
        before = alice.modes()
        await alice.sees("> ")
        async with pipe(daemon, tmp_path, "--as", "bob", "--to", "alice") as bob:
            await bob.sees("Chat with")
            await alice.sees("Chat with")
            alice.type("h\u00e9llo 日本")
            await alice.sees("> h\u00e9llo 日本")
            await bob.type("an arriving line")
            await alice.sees("\r\x1b[Kbob: an arriving line\r\n\r\x1b[K> h\u00e9llo 日本")
            alice.type("\x7f語 👍\x1b[D\x1b[D!\r")
            await bob.sees("alice: h\u00e9llo 日語! 👍")
            # Half a character, then the other half; bytes that are no UTF-8; keys that mean nothing.
            alice.type(b"\xe2\x82")
            alice.type(b"\xac \xff\x1b[15~\x1bx\r")
            await bob.sees("alice: € \ufffd")
            await bob.type("/group crew alice")
            await bob.type("in the group")
            await alice.sees("[crew] bob: in the group")
            alice.type("/to crew\r")
            await alice.sees("Chat with")
            alice.type("to the group\r")
            await bob.sees("alice: to the group")
            await bob.type("/group crew alice")
            await bob.type("/group bob alice")
            await bob.type("in the last group")
            await alice.sees("in the last group")
            alice.type("/to crew\r")
            await alice.sees("several groups are named crew")
            alice.type("/to bob\r")
            await alice.sees("bob is both a user and a group")
        alice.type("\x04")
        assert (await alice.ends(), alice.modes()) == (0, before)


async def test_terminal_is_restored_at_the_end(daemon: Daemon, tmp_path: Path) -> None:
    crash = partial(Process, crash=True)
    for start, keys, code in ((Process, "text\x03", 0), (Process, "/quit\r", 0), (crash, "text\r", 1)):
        async with screen(chat(daemon), tmp_path, start) as person:
            before = person.modes()
            await person.sees("> ")
            assert person.modes() != before
            person.type(keys)
            assert await person.ends() == code
            assert (b"Traceback" in person.written) == (code == 1)
            assert person.modes() == before


class Discarding(trio.abc.Instrument):
    """Types text, and discards it once it is reported as readable: as a terminal does for Ctrl-C and Ctrl-Z."""

    def __init__(self, master: int, slave: int) -> None:
        self.master, self.slave, self.left = master, slave, 20

    def before_io_wait(self, timeout: float) -> None:
        if self.left:
            os.write(self.master, b"text")

    def after_io_wait(self, timeout: float) -> None:
        if self.left:
            termios.tcflush(self.slave, termios.TCIFLUSH)
            self.left -= 1


def edit_discarded_text() -> None:
    """Run in a child, on a terminal of its own."""
    os.setsid()
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    sys.stdout = open(slave, "w", encoding="utf8")  # noqa: SIM115

    async def edit() -> None:
        editor = LineEditor(slave)
        editor.take_terminal()
        trio.lowlevel.add_instrument(Discarding(master, slave))
        with trio.move_on_after(0.5):
            async for _ in editor.lines():
                raise AssertionError

    trio.run(edit)


def test_the_editor_does_not_wait_for_discarded_text() -> None:
    process = CONTEXT.Process(target=edit_discarded_text)
    process.start()
    process.join(PATIENCE)
    code = process.exitcode
    process.kill()
    process.join()
    assert code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_the_terminal_is_restored_after_a_signal(daemon: Daemon, tmp_path: Path, number: int) -> None:
    async with screen(chat(daemon), tmp_path) as person:
        before = person.modes()
        await person.sees("> ")
        person.type("half a line")
        await person.sees("half a line")
        person.process.send_signal(number)
        assert (await person.ends(), person.modes()) == (-number, before)


@pytest.mark.parametrize("by_key", [True, False], ids=["ctrl-z", "kill"])
async def test_terminal_is_restored_while_the_program_is_stopped(daemon: Daemon, tmp_path: Path, by_key: bool) -> None:
    async with screen(chat(daemon), tmp_path) as person:
        before = person.modes()
        await person.sees("> ")
        typing = person.modes()
        for _ in range(2):
            person.type("half")
            await person.sees("half")
            if by_key:
                person.type("\x1a")
            else:
                person.process.send_signal(signal.SIGTSTP)
            await person.stops()
            await person.forget()
            assert person.modes() == before
            # As a shell does, which has its own modes in between.
            termios.tcsetattr(person.slave, termios.TCSANOW, before)
            person.process.send_signal(signal.SIGCONT)
            await person.sees("\r\x1b[K> half")
            assert person.modes() == typing
            person.type("\x15")
        person.type("/quit\r")
        assert (await person.ends(), person.modes()) == (0, before)


async def test_terminal_without_utf8_is_supported(daemon: Daemon, tmp_path: Path) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    async with screen(chat(daemon), tmp_path, Interpreter, **ascii_only) as person:
        await person.sees("> ")
        person.type("h\u00e9")
        await person.sees("> h\\xe9")
        person.process.send_signal(signal.SIGINT)
        await person.ends()


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("one two\x17\x17three", "three"),
        ("one two \x17x", "one x"),
        ("gone\x15kept", "kept"),
        ("ab\x01\x04c", "cb"),
        ("ab\x02\x0bc", "ac"),
        ("ab\x1bOD\x7fc\x1b[Fd", "cbd"),
        ("\x7f\x1b[D\x1b[C\x1b[3~a", "a"),
        ("a\x00\x1b[200~b", "ab"),
    ],
)
def test_keys_edit_the_line(keys: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    whole = LineEditor(0)
    assert list(whole.feed(keys.encode() + b"\r")) == [line]
    one_by_one = LineEditor(0)
    assert [entered for byte in (keys + "\r").encode() for entered in one_by_one.feed(bytes([byte]))] == [line]
    with pytest.raises(EndOfInput):
        list(whole.feed(b"\x04"))


def test_long_line_takes_one_row(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    editor = LineEditor(0)
    list(editor.feed("日本語中国x".encode()))
    editor.draw()
    assert capsys.readouterr().out == "\r\x1b[K> 語中国x"
    list(editor.feed(b"\x01"))
    editor.draw()
    assert capsys.readouterr().out == "\r\x1b[K> 日本語\x1b[6D"
    assert (fitting("日a", 1), fitting("e\u0301a", 1)) == ("", "e\u0301")
