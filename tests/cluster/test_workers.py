"""`chatd serve --workers`: several processes on one port."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import trio

from chatd.client import connect, sign_up
from tests.faults.process import Process, process
from tests.forked import run_chatd
from tests.support import PATIENCE, eventually, texts


def workers_of(daemon: Process) -> list[int]:
    """The workers by process id. A child belongs to the thread that created it."""
    found = []
    for children in Path(f"/proc/{daemon.pid}/task").glob("*/children"):
        with suppress(OSError):
            pids = children.read_text().split()
            found += [int(pid) for pid in pids if b"--supervised" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return found


async def test_workers_act_as_one_server_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    async with process(tmp_path, "--workers", "3") as daemon:
        workers = workers_of(daemon)
        assert len(workers) == 3
        alice, bob = await sign_up(daemon.http, name="alice"), await sign_up(daemon.http, name="bob")
        async with connect(daemon.socket, alice) as a, connect(daemon.socket, bob) as b:
            a._backoff._most = b._backoff._most = 0.2
            conversation = (await a.open(bob.user)).conversation.id
            wanted = [f"m{number}" for number in range(90)]
            for number, text in enumerate(wanted):
                await a.send(conversation, text)
                if number % 30 == 15:
                    os.kill(workers[number // 30], signal.SIGKILL)
            assert await texts(b, len(wanted)) == wanted
        await eventually(lambda: len(workers_of(daemon)) >= 3, 3 * PATIENCE)
        assert not set(workers_of(daemon)) & set(workers)
        assert await daemon.stop() == 0


async def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    async with process(tmp_path, "--workers", "2") as daemon:
        workers = workers_of(daemon)
        await daemon.kill()
        await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 3 * PATIENCE)


async def test_a_drain_ends_all_workers(tmp_path: Path) -> None:
    async with process(tmp_path, "--workers", "2") as daemon:
        environment = os.environ | {"CHATD_DATA__DIR": str(tmp_path / "data")}
        done = await trio.to_thread.run_sync(run_chatd, ("drain", "--over", "1s"), tmp_path, environment)
        assert done.returncode == 0, done.stderr
        assert await daemon.wait() == 0
