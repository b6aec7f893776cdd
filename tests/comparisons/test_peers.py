"""The servers that `bench/` compares with do the work that is compared."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
import trio

from bench import connect, fanout, send, typing
from bench.packages import NotInstalled
from bench.peers import KINDS, Databases, JsonPeer, SocketIoPeer, peers
from bench.report import parser_of
from bench.scenario import Bench
from bench.send import exchange, pairs_of
from bench.servers import SECRET, TEXT, ServerFailed, token
from bench.wire import Load
from chatd.db.embedded.postgres import SOCKET
from chatd.db.embedded.sockets import listener
from tests.conftest import Servers

SHORT: tuple[tuple[Bench, str], ...] = (
    (send.BENCH, "--pairs 2 --messages 5"),
    (send.BENCH, "--pairs 2 --messages 10 --in-flight 4"),
    (fanout.BENCH, "--members 5 --messages 3"),
    (typing.BENCH, "--pairs 2 --events 20"),
    (connect.BENCH, "--connections 4"),
)
Peer = SocketIoPeer | JsonPeer


def options_of(bench: Bench, arguments: str) -> argparse.Namespace:
    return parser_of(bench).parse_args(arguments.split())


def data_of(dsn: str, servers: Servers) -> Databases:
    folder = Path(parse_qs(urlsplit(dsn).query)["host"][0])
    return Databases(dsn, urlsplit(servers.redis).path, listener(folder / SOCKET) or 0)


@pytest.mark.parametrize("name", KINDS)
async def test_a_peer_does_the_work(name: str, dsn: str, servers: Servers) -> None:
    """The loads check that every message arrives once, and raise otherwise."""
    needs_packages(name)
    await trio.to_thread.run_sync(do_all, name, data_of(dsn, servers))


def needs_packages(name: str) -> None:
    """Skip the test if the packages of a peer are missing, and fail it in CI."""
    try:
        KINDS[name].packages.interpreter()
    except NotInstalled as missing:
        pytest.fail(str(missing)) if os.environ.get("CI") else pytest.skip(str(missing))


def do_all(name: str, data: Databases) -> None:
    with peers([name], data) as (peer,):
        for bench, arguments in SHORT:
            assert bench.figure in bench.run(peer, options_of(bench, arguments), lambda: None)
        refuses_other_tokens(peer)
        delivers_what_was_sent(peer)
        is_judged(peer)


def refuses_other_tokens(peer: Peer) -> None:
    peer.connect_with(token("alice", SECRET)).close()
    for other in (token("alice", "f" * 32), "", "x"):
        with pytest.raises(ConnectionError):
            peer.connect_with(other)


def delivers_what_was_sent(peer: Peer) -> None:
    """To the others of the room only, with its sender."""
    people = [(user, peer.connect(user)) for user in (str(uuid4()) for _ in range(3))]
    (alice, writes), (_, reads), (_, elsewhere) = people
    room = peer.room(people[:2])
    peer.room(people[2:])
    for number, command in enumerate((peer.message, peer.broadcast)):
        writes.send(command(room, f"client-id-{number}"))
        delivered = reads.wait_for(peer.new).decode()
        assert f"client-id-{number}" in delivered
        assert TEXT in delivered
        assert alice in delivered
        acknowledged = writes.receive()
        assert [peer.ack in payload and peer.new not in payload for payload in acknowledged] == [True]
    elsewhere.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        elsewhere.receive()
    for _, connection in people:
        connection.close()


def is_judged(peer: Peer) -> None:
    """A message that arrives twice, or that no client has sent, is an error of the server."""
    writers = pairs_of(peer, 1, [])
    load = Load([writer.connection for writer in writers])
    payloads: list[tuple[Callable[[bytes], None], bytes]] = []
    for writer in writers:
        writer.connection.on_message = recorded(writer.on_message, payloads)
    exchange(load, writers, 3)
    assert len(payloads) == 12
    for on_message, payload in payloads:
        with pytest.raises(ServerFailed):
            on_message(payload)
    load.close()


def recorded(
    on_message: Callable[[bytes], None], payloads: list[tuple[Callable[[bytes], None], bytes]]
) -> Callable[[bytes], None]:
    def record(payload: bytes) -> None:
        payloads.append((on_message, payload))
        on_message(payload)

    return record
