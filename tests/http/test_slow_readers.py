"""Clients that request much and read nothing: their cost for a daemon process, and the effect on other clients."""

import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import trio

from chatd.app.addresses import Addresses
from chatd.client import Account, sign_up
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.http.long_answers import BOUNDS
from tests.admins import ANN, administered, order
from tests.faults.process import linked, process
from tests.files import stored
from tests.http.raw import HttpPort
from tests.support import PATIENCE, Daemon, eventually, poll_until, running

FILE = b"\x00\x01" * 3_500_000
TEXT = "x" * 16_000
MEBIBYTE = 1_048_576
# Connections that stall, and what all of them together may cost: without a bound it is their number times the file or
# the list.
STALLED = {"file": 40, "list": 20, "export": 20}
MOST_GROWTH = 96 * MEBIBYTE
# Lists that are asked for at the same moment, and what making them may cost.
PARALLEL, MOST_PEAK = 60, 48 * MEBIBYTE
ADMIN_LISTS = 12


def get(path: str, token: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


@asynccontextmanager
async def stalled(door: HttpPort, asked: bytes, count: int) -> AsyncIterator[list[trio.SocketStream]]:
    """This many connections that have sent the request and read nothing."""
    async with AsyncExitStack() as stack:
        streams = []
        for _ in range(count):
            sock = trio.socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await sock.connect((door.host, door.port))
            streams.append(await stack.enter_async_context(trio.SocketStream(sock)))
            await streams[-1].send_all(asked)
        yield streams


def vanish(streams: list[trio.SocketStream]) -> None:
    for stream in streams:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.socket.close()


async def long_list(daemon: Daemon, account: Account, link: Any) -> str:
    """The path of a list of some megabytes."""
    other = await sign_up(daemon.addresses.http, name="bob")
    opened = await link.call({"t": "conversation.open", "user": other.user})
    place = opened["conversation"]["id"]
    for number in range(150):
        await link.call({"t": "message.send", "conversation": place, "client_id": str(number), "text": TEXT})
    return f"/v1/conversations/{place}/messages?limit=150"


async def test_slow_readers_use_bounded_memory(tmp_path: Path) -> None:
    """Files, lists and exports; the readers stall, then disconnect. All memory is released."""
    async with process(tmp_path) as served:
        daemon, system = Daemon(Config(), Addresses(served.socket, served.http)), psutil.Process(served.pid)
        alice, bob = await sign_up(served.http, name="alice"), await sign_up(served.http, name="carol")
        async with linked(served, alice) as link:
            file = f"/v1/uploads/{(await stored(daemon, alice.access_token, FILE))['id']}"
            paths = {"file": file, "list": await long_list(daemon, alice, link), "export": "/v1/me/export"}
        own = f"/v1/uploads/{(await stored(daemon, bob.access_token, FILE))['id']}"
        for path in paths.values():
            assert (await daemon.rest("GET", path, token=alice.access_token)).status == 200
        memory, sockets = system.memory_info().rss, len(system.net_connections("tcp"))
        async with AsyncExitStack() as stack:
            streams: list[trio.SocketStream] = []
            for name, count in STALLED.items():
                streams += await stack.enter_async_context(
                    stalled(HttpPort.of(daemon), get(paths[name], alice.access_token), count)
                )
            for _ in range(5):
                assert (await daemon.rest("GET", own, token=bob.access_token)).body == FILE
                await trio.sleep(0.1)
                assert system.memory_info().rss - memory < MOST_GROWTH
            vanish(streams)
            await eventually(lambda: len(system.net_connections("tcp")) <= sockets)
            for path in paths.values():
                assert (await daemon.rest("GET", path, token=alice.access_token)).status == 200
        await parallel_lists(HttpPort.of(daemon), paths["list"], alice.access_token, system)


async def parallel_lists(door: HttpPort, path: str, token: str, system: psutil.Process) -> None:
    """Refused lists are in memory for a moment as well: they are made a few at a time, and not kept."""
    reset_peak(system.pid)
    memory = peak(system.pid)
    async with stalled(door, get(path, token), PARALLEL) as streams:
        statuses = await statuses_of(streams)
        grown = peak(system.pid) - memory
        vanish(streams)
    assert set(statuses) <= {200, 429, 504}
    assert 0 < statuses[200] <= BOUNDS.per_user
    assert grown < MOST_PEAK


def reset_peak(pid: int) -> None:
    """See proc_pid_clear_refs(5)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak(pid: int) -> int:
    """The peak memory of the process in bytes since `reset_peak`."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


async def statuses_of(streams: list[trio.SocketStream]) -> Counter[int]:
    """The status of responses of which nothing more is read."""
    statuses = Counter[int]()

    async def read(stream: trio.SocketStream) -> None:
        statuses[int((await stream.receive_some(100)).split()[1])] += 1

    async with trio.open_nursery() as nursery:
        for stream in streams:
            nursery.start_soon(read, stream)
    return statuses


async def test_file_downloads_of_admins_are_bounded(config: Config) -> None:
    """They are responses to a POST. A waiting request gets a slot when another reader has disconnected."""
    async with running(administered(config)) as daemon, daemon.pair() as (alice, bob, conversation):
        file = (await stored(daemon, bob.account.access_token, FILE))["id"]
        sent = await bob.send(conversation, attachments=[{"upload": file}])
        report = await alice.call("report.create", conversation=conversation, message=sent["message"], reason="abuse")
        body = json.dumps({"report": report["report"], "upload": file}).encode()
        asked = posted("/admin/report/file", ANN, body)
        async with stalled(HttpPort.of(daemon), asked, ADMIN_LISTS) as streams:
            with trio.move_on_after(1.0):
                await statuses_of(streams[: BOUNDS.per_user + 1])
                raise AssertionError("more files than that are sent to one admin")
            assert (await order(daemon, "bans")).status == 200
            vanish(streams)
        with trio.fail_after(PATIENCE):
            assert len((await order(daemon, "report.file", report=report["report"], upload=file)).body) == len(FILE)


def posted(path: str, token: str, body: bytes) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: chatd.test\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def test_long_lists_of_admins_are_bounded(config: Config, store: Postgres) -> None:
    async with running(administered(config)) as daemon:
        await store.run(
            "insert into audit_log (tenant, id, at, actor, act, subject, details)"
            " select 'default', gen_random_uuid(), 0, 'me', 'ban', 'x', jsonb_build_object('x', repeat('x', 20000))"
            " from generate_series(1, 150)"
        )
        asked = posted("/admin/audit", ANN, b'{"limit": 150}')
        async with stalled(HttpPort.of(daemon), asked, ADMIN_LISTS) as streams:
            statuses = await statuses_of(streams)
            # An overloaded machine may answer 504.
            assert set(statuses) <= {200, 429, 504}
            assert 0 < statuses[200] <= BOUNDS.per_user
            vanish(streams)
        await poll_until(lambda: order(daemon, "audit", limit=150), lambda answer: answer.status == 200)
