"""Two nodes that share one Postgres and one Redis, in one process: the node of a user makes no difference."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from chatd.conversations.settings import ConversationLimits
from chatd.core.config import Config
from chatd.db.embedded import redis
from chatd.subsystems import SUBSYSTEMS
from tests.reply import Reply
from tests.support import PATIENCE, Daemon, Person, Subsystems, eventually, running


@asynccontextmanager
async def nodes(config: Config, count: int = 2, subsystems: Subsystems = SUBSYSTEMS) -> AsyncIterator[list[Daemon]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running(config, subsystems)) for _ in range(count)]


@asynccontextmanager
async def pair_on(one: Daemon, two: Daemon) -> AsyncIterator[tuple[Person, Person, str]]:
    async with one.person("alice") as alice, two.person("bob", "msgpack") as bob:
        conversation = await alice.call("conversation.open", user=bob.user)
        yield alice, bob, conversation["conversation"]["id"]


@pytest.fixture
async def own_redis(tmp_path: Path) -> AsyncIterator[redis.Server]:
    server = redis.Server(tmp_path / "redis", "+@all")
    await server.start()
    yield server
    await server.stop()


def empty(server: redis.Server) -> None:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(server.socket))
        peer.sendall(b"FLUSHALL\r\n")
        assert peer.recv(100).startswith(b"+OK")


def seen(person: Person, conversation: str) -> list[int]:
    """Numbers of messages in the order of delivery, own acks included; every gap must be announced."""
    last, found = 0, []
    for _, body in person.log:
        if body["t"] == "behind" and body["conversation"] == conversation:
            last = -1
        seq = seq_of(body)
        if seq:
            assert last == -1 or seq == last + 1, (last, seq)
            last = seq
            found.append(seq)
    return found


def seq_of(body: Reply) -> int:
    if body["t"] == "message.new":
        return int(body["message"]["seq"])
    return int(body["seq"]) if body["t"] == "message.ack" and not body["duplicate"] else 0


async def test_events_of_one_node_reach_the_other(config: Config) -> None:
    async with nodes(config) as (one, two), pair_on(one, two) as (alice, bob, conversation):
        assert (await bob.event("conversation.update"))["conversation"]["id"] == conversation
        ack = await alice.send(conversation, "over there")
        message = (await bob.event("message.new"))["message"]
        assert (message["id"], message["seq"], message["text"]) == (ack["message"], 1, "over there")
        await bob.call("receipt.read", conversation=conversation, seq=1)
        assert (await alice.event("message.read"))["user"] == bob.user
        await bob.call("typing.start", conversation=conversation)
        assert (await alice.event("typing.start"))["user"] == bob.user
        await bob.send(conversation, "back")
        assert (await alice.event("message.new"))["message"]["seq"] == 2


async def test_large_change_is_announced_as_behind_on_other_nodes(config: Config) -> None:
    generous = config.using(replace(config.get(ConversationLimits), payload_bytes=60_000))
    async with nodes(generous) as (one, two), pair_on(one, two) as (alice, bob, conversation):
        for size in (30_000, 40_000):
            ack = await alice.send(conversation, meta={"x": "x" * size})
        assert (await bob.event("message.new"))["message"]["seq"] == 1
        assert (await bob.event("behind"))["rev"] == ack["rev"]
        await alice.send(conversation, "small")
        assert (await bob.event("message.new"))["message"]["text"] == "small"


async def test_sends_on_both_nodes_have_one_order(config: Config) -> None:
    async with nodes(config) as (one, two), pair_on(one, two) as (alice, bob, conversation):

        async def write(person: Person) -> None:
            for number in range(100):
                await person.send(conversation, str(number))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, alice)
            nursery.start_soon(write, bob)
        for person in (alice, bob):
            await eventually(lambda person=person: len(seen(person, conversation)) >= 200)  # type: ignore[misc]
            assert seen(person, conversation) == list(range(1, 201))


async def test_logging_out_everywhere_closes_the_sockets_on_every_node(config: Config) -> None:
    async with nodes(config) as (one, two), one.person("alice") as here, two.connected(here.account) as there:
        await here.call("auth.logout", everywhere=True)
        assert (await there.ended()).code == 4404


async def test_a_later_node_gets_all_events(config: Config) -> None:
    async with (
        nodes(config) as (one, two),
        pair_on(one, two) as (alice, bob, conversation),
        running(config) as three,
        three.connected(bob.account) as also_bob,
    ):
        await alice.send(conversation)
        await also_bob.event("message.new")
        await bob.event("message.new")


async def test_an_emptied_stream_loses_no_event(config: Config, own_redis: redis.Server) -> None:
    shared = replace(config, redis=replace(config.redis, url=own_redis.url))
    async with nodes(shared) as (one, two), pair_on(one, two) as (alice, bob, conversation):
        for number in range(60):
            await alice.send(conversation, str(number))
            if number % 20 == 10:
                empty(own_redis)
        await bob.send(conversation, "the last one")
        await eventually(lambda: bool(seen(bob, conversation)) and seen(bob, conversation)[-1] == 61)
        await eventually(lambda: seen(alice, conversation)[-1] == 61)
        history = await bob.call("message.history", conversation=conversation, limit=200)
        assert [message["seq"] for message in history["items"]] == list(range(1, 62))


async def test_messages_without_redis_are_acked_and_reach_other_nodes(config: Config, own_redis: redis.Server) -> None:
    shared = replace(config, redis=replace(config.redis, url=own_redis.url))
    async with nodes(shared) as (one, two), pair_on(one, two) as (alice, bob, conversation):
        await own_redis.stop()
        ack = await alice.send(conversation, "nobody carries it")
        behind = await bob.event("behind", 2 * PATIENCE)
        assert (behind["conversation"], behind["rev"]) == (conversation, ack["rev"])
        changes = await bob.call("conversation.sync", conversation=conversation, rev=0)
        assert [message["text"] for message in changes["messages"]] == ["nobody carries it"]
        await own_redis.start()
        await trio.sleep(3)
        await alice.send(conversation, "live again")
        assert (await bob.event("message.new"))["message"]["text"] == "live again"


async def test_a_login_that_ended_while_the_bus_was_down_is_closed(config: Config, own_redis: redis.Server) -> None:
    shared = replace(config, redis=replace(config.redis, url=own_redis.url))
    async with nodes(shared) as (one, two), one.person("alice") as here, two.connected(here.account) as there:
        await own_redis.stop()
        await here.call("auth.logout", everywhere=True)
        assert (await there.ended(2 * PATIENCE)).code == 4404
