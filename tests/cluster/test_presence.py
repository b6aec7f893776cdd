"""Presence on several nodes: the node of a user makes no difference, and no user stays online on a dead node."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from chatd.cluster import control_messages
from chatd.cluster.stream_entries import announce
from chatd.core.config import Config
from chatd.db.embedded import redis as embedded_redis
from chatd.db.postgres import Postgres
from chatd.db.redis import open_redis
from chatd.presence.service import MIN_LEASE_BEATS
from chatd.presence.settings import PresenceSettings
from tests.cluster.conftest import QUICK
from tests.cluster.test_bans import moderator
from tests.cluster.test_strangers import mortal
from tests.cluster.test_two_nodes import empty, nodes, own_redis
from tests.presence.test_presence import gets_no_update, look, next_update, seen, updates
from tests.support import PATIENCE, Daemon, Person, running

__all__ = ["moderator", "own_redis"]
GRACE = 1.0
# The shortest lease of a node.
LEASE_S = MIN_LEASE_BEATS * QUICK.check_s
# Longer than a lease, and the time to detect its end.
DEAD = 25.0


@pytest.fixture
def quick(config: Config) -> Config:
    return config.using(PresenceSettings(grace=GRACE))


@asynccontextmanager
async def watching(watcher: Daemon, other: Daemon) -> AsyncIterator[tuple[Person, Person]]:
    """Ann watches Ben, who is on another node."""
    async with watcher.person("ann") as ann, other.person("ben") as ben:
        with trio.fail_after(PATIENCE):
            while await look(ann, ben) != ["online"]:
                await trio.sleep(0.1)
        ann.events.clear()
        yield ann, ben


async def test_presence_is_delivered_across_nodes(quick: Config) -> None:
    async with nodes(quick) as (one, two), watching(one, two) as (ann, ben):
        await ben.call("presence.set", status="away")
        assert await next_update(ann) == (ben.user, "away")
        await trio.aclose_forcefully(ben.connection)
        update = await ann.event("presence.update")
        assert (update["status"], update["last_seen"] is not None) == ("offline", True)
        async with two.connected(ben.account):
            assert await next_update(ann) == (ben.user, "online")


async def test_a_reconnect_on_another_node_shows_no_absence(quick: Config) -> None:
    async with nodes(quick) as (one, two), watching(one, two) as (ann, ben):
        await trio.aclose_forcefully(ben.connection)
        async with one.connected(ben.account):
            await gets_no_update(ann, GRACE + LEASE_S)
            assert await seen(ann, ben) == ["online"]


async def test_two_devices_on_two_nodes(quick: Config) -> None:
    async with nodes(quick) as (one, two), watching(one, two) as (ann, ben), one.connected(ben.account) as phone:
        await ben.call("presence.set", status="away")
        await gets_no_update(ann)
        await phone.call("presence.set", status="away")
        assert await next_update(ann) == (ben.user, "away")


async def test_a_block_on_another_node_hides_both_users(quick: Config) -> None:
    async with nodes(quick) as (one, two), watching(one, two) as (ann, ben):
        await ben.call("user.block", user=ann.user)
        assert await next_update(ann) == (ben.user, "offline")
        await ben.call("presence.set", status="away")
        await gets_no_update(ann)


async def test_users_of_a_dead_node_go_offline(quick: Config) -> None:
    """Ben and Eve were connected to it; Eve reconnects in time."""
    async with trio.open_nursery() as nursery:
        dying, scope = await nursery.start(mortal, quick)
        async with nodes(quick) as (one, two), watching(one, dying) as (ann, ben), watching(two, dying) as (_, eve):
            await look(ann, ben, eve)
            scope.cancel()
            await ben.ended()
            async with two.connected(eve.account):
                assert await seen(ann, ben, eve) == ["online", "online"]
                update = await ann.event("presence.update", DEAD)
                assert (update["user"], update["status"], update["last_seen"] is not None) == (
                    ben.user,
                    "offline",
                    True,
                )
                assert await seen(ann, ben, eve) == ["offline", "online"]
                assert not updates(ann)


async def test_the_next_node_removes_a_dead_one(quick: Config) -> None:
    async with trio.open_nursery() as nursery:
        first, scope = await nursery.start(mortal, quick)
        async with first.person() as ben:
            await trio.sleep(0.5)
            scope.cancel()
            await ben.ended()
        async with running(quick) as again, again.person() as ann:
            assert await look(ann, ben) == ["online"]
            assert (await ann.event("presence.update", DEAD))["last_seen"] is not None


async def test_a_drain_causes_no_presence_event_for_quick_reconnects(quick: Config) -> None:
    patient = replace(quick, drain=replace(quick.drain, timeout=1.0)).using(PresenceSettings(grace=2.5))
    async with running(patient) as one, trio.open_nursery() as nursery:
        leaving, _ = await nursery.start(mortal, patient)
        async with watching(one, leaving) as (ann, ben), watching(one, leaving) as (_, eve):
            await look(ann, ben, eve)
            await drain_the_last(patient, of=2)
            await ben.ended()
            await eve.ended()
            async with one.connected(ben.account):
                update = await ann.event("presence.update", DEAD)
                assert (update["user"], update["status"]) == (eve.user, "offline")
                await gets_no_update(ann, 1.0)
        nursery.cancel_scope.cancel()


async def test_a_node_that_stops_saves_last_seen(quick: Config, own_redis: embedded_redis.Server) -> None:
    """Even if its entries in Redis can no longer be read."""
    shared = replace(quick, redis=replace(quick.redis, url=own_redis.url), drain=replace(quick.drain, spread=0.1))
    async with trio.open_nursery() as nursery:
        first, _ = await nursery.start(mortal, shared)
        async with first.person() as ben:
            await drain_the_last(shared)
            await ben.ended()
        with trio.fail_after(PATIENCE):
            while await is_served(first):
                await trio.sleep(0.1)
        empty(own_redis)
        async with running(shared) as again, again.person() as ann:
            state = (await ann.call("presence.query", users=[ben.user]))["items"][0]
            assert (state["status"], state["last_seen"] is not None) == ("offline", True)
        nursery.cancel_scope.cancel()


async def test_last_seen_is_saved_although_the_database_is_slow_at_the_stop(quick: Config, moderator: Postgres) -> None:
    """A periodic write runs in between."""
    patient = replace(quick, drain=replace(quick.drain, spread=0.1))
    async with trio.open_nursery() as nursery:
        first, _ = await nursery.start(mortal, patient)
        async with first.person() as ben:
            nursery.start_soon(moderator.run_on_connection, hold_the_settings)
            await drain_the_last(patient)
            await ben.ended()
        with trio.fail_after(PATIENCE):
            while await is_served(first):
                await trio.sleep(0.1)
        assert await moderator.value("select last_seen_at from user_settings where user_id = $1", ben.user)
        nursery.cancel_scope.cancel()


async def hold_the_settings(connection: Any) -> None:
    """Lock the settings for a second."""
    async with connection.transaction():
        await connection.execute("lock table user_settings in exclusive mode")
        await connection.execute("select pg_sleep(1)")


async def is_served(daemon: Daemon) -> bool:
    try:
        return (await daemon.rest("GET", "/healthz")).status == 200
    except (OSError, IndexError, trio.BrokenResourceError):
        return False


async def drain_the_last(config: Config, of: int = 1) -> None:
    """Drain the node that was started last, once this many nodes have registered their presence."""
    async with open_redis(config.redis) as redis:
        with trio.fail_after(PATIENCE):
            while len(names := await redis.call("ZRANGE", redis.key("presence"), 0, -1)) < of:
                await trio.sleep(0.01)
        name = max(names).decode()
        await announce(redis, "operator", control_messages.encode(control_messages.StartDrain(name, 0.1)))


async def test_presence_is_written_again_after_redis_lost_it(quick: Config, own_redis: embedded_redis.Server) -> None:
    """Within one lease, and without a presence event in between."""
    shared = replace(quick, redis=replace(quick.redis, url=own_redis.url))
    async with nodes(shared) as (one, two), watching(one, two) as (ann, ben), two.person() as eve:
        empty(own_redis)
        with trio.fail_after(PATIENCE):
            while await seen(ann, eve) != ["online"]:
                await trio.sleep(0.1)
        await gets_no_update(ann, LEASE_S)
        await ben.call("presence.set", status="away")
        assert await next_update(ann) == (ben.user, "away")


async def test_without_redis_the_last_known_presence_stays(quick: Config, own_redis: embedded_redis.Server) -> None:
    shared = replace(quick, redis=replace(quick.redis, url=own_redis.url))
    async with (
        nodes(shared) as (one, two),
        watching(one, two) as (ann, ben),
        one.person() as eve,
        two.person() as sam,
    ):
        await own_redis.stop()
        assert await look(eve, ann, sam) == ["online", "offline"]
        assert await look(ann, ben, eve) == ["online", "online"]
        await eve.call("presence.set", status="away")
        assert await next_update(ann) == (eve.user, "away")
        await ben.call("presence.set", status="away")
        await trio.sleep(LEASE_S + 1)
        await own_redis.start()
        assert await last_status(ann, ben) == "away"
        assert await last_status(eve, sam) == "online"
        await gets_no_update(ann, LEASE_S)


async def last_status(person: Person, other: Person) -> str:
    """The last presence of a user that was received."""
    with trio.fail_after(PATIENCE):
        while True:
            user, status = await next_update(person)
            if user == other.user:
                return status
