"""Embedded servers that die, and a full disk: the daemon stays up and recovers by itself."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import trio
import trio_asyncio

from chatd.client import Account, Refused, sign_up
from chatd.client.link import Link
from chatd.db.embedded import postgres, redis, watch
from chatd.db.embedded.sockets import listener
from tests.faults.process import Process, linked, process
from tests.support import PATIENCE

LONG = 6 * PATIENCE
# The flag of a listening socket in /proc/net/unix.
ACCEPTS = "00010000"


async def sent(link: Link, conversation: str, number: int) -> Any:
    """The ack of a message, however often it is sent; and the refusals before it."""
    refusals = []
    with trio.fail_after(LONG):
        while True:
            try:
                command = {
                    "t": "message.send",
                    "conversation": conversation,
                    "client_id": f"c{number}",
                    "text": f"{number}",
                }
                return await link.call(command), refusals
            except Refused as refused:
                assert refused.row.retryable
                refusals.append(refused.message)
                await trio.sleep(0.1)


async def opened(daemon: Process, link: Link) -> str:
    other = await sign_up(daemon.http, name="other")
    return str((await link.call({"t": "conversation.open", "user": other.user}))["conversation"]["id"])


async def until_logged(daemon: Process, line: str) -> None:
    with trio.fail_after(LONG):
        while line not in daemon.log:
            await trio.sleep(0.1)


async def test_killed_servers_are_restarted(tmp_path: Path) -> None:
    async with process(tmp_path) as daemon:
        person: Account = await sign_up(daemon.http, name="a")
        async with linked(daemon, person) as link:
            conversation = await opened(daemon, link)
            ((first, _), data) = await sent(link, conversation, 1), tmp_path / "data"
            servers = [
                ("embedded Redis", redis.Server(data / "redis").socket),
                ("embedded Postgres", postgres.Server(data / "postgres", {}).socket),
            ]
            for number, (name, path) in enumerate(servers, start=2):
                pid = listener(path)
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                await until_logged(daemon, f"{name} failed")
                await until_logged(daemon, f"{name} recovered")
                ack, _ = await sent(link, conversation, number)
                assert ack["seq"] == first["seq"] + number - 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that fills up soon."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160m,mode=0711", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this system does not let us mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def status(daemon: Process) -> str:
    async with httpx.AsyncClient() as client:
        return str((await client.get(f"{daemon.http}/readyz")).json()["status"])


async def write_until_it_ends(dsn: str) -> None:
    """In asyncio: write only to the write-ahead log."""
    with suppress(asyncpg.PostgresError, OSError):
        connection = await asyncpg.connect(dsn)
        while True:
            await connection.execute("select pg_logical_emit_message(false, 'test', repeat('x', 1000000))")


def fill(folder: Path) -> None:
    """Fill the disk to the last page."""
    with (folder / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(65_536))


async def test_full_disk_recovers(small_disk: Path) -> None:
    """Postgres stops when it cannot write its log, and cannot start before there is space."""
    async with process(small_disk, initdb=True) as daemon:
        person = await sign_up(daemon.http, name="a")
        async with linked(daemon, person) as link:
            conversation = await opened(daemon, link)
            await sent(link, conversation, 0)
            fill(small_disk)
            async with trio_asyncio.open_loop():
                await trio_asyncio.aio_as_trio(write_until_it_ends)(
                    postgres.Server(small_disk / "data/postgres", {}).dsn
                )
            await until_logged(daemon, "embedded Postgres failed")
            command = {"t": "message.send", "conversation": conversation, "client_id": "full", "text": "full"}
            with pytest.raises(Refused) as refused:
                await link.call(command)
            assert refused.value.row.retryable
            (small_disk / "filler").unlink()
            await until_logged(daemon, "embedded Postgres recovered")
            ack, _ = await sent(link, conversation, 0)
            assert ack["duplicate"]
            await sent(link, conversation, 10_000)
            assert "No space left on device" in daemon.log
            with trio.fail_after(LONG):
                while await status(daemon) != "ready":
                    await trio.sleep(0.1)


def test_is_listening_detects_a_listener(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert not watch.listens(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert not watch.listens(path)
        server.listen(1)
        assert watch.listens(path)
        assert watch.listens(path)
    assert not watch.listens(path)


def test_last_line_of_a_log_is_returned(tmp_path: Path) -> None:
    assert watch.last_line(tmp_path / "none") == ""
    (tmp_path / "log").write_text("x" * 10_000 + "\nPANIC: no space\n\n")
    assert watch.last_line(tmp_path / "log") == "PANIC: no space"
