"""The index process: started, restarted and ended by the daemon, or alone."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from chatd.client import sign_up
from chatd.core.child_processes import end_of
from chatd.core.config import Log, PostgresSection
from chatd.db.postgres import Postgres
from chatd.search.child_process import IndexChild
from chatd.search.index_process import Start, arguments
from tests.cluster.test_workers import workers_of
from tests.faults.process import Process, linked, process
from tests.forked import run_chatd
from tests.search.test_indexer import conversations, wait_until_whole, write
from tests.support import PATIENCE, eventually, poll_until

START = Start(PostgresSection(), Log(), is_child=True)
# What the indexer does not need, and what would double its memory.
FOREIGN = ("chatd.subsystems", "chatd.app", "chatd.gateway", "chatd.conversations.m", "quart", "redis", "PIL", "httpx")


def index_processes(parent: int) -> list[int]:
    """The index processes among the children."""
    found = []
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        pids = children.read_text().split()
        found += [int(pid) for pid in pids if arguments()[-1].encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return found


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def lines(daemon: Process, message: str) -> list[dict[str, str]]:
    found = [json.loads(line) for line in daemon.log.splitlines() if line.startswith("{")]
    return [line for line in found if line["message"] == message]


async def test_daemon_has_its_messages_indexed_and_restarts_the_process(tmp_path: Path) -> None:
    async with process(tmp_path) as daemon:
        alice, bob = await sign_up(daemon.http, name="alice"), await sign_up(daemon.http, name="bob")
        async with linked(daemon, alice) as link:
            opened = await link.call({"t": "conversation.open", "user": bob.user})

            async def finds(text: str) -> bool:
                place = opened["conversation"]["id"]
                await link.call({"t": "message.send", "conversation": place, "client_id": text, "text": text})
                search = {"t": "message.search", "query": text}
                await poll_until(lambda: link.call(search), lambda page: len(page["items"]) == 1, 3 * PATIENCE)
                return True

            assert await finds("before")
            (pid,) = index_processes(daemon.pid)
            os.kill(pid, signal.SIGKILL)
            assert await finds("after")
            (second,) = index_processes(daemon.pid)
            assert second != pid
        (failed,) = lines(daemon, "search index process failed")
        assert failed["cause"] == "it was killed by SIGKILL, and is restarted"
        await eventually(lambda: lines(daemon, "search index process recovered"), 3 * PATIENCE)
        assert await daemon.stop() == 0
        assert not is_running(second)


async def test_secrets_are_neither_in_the_command_line_nor_in_the_environment(tmp_path: Path) -> None:
    async with process(tmp_path, CHATD_REDIS__PREFIX="hidden") as daemon:
        (pid,) = await poll_until_found(daemon.pid)
        for name in ("cmdline", "environ"):
            content = Path(f"/proc/{pid}/{name}").read_bytes()
            assert b"postgresql://" not in content
            assert b"CHATD_" not in content


async def poll_until_found(parent: int) -> list[int]:
    await eventually(lambda: index_processes(parent), 3 * PATIENCE)
    return index_processes(parent)


async def test_process_ends_with_a_daemon_that_is_killed(tmp_path: Path) -> None:
    async with process(tmp_path) as daemon:
        (pid,) = await poll_until_found(daemon.pid)
        await daemon.kill()
        await eventually(lambda: not is_running(pid), 3 * PATIENCE)


async def test_only_the_first_worker_starts_one(tmp_path: Path) -> None:
    async with process(tmp_path, "--workers", "2") as daemon:
        workers = workers_of(daemon)
        await eventually(lambda: any(map(index_processes, workers)), 3 * PATIENCE)
        assert sorted(len(index_processes(pid)) for pid in workers) == [0, 1]


async def test_daemon_starts_none_if_it_is_off(tmp_path: Path) -> None:
    async with process(tmp_path, CHATD_SEARCH__INDEXER="off") as daemon:
        await trio.sleep(0.5)
        assert index_processes(daemon.pid) == []


def command(code: str) -> list[str]:
    return [sys.executable, "-c", f"import os, sys, time, signal\nsys.stdin.readline()\n{code}"]


@asynccontextmanager
async def child_of(code: str, *, leaving: Sequence[bool] = (), trial_s: float = 60.0) -> AsyncIterator[IndexChild]:
    child = IndexChild(START, lambda: bool(leaving), command=command(code), first_pause_s=0.01, trial_s=trial_s)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(child.run)
        yield child
        nursery.cancel_scope.cancel()


async def test_process_that_always_ends_is_restarted_with_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    async with child_of("os._exit(3)") as child:
        await eventually(lambda: child.restarts >= 4)
        assert child.condition.cause == "it exited with code 3, and is restarted"
    assert [record.getMessage() for record in caplog.records] == ["search index process failed"]


async def test_process_that_runs_again_has_recovered() -> None:
    async with child_of("time.sleep(60)", trial_s=0.05) as child:
        await eventually(lambda: child.pid)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        await eventually(lambda: child.condition.failing)
        assert child.condition.cause.startswith("it was killed by SIGKILL")
        await eventually(lambda: not child.condition.failing)


async def test_process_that_ends_together_with_the_daemon_is_not_restarted() -> None:
    """A service manager sends SIGTERM to both."""
    child = IndexChild(START, lambda: True, command=command("os._exit(0)"), first_pause_s=0.01)
    with trio.fail_after(PATIENCE):
        await child.run()
    assert (child.restarts, child.condition.failing) == (0, False)


async def test_process_that_does_not_end_is_killed() -> None:
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"
    async with child_of(code) as child:
        await eventually(lambda: child.pid)
        pid = child.pid
        assert pid is not None
    assert not is_running(pid)


async def test_program_that_cannot_be_started_is_tried_again() -> None:
    child = IndexChild(START, lambda: False, command=["/does/not/exist"], first_pause_s=0.01)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(child.run)
        await eventually(lambda: child.restarts >= 2)
        assert child.condition.cause.startswith("it cannot be started")
        nursery.cancel_scope.cancel()


def test_end_is_described() -> None:
    assert end_of(-9) == "it was killed by SIGKILL"
    assert end_of(1) == "it exited with code 1"


class Alone:
    """`chatd index` as an operator starts it."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.log = folder / f"index-{len(list(folder.iterdir()))}"
        with self.log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "chatd", "index"], cwd=folder, env=os.environ | environment, stderr=stderr
            )

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        with trio.fail_after(PATIENCE):
            return await trio.to_thread.run_sync(self.process.wait, abandon_on_cancel=True)

    @property
    def is_active(self) -> bool:
        return "this process writes the search index" in self.log.read_text()


@asynccontextmanager
async def alone(folder: Path, **environment: str) -> AsyncIterator[Alone]:
    started = Alone(folder, **environment)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()


async def test_it_runs_alone_and_another_one_takes_over(db: Postgres, dsn: str, tmp_path: Path) -> None:
    rng = random.Random(12)
    (place,) = await conversations(db, 1)
    async with alone(tmp_path, CHATD_POSTGRES__DSN=dsn) as one, alone(tmp_path, CHATD_POSTGRES__DSN=dsn) as two:
        await write(db, place, "first", rng)
        await wait_until_whole(db)
        await eventually(lambda: one.is_active or two.is_active)
        active, other = (one, two) if one.is_active else (two, one)
        assert not other.is_active
        assert await active.end(signal.SIGKILL) == -signal.SIGKILL
        await write(db, place, "second", rng)
        await wait_until_whole(db)
        assert other.is_active
        assert await other.end(signal.SIGTERM) == 0
        assert '"by": "SIGTERM"' in other.log.read_text()


async def test_it_needs_the_address_of_postgres(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHATD_")}
    done = await trio.to_thread.run_sync(run_chatd, ("index",), tmp_path, environment)
    assert (done.returncode, "postgres.dsn is not set" in done.stderr) == (1, True)
    wrong = environment | {"CHATD_POSTGRES__DSN": "postgresql://user:hid/den@host/name"}
    done = await trio.to_thread.run_sync(run_chatd, ("index",), tmp_path, wrong)
    assert (done.returncode, "den" in done.stderr) == (1, False)


async def test_it_waits_for_postgres(tmp_path: Path) -> None:
    async with alone(tmp_path, CHATD_POSTGRES__DSN="postgresql://u@127.0.0.1:9/x") as started:
        await eventually(lambda: "Postgres connection failed" in started.log.read_text(), 3 * PATIENCE)
        assert await started.end(signal.SIGINT) == 0


def test_it_imports_only_what_it_needs() -> None:
    code = f"import {arguments()[-1]}, sys; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in found if name.startswith(FOREIGN)] == []


def test_without_settings_it_names_the_command() -> None:
    done = subprocess.run(arguments(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (done.returncode, "chatd index" in done.stderr) == (1, True)
