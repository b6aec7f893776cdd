"""Clients on bad lines, and clients that do not read: they lose nothing, and other clients are not affected."""

import os
from pathlib import Path

import msgspec
import pytest
import trio
from msgspec.structs import replace

from chatd.client import connect, sign_up
from chatd.core.config import Config
from tests.faults.proxy import BadLine, bad_line
from tests.support import PATIENCE, Daemon, Person, eventually, running, texts
from tests.wire_client import Raw, upgrade

OUTBOX = 100_000
TEXT = 16_000
TEXTS = ["plain", "ünï 🙂 çødé", "x" * 300, "a" + "\u202e" * 50]


async def sessions(daemon: Daemon) -> int:
    return int((await daemon.rest("GET", "/v1/socket/ping")).body["sessions"])


async def until_sessions(daemon: Daemon, count: int) -> None:
    with trio.fail_after(PATIENCE):
        while await sessions(daemon) != count:
            await trio.sleep(0.05)


@pytest.mark.parametrize("size", [1, 2, 7])
async def test_sliced_bytes_arrive_complete(daemon: Daemon, size: int) -> None:
    """The fault `slicer` of the proxy."""
    async with bad_line(daemon) as line:
        line.up.slice = line.down.slice = size
        async with line.through(daemon).pair() as (alice, bob, conversation):
            for text in TEXTS:
                await alice.send(conversation, text)
                assert (await bob.event("message.new"))["message"]["text"] == text


async def test_a_reset_in_the_middle_of_a_frame_leaves_nothing_behind(daemon: Daemon) -> None:
    """The fault `reset_peer` of the proxy."""
    async with daemon.pair() as (alice, bob, conversation), bad_line(daemon) as line:
        command = message(conversation, "half", "never")
        before = open_things()
        for cut in range(1, 60):
            async with Raw.session(line.through(daemon)) as raw:
                await raw.send(command[:cut])
                await eventually(lambda: line.connections == 1)
                line.reset_peer()
                await raw.read_to_end()
        await until_sessions(daemon, 2)
        # Periodic jobs may open connections to Postgres meanwhile; a leak would leave 59.
        await eventually(lambda: all(now < least + 10 for now, least in zip(open_things(), before, strict=True)))
        assert (await alice.send(conversation, "the first")).seq == 1
        assert (await bob.event("message.new"))["message"]["text"] == "the first"


def message(conversation: str, client_id: str, text: str) -> bytes:
    """A `message.send` as a frame."""
    body = {"t": "message.send", "conversation": conversation, "client_id": client_id, "text": text}
    return Raw.frame_of(msgspec.json.encode([1, body]))


def open_things() -> tuple[int, int]:
    """Descriptors and tasks of this process."""
    return len(os.listdir("/proc/self/fd")), trio.lowlevel.current_statistics().tasks_living


async def test_connection_cut_at_any_byte_delivers_a_message_completely_or_not_at_all(daemon: Daemon) -> None:
    """The fault `limit_data` of the proxy: cut anywhere and sent again under the same client_id, the message exists once."""
    async with daemon.person() as alice, bad_line(daemon) as line:
        conversation = (await alice.call("conversation.create", members=[])).conversation.id
        handshake = len(upgrade(daemon, user=alice.user))
        wanted = []
        for at in range(1, len(message(conversation, "m000", "once")) + 1, 12):
            wanted.append(client_id := f"m{at:03}")
            line.heal()
            line.up.limit_data = handshake + at
            async with Raw.to(line.through(daemon)) as raw:
                await raw.send(upgrade(daemon, user=alice.user))
                await raw.read(b"\r\n\r\n")
                await raw.send(message(conversation, client_id, "once"))
                await raw.read_to_end()
            await alice.send(conversation, "once", client_id=client_id)
        history = (await alice.call("message.history", conversation=conversation, limit=200))["items"]
        assert [item["client_id"] for item in history] == wanted
        assert [item["seq"] for item in history] == list(range(1, len(wanted) + 1))


async def test_vanished_peer_is_closed_and_the_client_reconnects(config: Config) -> None:
    """The fault `timeout` of the proxy: half open, no FIN. Both sides detect it by their heartbeats."""
    lively = replace(config, gateway=replace(config.gateway, heartbeat=2.0))
    async with running(lively) as daemon, daemon.person("bob") as bob, bad_line(daemon) as line:
        alice = await sign_up(daemon.addresses.http, name="alice")
        async with connect(line.url, alice) as client:
            client._backoff._most = 0.05
            conversation = (await client.open(bob.user)).conversation.id
            await client.send(conversation, "one")
            assert await sessions(daemon) == 2
            line.up.timeout = line.down.timeout = True
            unheard = client.send_nowait(conversation, "two")
            assert line.connections == 1
            line.heal()
            await unheard.ack()
            assert [(await bob.event("message.new"))["message"]["text"] for _ in range(2)] == ["one", "two"]
            await until_sessions(daemon, 2)
        async with Raw.session(line.through(daemon)):
            line.up.timeout = line.down.timeout = True
            await until_sessions(daemon, 1)
        assert await bob.is_served()


@pytest.mark.parametrize("toxic", ["latency", "bandwidth", "slow_close"])
async def test_poor_connection_delivers_everything_once_and_in_order(daemon: Daemon, toxic: str) -> None:
    """The client of chatd, over a connection that also breaks."""
    http = daemon.addresses.http
    alice, bob = await sign_up(http, name="alice"), await sign_up(http, name="bob")
    async with bad_line(daemon) as line, connect(line.url, alice) as a, connect(line.url, bob, codec="json") as b:
        for client in (a, b):
            client._backoff._most = 0.05
        poison(line, toxic)
        conversation = (await a.open(bob.user)).conversation.id
        wanted = [f"m{number}" for number in range(30)]
        sendings = [a.send_nowait(conversation, text) for text in wanted]
        for number in (8, 16, 24):
            await sendings[number].ack()
            line.reset_peer()
        assert [(await sending.ack()).seq for sending in sendings] == list(range(1, 31))
        assert await texts(b, 30) == wanted


def poison(line: BadLine, toxic: str) -> None:
    for toxics in (line.up, line.down):
        setattr(toxics, toxic, {"latency": 0.02, "bandwidth": 50_000, "slow_close": 0.3}[toxic])


async def test_slow_readers_in_a_large_group_do_not_affect_others(config: Config) -> None:
    """Clients that read nothing are closed with 4000; the others get everything, and so do these later."""
    gateway = replace(config.gateway, outbox_bytes=OUTBOX, stall_timeout=2.0, close_timeout=PATIENCE)
    async with running(replace(config, gateway=gateway)) as daemon, daemon.people(12) as people:
        alice, *others = people
        slow = [await sign_up(daemon.addresses.http, name="slow") for _ in range(4)]
        members = [person.user for person in others] + [account.user for account in slow]
        conversation = (await alice.call("conversation.create", members=members)).conversation.id
        wake, ends, sent = trio.Event(), list[tuple[int | None, int]](), more_than_fits() // TEXT
        async with trio.open_nursery() as nursery:
            for account in slow:
                nursery.start_soon(sleep_then_read, daemon, account.user, wake, ends)
            await until_sessions(daemon, 12 + len(slow))
            for _ in range(sent):
                await alice.send(conversation, "x" * TEXT)
            await trio.sleep(2 * gateway.stall_timeout)
            wake.set()
        assert {code for code, _ in ends} == {4000}
        assert all(0 < received < sent for _, received in ends)
        for person in others:
            assert await got(person, sent) == list(range(1, sent + 1))
        for account in slow:
            async with daemon.connected(account) as back:
                assert await synced(back, conversation) == list(range(1, sent + 1))


def more_than_fits() -> int:
    """More bytes than the send queue and the system can hold for a client that does not read."""
    system = int(Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2])
    return 2 * OUTBOX + system + 1_000_000


async def sleep_then_read(daemon: Daemon, user: str, wake: trio.Event, ends: list[tuple[int | None, int]]) -> None:
    """The close code, and the number of messages before it, for a client that does not read for a while."""
    async with Raw.to(daemon) as raw:
        await raw.send(upgrade(daemon, user=user))
        await raw.read(b"\r\n\r\n")
        await wake.wait()
        messages, first = 0, 0
        while first != 0x88:
            first, payload = await raw.frame()
            messages += b'"message.new"' in payload
        ends.append((int.from_bytes(payload[:2], "big"), messages))


async def got(person: Person, count: int) -> list[int]:
    with trio.fail_after(PATIENCE):
        return [(await person.event("message.new"))["message"]["seq"] for _ in range(count)]


async def synced(person: Person, conversation: str) -> list[int]:
    """Everything that conversation.sync returns, page by page."""
    rev, found, more = 0, [], True
    while more:
        changes = await person.call("conversation.sync", conversation=conversation, rev=rev, limit=20)
        found += [message["seq"] for message in changes["messages"]]
        rev, more = changes["rev"], changes["more"]
    return found
