"""The daemon as a process: killed during sends, drained, stopped at once, started twice."""

import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio
from trio_websocket import ConnectionClosed, open_websocket_url

from chatd.client import Account, Disconnected, Refused, sign_up
from tests.faults.process import Process, linked, process
from tests.reply import Link
from tests.support import PATIENCE

SENDERS = 20
SENDS = 50
KILLS = 5
LOST = (OSError, ConnectionClosed, Disconnected, trio.BrokenResourceError)


class Ledger:
    """The messages sent, and those acknowledged."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.acked: dict[str, tuple[str, int]] = {}


async def burst(daemon: Process, account: Account, conversation: str, ledger: Ledger, mark: str) -> None:
    """Send fifty messages one after the other, or until the daemon has ended."""
    try:
        async with linked(daemon, account, "msgpack") as link:
            for number in range(SENDS):
                await send_one(link, conversation, f"{mark}-{account.user}-{number}", ledger)
    except* LOST:
        pass


async def send_one(link: Link, conversation: str, client_id: str, ledger: Ledger) -> None:
    ledger.sent.append(client_id)
    ack = await link.call(
        {"t": "message.send", "conversation": conversation, "client_id": client_id, "text": client_id}
    )
    ledger.acked[client_id] = (ack["message"], ack["seq"])


async def history(daemon: Process, account: Account, conversation: str) -> list[Any]:
    """All messages of the conversation."""
    items: list[Any] = []
    async with linked(daemon, account) as link:
        more = True
        while more:
            after = items[-1]["seq"] if items else 0
            page = await link.call({"t": "message.history", "conversation": conversation, "after": after, "limit": 200})
            items += page["items"]
            more = page["more"]
    return items


async def group_of(daemon: Process, count: int) -> tuple[list[Account], str]:
    """Users, and a group with all of them."""
    people = [await sign_up(daemon.http, name=f"p{number}") for number in range(count)]
    async with linked(daemon, people[0]) as link:
        made = await link.call({"t": "conversation.create", "members": [person.user for person in people]})
    return people, made["conversation"]["id"]


async def test_kills_during_a_thousand_sends_lose_nothing(tmp_path: Path) -> None:
    """After each restart: every acknowledged message exactly once, every other at most once, no gap in seq."""
    ledger = Ledger()
    async with process(tmp_path) as daemon:
        people, conversation = await group_of(daemon, SENDERS)
        for kill in range(KILLS):
            goal = len(ledger.acked) + 100 + 60 * kill
            async with trio.open_nursery() as nursery:
                for person in people:
                    nursery.start_soon(burst, daemon, person, conversation, ledger, f"k{kill}")
                while len(ledger.acked) < goal and len(nursery.child_tasks):
                    await trio.sleep(0.002)
                await daemon.kill()
            await daemon.start()
            found = await history(daemon, people[0], conversation)
            check(ledger, found)
        assert len(ledger.sent) > len(ledger.acked) > KILLS * 100


def check(ledger: Ledger, found: list[Any]) -> None:
    assert [message["seq"] for message in found] == list(range(1, len(found) + 1))
    by_client_id = {message["client_id"]: (message["id"], message["seq"]) for message in found}
    assert len(by_client_id) == len(found)
    assert by_client_id.keys() <= set(ledger.sent)
    assert {client_id: by_client_id.get(client_id) for client_id in ledger.acked} == ledger.acked
    assert all(message["text"] == message["client_id"] for message in found)


async def test_sigterm_drains_and_announces_the_reconnect_time(tmp_path: Path) -> None:
    async with process(tmp_path) as daemon:
        person = await sign_up(daemon.http, name="a")
        headers = [(b"Authorization", b"Bearer " + person.access_token.encode())]
        async with open_websocket_url(
            daemon.socket, subprotocols=["chatd.v1.json"], extra_headers=headers
        ) as connection:
            link = Link(connection)
            await link.receive()
            daemon.signal(signal.SIGTERM)
            _, event = await link.receive()
            assert (event["t"], event["enabled"]) == ("maintenance.mode", True)
            with pytest.raises(ConnectionClosed) as closed:
                await link.receive()
            assert closed.value.reason.code == 1001
            assert closed.value.reason.reason.startswith("retry_in_ms=")
        assert await daemon.wait() == 0


async def test_second_sigterm_stops_at_once(tmp_path: Path) -> None:
    """A peer that does not answer the close frame would delay a drain until its deadline."""
    async with process(tmp_path, CHATD_DRAIN__TIMEOUT="60", CHATD_GATEWAY__CLOSE_TIMEOUT="60") as daemon:
        person = await sign_up(daemon.http, name="a")
        host, _, port = daemon.socket.removeprefix("ws://").partition("/")[0].partition(":")
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.send_all(
            b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer "
            + person.access_token.encode()
            + b"\r\n\r\n"
        )
        await stream.receive_some()
        daemon.signal(signal.SIGTERM)
        while b"maintenance.mode" not in await stream.receive_some():
            pass
        daemon.signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE):
            assert await daemon.wait() == 0


async def test_a_second_daemon_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    async with process(tmp_path) as daemon:
        second = Process(tmp_path)
        with pytest.raises(AssertionError):
            await second.start()
        assert await second.wait() == 1
        assert "in use by another chatd" in daemon.log
        assert str(daemon.pid) in daemon.log
        assert (await sign_up(daemon.http, name="still here")).user


async def test_no_secret_reaches_the_log(tmp_path: Path) -> None:
    """Valid and invalid tokens in every possible place; the log contains none of them."""
    async with process(tmp_path, CHATD_LOG__LEVEL="debug") as daemon:
        person = await sign_up(daemon.http, name="a\x1b[2J\r\nb")
        bad = person.access_token[:-4] + "AAAA"
        for token in (person.access_token, bad):
            for query in (f"?token={token}", f"?ticket={token}"):
                with pytest.raises(Exception):  # noqa: B017, PT011
                    async with open_websocket_url(daemon.socket + query):
                        pass
        with pytest.raises(Refused):
            await sign_up(daemon.http, tenant="nobody")
        log = daemon.log
    for secret in (person.access_token, bad, person.refresh_token):
        assert secret.split(".")[-1] not in log
    assert "\x1b" not in log


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 0.8, PATIENCE])
@pytest.mark.parametrize("initdb", [False, True])
async def test_sigterm_during_the_start_leaves_no_server_behind(tmp_path: Path, after_s: float, initdb: bool) -> None:
    """In the last case it arrives at once after the start. Before chatd handles signals, it has started nothing."""
    daemon = Process(tmp_path, initdb=initdb)
    await daemon.launch()
    with trio.move_on_after(after_s):
        await daemon.read_addresses()
    with trio.fail_after(PATIENCE):
        assert await daemon.stop() in (0, -signal.SIGTERM), daemon.log
    assert servers_in(tmp_path) == []


def servers_in(folder: Path) -> list[str]:
    """The programs that run in a folder."""
    running = psutil.process_iter(["cwd", "name"])
    return [process.info["name"] for process in running if (process.info["cwd"] or "").startswith(f"{folder}/")]
