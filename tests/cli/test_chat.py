"""`chatd chat`, with two users at two terminals."""

import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from chatd.cli.identities import load_state, save_state, state_file
from tests.cli.processes import Process
from tests.forked import run_chatd
from tests.support import PATIENCE, Daemon, shared

daemon = shared


class Person:
    """A terminal: `type` a line, `sees` waits until a text is shown."""

    def __init__(self, stdin: trio.abc.SendStream, stdout: trio.abc.ReceiveStream) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self.shown = ""

    async def type(self, line: str) -> None:
        await self._stdin.send_all(line.encode() + b"\n")

    async def type_bytes(self, line: bytes) -> None:
        await self._stdin.send_all(line + b"\n")

    async def sees(self, text: str) -> str:
        with trio.fail_after(3 * PATIENCE):
            while text not in self.shown:
                self.shown += (await self._stdout.receive_some()).decode()
        return self.shown


def chat(daemon: Daemon, *arguments: str) -> tuple[str, ...]:
    return ("chat", "--http", daemon.addresses.http, *arguments)


def environment_of(home: Path) -> dict[str, str]:
    return os.environ | {"XDG_STATE_HOME": str(home), "COLUMNS": "200"}


@asynccontextmanager
async def terminal(daemon: Daemon, home: Path, *arguments: str) -> AsyncIterator[Person]:
    """`chatd chat` on pipes."""
    (typed, keyboard), (screen, shown) = os.pipe(), os.pipe()
    process = Process(chat(daemon, *arguments), environment_of(home), (typed, shown, 2))
    for descriptor in (typed, shown):
        os.close(descriptor)
    async with trio.lowlevel.FdStream(keyboard) as stdin, trio.lowlevel.FdStream(screen) as stdout:
        try:
            yield Person(stdin, stdout)
        finally:
            process.end()


@asynccontextmanager
async def interpreter(daemon: Daemon, home: Path, *arguments: str, **more: str) -> AsyncIterator[Person]:
    """The same in a new interpreter, which chooses its encodings and buffers."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "chatd", *chat(daemon, *arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment_of(home) | more,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Person(process.stdin, process.stdout)
    finally:
        process.kill()
        await process.wait()


async def test_two_users_chat(daemon: Daemon, tmp_path: Path) -> None:
    async with terminal(daemon, tmp_path, "--as", "alice") as alice:
        await alice.sees("--to alice")
        async with terminal(daemon, tmp_path, "--as", "bob", "--to", "alice") as bob:
            await bob.sees("Chat with")
            await bob.type("hello [bold]there")
            await bob.sees("sent as message 1")
            await alice.sees("bob: hello [bold]there")
            await bob.sees("alice has read all messages up to 1")
            await alice.type("\x1b[2Jhi")
            assert "\x1b[2J" not in await bob.sees("[2Jhi")
            await alice.type("/history")
            await alice.sees("alice: ")
            await alice.type("/list")
            await alice.sees("unread")
            await bob.type("/edit hello all of you")
            await alice.sees("bob edited message 1: hello all of you")
            await bob.type("/react 👍")
            await alice.sees("bob reacted 👍 to message 2")
            await alice.type("/history")
            await alice.sees("hello all of you (edited)")
            await alice.type("/delete")
            await bob.sees("alice deleted message 2")
            await alice.type("/group us bob")
            await bob.type("/list")
            await alice.type("all here?")
            await bob.sees("alice: all here?")
            await alice.type("/to nobody-known")
            await alice.sees("nobody-known is not a user id, a name")
            await bob.type("a backslash \\[/] and :smile:")
            await alice.sees("bob: a backslash \\[/] and :smile:")


async def test_text_of_other_users_is_not_parsed_as_markup(daemon: Daemon, tmp_path: Path) -> None:
    async with terminal(daemon, tmp_path, "--as", "alice") as alice:
        await alice.sees("--to alice")
        async with terminal(daemon, tmp_path, "--as", "bob", "--to", "alice") as bob:
            await bob.sees("Chat with")
            await bob.type(r"hello \[/dim] there")
            await alice.sees(r"bob: hello \[/dim] there")


async def test_input_and_terminals_without_utf8_are_supported(daemon: Daemon, tmp_path: Path) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    async with interpreter(daemon, tmp_path, "--as", "alice", **ascii_only) as alice:
        await alice.sees("--to alice")
        async with terminal(daemon, tmp_path, "--as", "bob", "--to", "alice") as bob:
            await bob.sees("Chat with")
            await bob.type("h\u00e9 \U0001f44d")
            await alice.sees("bob: h\\xe9 \\U0001f44d")
            for line, shown in (
                (b"\xff\xfe one", "sent as message 2"),
                (b"two \xe2\x82", "sent as message 3"),
                (b"\x80", "expected a visible text"),
            ):
                await alice.type_bytes(line)
                await alice.sees(shown)


async def test_lines_name_the_conversation_if_there_are_several(daemon: Daemon, tmp_path: Path) -> None:
    async with terminal(daemon, tmp_path, "--as", "alice") as alice:
        await alice.sees("--to alice")
        async with terminal(daemon, tmp_path, "--as", "bob", "--to", "alice") as bob:
            await bob.sees("Chat with")
            await bob.type("first")
            assert "] bob: first" not in await alice.sees("bob: first")
            await bob.type("/group crew alice")
            await bob.sees("Chat with")
            await bob.type("second")
            await alice.sees("[crew] bob: second")
            await bob.type("/to alice")
            await bob.type("third")
            await alice.sees("[bob] bob: third")
            await alice.type("/list")
            assert "crew" in await alice.sees("unread  bob: second")


async def test_same_name_is_the_same_user(daemon: Daemon, tmp_path: Path) -> None:
    seen = []
    for _ in range(2):
        async with terminal(daemon, tmp_path, "--as", "alice") as alice:
            seen.append((await alice.sees("--to alice")).splitlines()[0])
    assert seen[0] == seen[1]


async def test_chat_reports_errors(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for home, arguments, message, code in (
        (tmp_path / "file", ("--as", "alice"), "set XDG_STATE_HOME", 1),
        (tmp_path, ("--http", "http://127.0.0.1:1"), "Is `chatd serve` running?", 1),
        (tmp_path, ("--http", "127.0.0.1:8081"), "expects a URL such as", 2),
        *(
            (tmp_path, ("--http", bad), "URL such as", 2)
            for bad in ("http://", "http://[::1", "http://a b", "ftp://a", "http://:80", "")
        ),
        *((tmp_path, ("--url", bad), "URL such as", 2) for bad in ("ws://", "ws://[", "ws://h:port", "")),
        (tmp_path, ("--url", "http://127.0.0.1:8080"), "expects a URL such as", 2),
    ):
        environment = os.environ | {"XDG_STATE_HOME": str(home), "COLUMNS": "300"}
        done = await trio.to_thread.run_sync(run_chatd, chat(daemon, *arguments), tmp_path, environment)
        assert (done.returncode, message in done.stderr, "Traceback" in done.stderr) == (code, True, False)


async def test_chat_reports_a_gateway_that_accepts_no_connection(daemon: Daemon, tmp_path: Path) -> None:
    async with terminal(daemon, tmp_path, "--as", "alice", "--url", "ws://127.0.0.1:1/v1/ws") as alice:
        await alice.sees("ws://127.0.0.1:1/v1/ws does not accept the connection yet; retrying")


async def test_closed_standard_input_counts_as_empty(daemon: Daemon, tmp_path: Path) -> None:
    line = shlex.join([sys.executable, "-m", "chatd", *chat(daemon, "--as", "alice")]) + " <&-"
    done = await trio.run_process(
        ["sh", "-c", line],
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path)},
        capture_stderr=True,
        capture_stdout=True,
        check=False,
    )
    assert (done.returncode, done.stderr, b"You are alice" in done.stdout) == (0, b"", True)


NAMES = (
    "a.b",
    "a_b",
    "a b",
    "A_b",
    "a_B",
    "\U0001f600",
    "\U0001f389",
    "_",
    "",
    "..",
    "a/b",
    "x" * 100,
    "x" * 101,
    "%61",
    "a\x00b",
)


def test_names_are_separate_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    files = {state_file(name).name.lower() for name in NAMES}
    assert len(files) == len(NAMES)
    for name in NAMES:
        save_state(name, {"user": name})
    assert [load_state(name)["user"] for name in NAMES] == list(NAMES)
    assert {path.parent for path in tmp_path.rglob("*.json")} == {tmp_path / "chatd"}


@pytest.mark.parametrize(
    "content", [b"", b"5", b"[1]", b"[[1, 2]]", b'"ab"', b"null", b"\xff", b"{", b'{"user": 5, "device": []}']
)
def test_unreadable_identity_counts_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    save_state("alice", {})
    state_file("alice").write_bytes(content)
    assert load_state("alice") == {}
