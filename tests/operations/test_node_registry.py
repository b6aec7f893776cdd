"""The list of running nodes, and their states."""

import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import trio
from msgspec.structs import replace

from chatd import __version__
from chatd.app.maintenance import change
from chatd.cluster import control_messages
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.db.embedded import redis as embedded_redis
from chatd.db.postgres import Postgres
from chatd.db.redis import Redis, open_redis
from chatd.operations import node_registry, process
from chatd.operations.snapshot import Snapshot
from tests.cluster.test_bans import moderator
from tests.cluster.test_maintenance import order
from tests.cluster.test_two_nodes import nodes, own_redis
from tests.support import NOBODY, PATIENCE, Daemon, operator, poll_until, running

__all__ = ["moderator", "own_redis"]


@pytest.fixture
async def redis(config: Config, loop: None) -> AsyncIterator[Redis]:
    async with open_redis(config.redis) as opened:
        yield opened


async def those_who(redis: Redis, are_there: int, state: str = "ready") -> list[Snapshot]:
    """The nodes, once there are as many in this state."""

    async def in_state() -> list[Snapshot]:
        return [snapshot for snapshot in await node_registry.read(redis) if snapshot.state == state]

    return await poll_until(in_state, lambda found: len(found) == are_there)


async def until(redis: Redis, holds: object) -> Snapshot:
    with trio.fail_after(PATIENCE):
        while True:
            # A Redis that has just started refuses commands until it has loaded its data.
            with suppress(Refused):
                for snapshot in await node_registry.read(redis):
                    if holds(snapshot):  # type: ignore[operator]
                        return snapshot
            await trio.sleep(0.05)


async def test_node_reports_its_health(daemon: Daemon, redis: Redis) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        await alice.send(conversation)
        await bob.event("message.new")
        await bob.refused("message.send", conversation=NOBODY, client_id=NOBODY, text="x")
        # A background service may use the only connection at the moment of a snapshot.
        now = await until(
            redis,
            lambda snapshot: (
                snapshot.number("chatd_refusals_total") and snapshot.number("chatd_postgres_idle_connections")
            ),
        )
        assert (now.identity.version, now.identity.http) == (__version__, daemon.addresses.http)
        number, commands = now.number, now.durations_of("chatd_command_seconds")
        assert (now.state, number("chatd_sessions"), number("chatd_users"), number("chatd_connections")) == (
            "ready",
            2,
            2,
            2,
        )
        assert now.numbers["chatd_refusals_total"] == [(("not_found",), 1)]
        assert (number("chatd_handshakes_accepted_total"), number("chatd_pending_handshakes")) == (2, 0)
        assert number("chatd_handshakes_refused_total") == 0
        assert (number("chatd_messages_total"), number("chatd_message_log_waiting_entries")) == (1, 0)
        assert now.duration("chatd_message_log_commit_seconds").count == number("chatd_message_log_batches_total") >= 1
        assert number("chatd_deliveries_total") >= 1
        assert (commands["message.send"].count, commands["conversation.open"].count) == (2, 1)
        assert number("chatd_match_pool_owner") == 1
        assert now.duration("chatd_event_loop_lag_seconds").count > 0
        assert number("chatd_timers") >= 2
        assert 0 < number("chatd_postgres_idle_connections") <= number("chatd_postgres_connections")
        for name in ("resident_memory_bytes", "cpu_seconds_total", "open_fds"):
            assert number(f"chatd_process_{name}") > 0
        assert number("chatd_tasks") > 0
        assert len(now.numbers["chatd_gc_collections_total"]) == 3
    ended = await until(redis, lambda snapshot: not snapshot.number("chatd_sessions"))
    assert ended.numbers["chatd_session_closes_total"] == [(("by_peer",), 2)]


async def test_snapshot_contains_the_queues(daemon: Daemon, redis: Redis) -> None:
    async with daemon.person() as person:
        await person.call("match.find", queue="chess")
        now = await until(redis, lambda snapshot: snapshot.number("chatd_match_waiting_tickets"))
        assert now.queues == [("default", "chess", 1)]


async def test_all_nodes_are_on_the_list_until_they_leave(config: Config, redis: Redis) -> None:
    async with nodes(config) as (one, two):
        found = await those_who(redis, 2)
        assert {snapshot.identity.http for snapshot in found} == {one.addresses.http, two.addresses.http}
        for snapshot in found:
            assert 0 < await redis.call("PTTL", redis.key("node", snapshot.identity.node)) <= node_registry.LEASE_MS
        await order(config, control_messages.StartDrain(found[0].identity.node, 0.0), "drain")
        assert await those_who(redis, 1) == await those_who(redis, 1)
        key = redis.key("node", found[0].identity.node)
        await poll_until(lambda: redis.call("EXISTS", key), lambda count: count == 0)
        assert await redis.call("ZSCORE", redis.key("nodes"), found[0].identity.node) is None


async def test_node_list_contains_the_state(config: Config, redis: Redis, moderator: Postgres) -> None:
    await change(moderator, operator(), True, "", None)
    async with running(config), trio.open_nursery() as nursery:
        await those_who(redis, 1, "maintenance")
        nursery.cancel_scope.cancel()


async def test_dead_node_leaves_the_list_when_its_key_expires(config: Config, redis: Redis) -> None:
    async with running(config):
        (node,) = await those_who(redis, 1)
    key = redis.key("node", node.identity.node)
    assert 0 < await redis.call("PTTL", key) <= node_registry.LEASE_MS
    assert 0 < await redis.call("PTTL", redis.key("nodes")) <= node_registry.LEASE_MS
    await redis.call("DEL", key)
    assert await node_registry.read(redis) == []


async def test_unreadable_snapshots_are_not_listed(daemon: Daemon, redis: Redis) -> None:
    await those_who(redis, 1)
    for name, text in (("a", "{}"), ("b", "\x1b[31m"), ("c", "")):
        await redis.call("SET", redis.key("node", name), text)
        await redis.call("ZADD", redis.key("nodes"), 2**52, name)
    assert len(await node_registry.read(redis)) == 1


async def test_node_list_without_redis_does_not_block(config: Config, own_redis: embedded_redis.Server) -> None:
    shared = replace(config, redis=replace(config.redis, url=own_redis.url))
    async with running(shared) as daemon, daemon.person() as person, open_redis(shared.redis) as redis:
        (before,) = await those_who(redis, 1)
        await own_redis.stop()
        with pytest.raises(Refused):
            await node_registry.read(redis)
        assert await person.is_served()
        assert (await daemon.rest("GET", "/metrics", Host="localhost")).status == 200
        assert (await daemon.rest("GET", "/metrics/nodes", Host="localhost")).status == 503
        await own_redis.start()
        again = await until(redis, lambda snapshot: snapshot.at > before.at)
        assert again.identity == before.identity


async def test_expensive_metrics_are_cached() -> None:
    rare, fresh = process.ProcessCounts(max_age_s=600), process.ProcessCounts(max_age_s=0)
    before = rare.open_fds(), fresh.open_fds()
    with socket.socket():
        assert (rare.open_fds(), fresh.open_fds()) == (before[0], before[1] + 1)
