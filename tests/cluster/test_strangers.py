"""Strangers on different nodes: one pool, whichever node owns it, and no user is lost when the owner dies."""

from contextlib import AsyncExitStack

import pytest
import trio
from msgspec.structs import replace

from chatd.core.config import Config
from chatd.db.embedded import redis
from chatd.matching.settings import MatchSettings
from tests.cluster.conftest import QUICK
from tests.cluster.test_two_nodes import nodes, own_redis
from tests.support import PATIENCE, Daemon, Person, running

__all__ = ["own_redis"]
# Longer than the time after which a node is silent.
SILENT_S = 1.5 * QUICK.silence_s
RELAX_S = 1.0


@pytest.fixture
def quick(config: Config) -> Config:
    return config.using(MatchSettings(relax=0.3, grace=1.0))


async def meet(one: Person, two: Person, patience: float = PATIENCE) -> str:
    """Both search and are matched. Returns the conversation."""
    for person in (one, two):
        await person.call("match.find")
    found = await one.found(two, patience)
    assert (await two.event("match.found"))["match"] == found["match"]
    return str(found["conversation"])


async def test_users_of_two_nodes_are_matched_write_and_leave(quick: Config) -> None:
    async with nodes(quick) as (one, two), one.person("ann") as ann, two.person("ben") as ben:
        conversation = await meet(ann, ben)
        await ann.send(conversation, "hello over there")
        assert (await ben.event("message.new"))["message"]["text"] == "hello over there"
        await ben.call("match.leave")
        assert (await ann.event("match.ended"))["reason"] == "left"
        assert (await ann.refused("typing.start", conversation=conversation)).code == "not_found"


async def test_two_users_keep_a_match_across_nodes(quick: Config) -> None:
    async with nodes(quick) as (one, two), one.person("ann") as ann, two.person("ben") as ben:
        direct = (await ann.call("conversation.open", user=ben.user))["conversation"]["id"]
        for person in (ann, ben):
            await person.call("match.find")
        found = [await person.event("match.found") for person in (ann, ben)]
        conversation = found[0]["conversation"]
        await ann.send(conversation, "before")
        async with trio.open_nursery() as nursery:
            for person in (ann, ben):
                nursery.start_soon(person.call, "match.keep")
        for person in (ann, ben):
            assert (await person.event("match.kept"))["conversation"] == conversation != direct
            items = (await person.call("message.history", conversation=conversation))["items"]
            assert [item["text"] for item in items] == ["before"]
        await ben.send(conversation, "after")
        assert (await ann.event("message.new"))["message"]["text"] == "after"


async def test_cancelling_works_from_any_node(quick: Config) -> None:
    async with nodes(quick) as (one, two), AsyncExitStack() as stack:
        first = [await stack.enter_async_context(node.person()) for node in (one, two)]
        tickets = [(await person.call("match.find", tags=[person.user[-8:]]))["ticket"] for person in first]
        for person, ticket in zip(first, tickets, strict=True):
            await person.call("match.cancel", ticket=ticket)
        others = [await stack.enter_async_context(node.person()) for node in (one, two)]
        await meet(*others)


async def mortal(config: Config, task_status: trio.TaskStatus[tuple[Daemon, trio.CancelScope]]) -> None:
    """A node that can be killed from outside, without a message to others about its lease."""
    with trio.CancelScope() as scope:
        async with running(config) as daemon:
            task_status.started((daemon, scope))
            await trio.sleep_forever()


async def test_next_owner_serves_the_waiting_users(quick: Config) -> None:
    async with trio.open_nursery() as nursery:
        dying, scope = await nursery.start(mortal, quick)
        await own_the_pool(dying)
        async with nodes(quick) as (two, three), two.person("eve") as eve, three.person("sam") as sam:
            await eve.call("match.find", tags=["waiting"])
            scope.cancel()
            await sam.call("match.find", tags=["waiting"])
            await sam.found(eve)
            assert (await eve.event("match.found"))["waited_ms"] > 0


async def test_users_of_a_dead_owner_keep_their_waiting_time(quick: Config) -> None:
    """Only the event log knows the ticket."""
    patient = quick.using(replace(quick.get(MatchSettings), grace=60.0))
    async with trio.open_nursery() as nursery:
        dying, scope = await nursery.start(mortal, patient)
        await own_the_pool(dying)
        async with running(patient) as two, two.person("sam") as sam:
            async with dying.person("eve") as eve:
                await eve.call("match.find", tags=["waiting"])
                began = trio.current_time()
                await trio.sleep(0.3)
                scope.cancel()
                await eve.ended()
            async with two.connected(eve.account) as back:
                await trio.sleep(QUICK.silence_s)
                waited_s = trio.current_time() - began
                await sam.call("match.find", tags=["waiting"])
                assert (await back.found(sam))["waited_ms"] >= 1000 * waited_s


async def test_restart_of_the_only_node_keeps_all_tickets(quick: Config) -> None:
    patient = quick.using(replace(quick.get(MatchSettings), grace=60.0))
    async with trio.open_nursery() as nursery:
        first, scope = await nursery.start(mortal, patient)
        async with first.person("eve") as eve:
            await own_the_pool(first)
            await eve.call("match.find", tags=["waiting"])
            began = trio.current_time()
            await trio.sleep(0.3)
            scope.cancel()
            await eve.ended()
        async with running(patient) as again, again.connected(eve.account) as back, again.person("sam") as sam:
            waited_s = trio.current_time() - began
            await sam.call("match.find", tags=["waiting"])
            assert (await back.found(sam))["waited_ms"] >= 1000 * waited_s


async def test_a_ticket_follows_its_user_to_another_node(quick: Config) -> None:
    patient = quick.using(replace(quick.get(MatchSettings), grace=60.0))
    async with nodes(patient) as (one, two), two.person("sam") as sam:
        async with one.person("eve") as eve:
            await eve.call("match.find", tags=["waiting"])
        async with two.connected(eve.account) as back:
            await trio.sleep(0.5)
            await sam.call("match.find", tags=["waiting"])
            await back.found(sam)


async def test_a_search_over_rest_works_on_a_node_without_the_session(quick: Config) -> None:
    async with nodes(quick) as (one, two), one.person("ann") as ann, two.person("ben") as ben:
        for person, node in ((ann, two), (ben, one)):
            answer = await node.rest("POST", "/v1/match", {}, person.account.access_token)
            assert answer.body["t"] == "match.queued"
        await ann.found(ben)
        await ann.call("match.leave")
        await ben.event("match.ended")
        await ann.call("match.find")
        assert (await two.rest("DELETE", "/v1/match", token=ann.account.access_token)).status == 200
        await ben.call("match.find")
        with trio.move_on_after(1.5):
            await ben.event("match.found")
            raise AssertionError


async def own_the_pool(daemon: Daemon) -> None:
    """Wait until it owns the pool, so that a later node does not."""
    async with daemon.person() as one, daemon.person() as two:
        await meet(one, two)


async def test_a_reconnect_to_another_node_keeps_the_match(quick: Config) -> None:
    async with nodes(quick) as (one, two), two.person("ben") as ben:
        async with one.person("ann") as ann:
            conversation = await meet(ann, ben)
        async with two.connected(ann.account) as back:
            # Longer than the grace period.
            await trio.sleep(1.8)
            await back.send(conversation, "still here")
            assert (await ben.event("message.new"))["message"]["text"] == "still here"
        assert (await ben.event("match.ended"))["reason"] == "disconnected"


async def test_without_redis_a_reconnect_to_another_node_keeps_the_match(
    quick: Config, own_redis: redis.Server
) -> None:
    """The node that they left cannot ask the others, and does not take silence as an answer."""
    shared = replace(quick, redis=replace(quick.redis, url=own_redis.url))
    async with nodes(shared) as (one, two), two.person("ben") as ben:
        async with one.person("ann") as ann:
            conversation = await meet(ann, ben)
            await own_redis.stop()
            await trio.sleep(SILENT_S)
        async with two.connected(ann.account) as back:
            await trio.sleep(SILENT_S)
            await back.send(conversation, "still here")
            assert (await ben.event("message.new"))["message"]["text"] == "still here"
            await own_redis.start()
            await trio.sleep(SILENT_S)
            await back.send(conversation, "and now")
        assert (await ben.event("match.ended"))["reason"] == "disconnected"


async def test_without_redis_the_only_node_ends_abandoned_matches(quick: Config, own_redis: redis.Server) -> None:
    shared = replace(quick, redis=replace(quick.redis, url=own_redis.url))
    async with running(shared) as daemon, daemon.person() as ben:
        async with daemon.person() as ann:
            await meet(ann, ben)
            await own_redis.stop()
            await trio.sleep(SILENT_S)
        assert (await ben.event("match.ended"))["reason"] == "disconnected"


async def test_owner_continues_without_redis(quick: Config, own_redis: redis.Server) -> None:
    shared = replace(quick, redis=replace(quick.redis, url=own_redis.url))
    async with running(shared) as daemon:
        await own_the_pool(daemon)
        await own_redis.stop()
        async with daemon.person() as one, daemon.person() as two:
            await meet(one, two)


async def test_node_started_without_redis_pairs_users(quick: Config) -> None:
    alone = replace(quick, redis=replace(quick.redis, url="redis://127.0.0.1:1"))
    async with running(alone) as daemon, daemon.person() as one, daemon.person() as two:
        await meet(one, two, 15.0)


@pytest.mark.parametrize("owner", [0, 1])
async def test_a_block_on_another_node_while_waiting_prevents_the_match(config: Config, owner: int) -> None:
    """Both have waited since before the block; the ticket stays the same."""
    slow = config.using(MatchSettings(relax=RELAX_S))
    async with nodes(slow) as (one, two), one.person("ann") as ann, two.person("ben") as ben, two.person("eve") as eve:
        await own_the_pool((one, two)[owner])
        ticket = (await ann.call("match.find", tags=["tea"]))["ticket"]
        await ben.call("match.find", tags=["go"])
        answer = await two.rest("PUT", f"/v1/blocks/{ben.user}", token=ann.account.access_token)
        assert answer.status == 200
        await trio.sleep(2 * RELAX_S)
        assert (await ann.call("match.status"))["ticket"] == ticket
        assert (await ben.call("match.status"))["waiting"] == 2
        await eve.call("match.find", tags=["tea"])
        await ann.found(eve)
        await ann.call("match.leave", ticket=ticket)
