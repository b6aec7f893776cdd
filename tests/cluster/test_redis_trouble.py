"""A Redis that runs but fails. Acknowledged messages are kept and delivered, by the bus or by Postgres."""

import socket
from collections.abc import Sequence

import pytest
import trio
from msgspec.structs import replace

from chatd.core.config import Config
from chatd.db.embedded import redis
from tests.cluster.test_two_nodes import nodes, own_redis, pair_on, seen
from tests.support import PATIENCE, Person, eventually

__all__ = ["own_redis"]

TROUBLES = [
    pytest.param(["CLIENT KILL TYPE normal"] * 5, [], id="connections are killed"),
    pytest.param(["CLIENT PAUSE 3000 ALL"], [], id="it pauses"),
    pytest.param(["CONFIG SET maxmemory 1"], ["CONFIG SET maxmemory 0"], id="out of memory"),
    pytest.param(["REPLICAOF 127.0.0.1 1"], ["REPLICAOF NO ONE"], id="read only"),
    pytest.param(["FLUSHALL", "SCRIPT FLUSH", "CLIENT KILL TYPE normal"], [], id="emptied and cut off"),
]


def run_command(server: redis.Server, command: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(PATIENCE)
        peer.connect(str(server.socket))
        peer.sendall(command.encode() + b"\r\n")
        return peer.recv(200)


@pytest.mark.parametrize(("trouble", "cure"), TROUBLES)
async def test_acked_messages_arrive_despite_redis_faults(
    config: Config, own_redis: redis.Server, trouble: Sequence[str], cure: Sequence[str]
) -> None:
    shared = replace(config, redis=replace(config.redis, url=own_redis.url, timeout=2.0))
    async with nodes(shared) as (one, two), pair_on(one, two) as (alice, bob, conversation):
        await alice.send(conversation, "0")
        await bob.event("message.new")
        number = 0
        for command in trouble:
            assert not run_command(own_redis, command).startswith(b"-")
            for _ in range(10):
                number += 1
                assert (await alice.send(conversation, str(number)))["seq"] == number + 1
        for command in cure:
            assert run_command(own_redis, command).startswith(b"+OK")
        last = await send_until_it_is_live(alice, bob, conversation)
        await eventually(lambda: last in seen(bob, conversation))
        changes = await bob.call("conversation.sync", conversation=conversation, rev=0)
        assert [message["text"] for message in changes["messages"]][: number + 1] == [
            str(sent) for sent in range(number + 1)
        ]


async def send_until_it_is_live(alice: Person, bob: Person, conversation: str) -> int:
    """The `seq` of a message that the other node delivered live."""
    with trio.fail_after(3 * PATIENCE):
        while True:
            seq = int((await alice.send(conversation, "live?"))["seq"])
            with trio.move_on_after(1):
                while (await bob.event("message.new"))["message"]["seq"] != seq:
                    pass
                return seq
