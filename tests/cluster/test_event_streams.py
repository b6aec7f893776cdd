"""Streams and polls whose requests reach any node, and nodes that are killed."""

import dataclasses
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trio
from msgspec.structs import replace

from chatd.accounts.settings import AuthSettings
from chatd.app.addresses import Addresses
from chatd.client import Account, sign_up
from chatd.core.config import Config
from chatd.db.redis import Redis, open_redis
from chatd.event_streams.session import EventSession
from chatd.event_streams.settings import EventSettings
from chatd.event_streams.subsystem import EVENT_STREAMS, open_event_streams
from chatd.subsystems import SUBSYSTEMS
from tests.bots.world import bots_of
from tests.cluster.conftest import QUICK
from tests.cluster.test_match_kills import finish
from tests.cluster.test_two_nodes import nodes
from tests.conftest import Servers
from tests.event_streams.streams import Poller, event_stream
from tests.event_streams.test_ends import sessions
from tests.faults.process import Process, linked
from tests.support import PATIENCE, Daemon, Person, altered

SEEDS = int(os.environ.get("CHATD_TEST_DEPTH", "1"))
ROUNDS = 30


class Wanderer:
    """A client that streams and polls by turns, at random nodes, and loses responses and connections."""

    def __init__(self, daemons: list[Daemon], token: str, chance: random.Random) -> None:
        self._daemons = daemons
        self._chance = chance
        self.poller = Poller(token)

    async def turn(self) -> None:
        daemon = self._chance.choice(self._daemons)
        match self._chance.randrange(4):
            case 0:
                await self.poller.poll(daemon, 0, is_lost=True)
            case 1:
                await self.poller.poll(daemon, 0.05)
            case 2:
                # Abandoned while it waits.
                with trio.move_on_after(0.02):
                    await self.poller.poll(daemon, 5, is_lost=True)
            case _:
                await self._stream(daemon)

    async def _stream(self, daemon: Daemon) -> None:
        """Read a few events and disconnect, possibly in the middle of one."""
        async with event_stream(daemon, self.poller.token, self.poller.position) as stream:
            with trio.move_on_after(0.1):
                while len(stream.events) < self._chance.randrange(1, 4) and await stream.read_more():
                    pass
            self.poller.events += stream.events
            self.poller.position = stream.position or self.poller.position

    async def catch_up(self, last: str) -> None:
        with trio.fail_after(PATIENCE):
            while not any(event.get("message", {}).get("text") == last for event in self.poller.events):
                await self.poller.poll(self._chance.choice(self._daemons), 1)


async def write(alice: Person, conversation: str, chance: random.Random, number: int) -> None:
    """Something that others get events of."""
    sent = await alice.send(conversation, str(number))
    if chance.random() < 0.3:
        await alice.call("message.edit", conversation=conversation, message=sent["message"], text=f"{number}!")
    if chance.random() < 0.3:
        await alice.call("reaction.add", conversation=conversation, message=sent["message"], emoji="👍")


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_client_of_any_node_gets_what_a_socket_gets(config: Config, seed: int) -> None:
    """The same events, each once, in the same order, whatever is lost, repeated or sent to another node."""
    chance = random.Random(seed)
    async with nodes(config) as daemons, daemons[chance.randrange(2)].person("alice") as alice:
        bob = await sign_up(daemons[0].addresses.http, name="bob")
        conversation = (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]
        client = Wanderer(daemons, bob.access_token, chance)
        # The session begins at the node of the socket.
        await client.poller.poll(daemons[0])
        async with daemons[0].connected(bob) as socket:
            for number in range(ROUNDS):
                await write(alice, conversation, chance, number)
                await client.turn()
            await alice.send(conversation, "last")
            await client.catch_up("last")
            while not any(event.get("message", {}).get("text") == "last" for event in socket.events):
                await trio.sleep(0.01)
            expected = [dict(event) for event in socket.events]
    assert [event["t"] for event in client.poller.events[:1]] == ["connected"]
    assert client.poller.events[1:] == expected


async def test_commands_of_a_session_work_on_any_node(config: Config) -> None:
    async with nodes(config) as (one, two), two.person("alice") as alice:
        bob = await sign_up(one.addresses.http, name="bob")
        conversation = (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]
        poller = Poller(bob.access_token)
        await poller.poll(one)
        mine = {"Chatd_Session": poller.session}
        watched = await two.rest("PUT", "/v1/presence/watch", {"users": [alice.user]}, bob.access_token, **mine)
        assert [item["user"] for item in watched.body["items"]] == [alice.user]
        await alice.call("presence.set", status="away")
        # Node one may hear that she is online after the watch.
        while (update := await poller.event(two, "presence.update"))["status"] == "online":
            continue
        assert update["status"] == "away"
        refreshed = await two.rest("PUT", "/v1/auth/session", {"token": bob.access_token}, bob.access_token, **mine)
        assert refreshed.body["t"] == "auth.refreshed"
        # No echo of its own message, and one of Alice's.
        body = {"client_id": "1", "text": "mine"}
        await two.rest("POST", f"/v1/conversations/{conversation}/messages", body, bob.access_token, **mine)
        await alice.send(conversation, "hers")
        assert (await poller.event(two, "message.new"))["message"]["text"] == "hers"
        # A session that is not there, and one of another user: no node answers for it.
        for name in (str(uuid4()), alice.hello["session"]):
            other = {"Chatd_Session": name}
            answer = await one.rest("PUT", "/v1/presence", {"status": "away"}, bob.access_token, **other)
            assert answer.body["code"] == "not_found"


async def test_a_bot_is_judged_as_a_bot_on_any_node(config: Config) -> None:
    """The commands of a session: those that a bot may not use, and the one that it may."""
    async with nodes(config) as (one, two):
        bots = await bots_of(one)
        async with bots.connected() as bot:
            mine = {"Chatd_Session": bot.hello["session"]}
            token = bot.account.access_token
            for path, body, code in (
                ("/v1/presence", {"status": "away"}, "forbidden"),
                ("/v1/presence/watch", {"users": []}, "forbidden"),
                ("/v1/auth/session", {"token": token}, None),
            ):
                for daemon in (one, two):
                    answer = await daemon.rest("PUT", path, body, token, **mine)
                    assert answer.body.get("code") == code, (path, daemon is one, answer.body)


async def test_no_other_node_is_asked_for_a_user_who_sends_too_much(config: Config) -> None:
    """The node that has the request charges it: there is no answer of a node that has the session."""
    slow = replace(config, limits=replace(config.limits, user_commands_per_second=0.001, user_commands_burst=10))
    async with nodes(slow) as (one, two):
        bob = await sign_up(one.addresses.http, name="bob")
        poller = Poller(bob.access_token)
        await poller.poll(one)

        async def answer(session: str) -> Any:
            body = {"status": "away"}
            return (await two.rest("PUT", "/v1/presence", body, bob.access_token, Chatd_Session=session)).body

        assert await answer(poller.session) == {"t": "ok"}
        while (await two.rest("GET", "/v1/me", token=bob.access_token)).status == 200:
            pass
        for session in (poller.session, str(uuid4())):
            assert (await answer(session))["code"] == "rate_limited"
        # The other node has been asked for the first one only.
        assert await poller.poll(one) == []


async def test_only_a_valid_token_of_the_user_reads_a_session(config: Config) -> None:
    """On the node of the session and on another: a token that is refused reads nothing, and changes nothing."""
    auth = replace(config.get(AuthSettings), leeway=0.0)
    brief = config.using(EventSettings(grace=2), auth)
    async with nodes(brief) as (one, two):
        bob, eve = await sign_up(one.addresses.http, name="bob"), await sign_up(one.addresses.http, name="eve")
        # All of them expire later than the token of the session, but for the one that has expired.
        revoked, other = one.token(bob.user), one.token(eve.user)
        assert (await one.rest("POST", "/v1/auth/logout", {}, revoked)).status == 200
        refused = [revoked, one.token(bob.user, exp=int(time.time()) - 1), "x.y.z"]
        poller = Poller(bob.access_token)
        await poller.poll(one)
        position = poller.position
        for daemon in (one, two):
            for place in (position, f"{position}0"):
                for token in refused:
                    poller.token, poller.position = token, place
                    assert (await poller.answer(daemon)).status == 401
                stranger = Poller(other)
                stranger.position = place
                assert [event["t"] for event in await stranger.poll(daemon)] == ["connected"]
                assert stranger.session != poller.session
        poller.token, poller.position = bob.access_token, position
        assert await poller.poll(one) == []
        poller.token = revoked
        with trio.fail_after(PATIENCE):
            while await sessions(one, "poll"):
                assert (await poller.answer(one)).status == 401


async def test_a_session_ends_with_the_login_that_reads_it(config: Config) -> None:
    """A stolen token that is revoked reads no more, although the session began under another one."""
    async with nodes(config) as (one, two):
        bob = await sign_up(one.addresses.http, name="bob")
        for daemon in (one, two):
            # It expires earlier.
            stolen = one.token(bob.user, exp=int(time.time()) + 300)
            poller = Poller(bob.access_token)
            await poller.poll(one)
            poller.token = stolen
            async with event_stream(daemon, stolen, poller.position) as stream:
                assert (await one.rest("POST", "/v1/auth/logout", {}, stolen)).status == 200
                assert [event["t"] for event in await stream.rest()] == ["closed"]


async def contents(redis: Redis) -> bytes:
    """All keys of these nodes, with what is in them."""
    reads = {b"string": ("GET",), b"list": ("LRANGE", 0, -1), b"stream": ("XRANGE", "-", "+"), b"hash": ("HGETALL",)}
    reads |= {b"set": ("SMEMBERS",), b"zset": ("ZRANGE", 0, -1)}
    found = []
    for key in await redis.call("KEYS", redis.key("*")):
        kind = await redis.call("TYPE", key)
        if kind != b"none":
            name, *others = reads[kind]
            found += [key, await redis.call(name, key, *others)]
    return repr(found).encode()


async def test_no_secret_of_a_command_remains_in_redis(config: Config, servers: Servers) -> None:
    """Of a session on another node, of no session, and of another user."""
    async with nodes(config) as (one, two), open_redis(config.redis, servers.redis) as redis, one.person() as eve:
        bob = await sign_up(one.addresses.http, name="bob")
        poller = Poller(bob.access_token)
        await poller.poll(one)
        before = await contents(redis)
        assert b"bus" in before
        for session, status in ((poller.session, 200), (str(uuid4()), 404), (eve.hello["session"], 404)):
            token = two.token(bob.user)
            answer = await two.rest(
                "PUT", "/v1/auth/session", {"token": token}, bob.access_token, Chatd_Session=session
            )
            assert answer.status == status, answer.body
            after = await contents(redis)
            # The question has been there.
            assert session.encode() in after
            for part in token.split(".")[1:]:
                assert part.encode() not in after
            assert b"relay" not in after


async def test_a_node_that_cannot_answer_says_so(
    config: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At once, in place of a timeout after which a client would begin another session; and the log is not flooded."""
    caplog.set_level("INFO", "chatd")
    full = dataclasses.replace(EVENT_STREAMS, open=partial(open_event_streams, max_questions=0))
    for subsystems, logged in (
        (altered(full), "too many requests of another node"),
        (SUBSYSTEMS, "answers to other nodes failed"),
    ):
        async with nodes(config, 2, subsystems) as (one, two):
            bob = await sign_up(one.addresses.http, name="bob")
            poller = Poller(bob.access_token)
            await poller.poll(one)
            with monkeypatch.context() as broken:
                # For the second kind of failure.
                broken.setattr(EventSession, "can_continue", None)
                for _ in range(3):
                    answer = await poller.answer(two, 5)
                    assert (answer.status, answer.body["code"]) == (503, "unavailable")
            assert [record.getMessage().startswith(logged) for record in caplog.records].count(True) == 1
            assert await poller.poll(one) == []
            assert (await poller.answer(two)).status == (200 if subsystems is SUBSYSTEMS else 503)


@pytest.fixture
async def fleet(dsn: str, servers: Servers, tmp_path: Path) -> AsyncIterator[list[Process]]:
    """Two nodes that share their databases."""
    settings = {
        "CHATD_POSTGRES__DSN": dsn,
        "CHATD_POSTGRES__ALLOW_UNSAFE_DURABILITY": "true",
        "CHATD_REDIS__URL": servers.redis,
        "CHATD_REDIS__PREFIX": f"streams-{os.getpid()}",
        "CHATD_CLUSTER__HEARTBEAT": str(QUICK.heartbeat),
        "CHATD_GATEWAY__HEARTBEAT": "1",
    }
    found = [Process(tmp_path / f"node{number}", **settings) for number in range(2)]
    async with AsyncExitStack() as stack:
        for node in found:
            stack.push_async_callback(finish, node)
            await node.start()
        yield found


def place_of(node: Process) -> Daemon:
    return Daemon(Config(), Addresses(node.socket, node.http))


async def missed(daemon: Daemon, bob: Account, conversation: str, after: int) -> list[Any]:
    path = f"/v1/conversations/{conversation}/sync?rev={after}"
    return list((await daemon.rest("GET", path, token=bob.access_token)).body["messages"])


async def test_after_the_death_of_its_node_a_client_syncs_on_another(fleet: list[Process]) -> None:
    """A stream by way of the other node, and a poll; their node is killed. Nothing is lost and nothing twice."""
    one, two = map(place_of, fleet)
    alice, bob = await sign_up(fleet[1].http, name="alice"), await sign_up(fleet[1].http, name="bob")
    async with linked(fleet[1], alice) as link:
        opened = await link.call({"t": "conversation.open", "user": bob.user})
        conversation = opened["conversation"]["id"]

        async def send(text: str) -> None:
            body = {"conversation": conversation, "client_id": text, "text": text}
            await link.call({"t": "message.send", **body})

        poller = Poller(bob.access_token)
        await poller.poll(one)
        async with event_stream(one, bob.access_token) as begun:
            await begun.event("connected")
        async with event_stream(two, bob.access_token, begun.position) as stream:
            await send("before")
            first = await stream.event("message.new")
            assert first["message"]["text"] == "before"
            await fleet[0].kill()
            await send("after")
            hello = await stream.event("connected", 3 * PATIENCE)
            assert hello["session"] != begun.events[0]["session"]
            synced = await missed(two, bob, conversation, first["rev"])
            assert [message["text"] for message in synced] == ["after"]
            await send("now")
            assert (await stream.event("message.new"))["message"]["text"] == "now"
        found = await poller.poll(two, 1)
        assert [event["t"] for event in found] == ["connected"]
