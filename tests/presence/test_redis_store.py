"""The store of presence in Redis."""

from collections.abc import AsyncIterator
from itertools import count

import pytest
import trio

from chatd.core.config import RedisSection
from chatd.db.redis import Redis, open_redis
from chatd.presence.redis_store import BATCH_SIZE, HeartbeatReply, PresenceStore
from tests.conftest import Servers
from tests.support import PATIENCE

NUMBERS = count()
ID = "0190a3c4-5b00-7000-8000-{:012x}".format
ANN, BEN = ("default", ID(1)), ("a/b:c", ID(1))


@pytest.fixture
async def redis(servers: Servers, loop: None) -> AsyncIterator[Redis]:
    async with open_redis(RedisSection(prefix=f"store{next(NUMBERS)}", timeout=PATIENCE), servers.redis) as opened:
        yield opened


async def all_users(store: PresenceStore, node: str) -> set[tuple[str, str]]:
    return {user async for users in store.users_of(node) for user in users}


async def test_presence_written_by_one_node_is_read_by_another(redis: Redis) -> None:
    one, two = PresenceStore(redis, "one", 10), PresenceStore(redis, "two", 10)
    assert await one.heartbeat() is None
    await one.register([(ANN, 2)])
    await two.register([])
    assert await two.levels([ANN, BEN]) == {"one": {ANN: 2, BEN: 0}, "two": {ANN: 0, BEN: 0}}
    await one.write([(ANN, 0), (BEN, 1)])
    assert (await two.levels([ANN, BEN]))["one"] == {ANN: 0, BEN: 1}
    await one.register([(ANN, 1)])
    assert (await two.levels([ANN, BEN]))["one"] == {ANN: 1, BEN: 0}
    reply = await two.heartbeat()
    assert reply is not None
    assert (reply.nodes, reply.expired) == ({"one", "two"}, None)


async def test_many_users_are_stored_at_once(redis: Redis) -> None:
    store = PresenceStore(redis, "one", 10)
    users = [("default", ID(number)) for number in range(2 * BATCH_SIZE + 1)]
    await store.register((user, 2) for user in users)
    assert (await store.levels(users))["one"] == dict.fromkeys(users, 2)
    assert await all_users(store, "one") == set(users)
    await store.write([(user, 0) for user in users])
    assert await all_users(store, "one") == set()
    assert await store.heartbeat() is not None


async def test_one_node_removes_an_expired_one_once(redis: Redis) -> None:
    expired, one, two = (
        PresenceStore(redis, "dead", 0.05),
        PresenceStore(redis, "one", 10),
        PresenceStore(redis, "two", 10),
    )
    for store in (expired, one, two):
        await store.register([(BEN, 2)])
    # Longer than the time to live of the first one.
    await trio.sleep(0.1)
    unready = await one.heartbeat(remove_expired=False)
    assert unready is not None
    assert unready.expired is None
    reply, other = await one.heartbeat(), await two.heartbeat()
    assert reply is not None
    assert other is not None
    assert reply.expired is not None
    assert (reply.expired.node, other.expired, "dead" in other.nodes) == ("dead", None, True)
    assert await all_users(one, "dead") == {BEN}
    assert await one.remove_expired(reply.expired)
    assert not await one.remove_expired(reply.expired)
    assert sorted(await two.levels([BEN])) == ["one", "two"]
    assert await expired.heartbeat() is None


async def test_a_node_that_has_come_back_is_not_removed(redis: Redis) -> None:
    slow, one = PresenceStore(redis, "slow", 0.05), PresenceStore(redis, "one", 10)
    for store in (slow, one):
        await store.register([(ANN, 2)])
    # Longer than the time to live of the slow one.
    await trio.sleep(0.1)
    reply = await one.heartbeat()
    assert reply is not None
    assert reply.expired is not None
    assert await slow.heartbeat() is not None
    assert not await one.remove_expired(reply.expired)
    assert (await one.levels([ANN]))["slow"] == {ANN: 2}


async def test_foreign_fields_are_skipped(redis: Redis) -> None:
    store = PresenceStore(redis, "one", 10)
    await store.register([(ANN, 2)])
    await redis.call(
        "HSET", redis.key("presence", "one"), "not/one of ours", 2, f"{ID(2)}/default", "x", b"\xff\xfe", 2
    )
    assert await store.levels([ANN, ("default", ID(2)), ("one of ours", "not")]) == {
        "one": {ANN: 2, ("default", ID(2)): 0, ("one of ours", "not"): 2}
    }
    assert await all_users(store, "one") == {ANN, ("default", ID(2))}


async def test_after_the_loss_of_a_key_the_node_is_not_registered(redis: Redis) -> None:
    store = PresenceStore(redis, "one", 10)
    for key in (redis.key("presence"), redis.key("presence", "one")):
        await store.register([(ANN, 2)])
        assert await store.heartbeat() is not None
        await redis.call("DEL", key)
        assert await store.heartbeat() is None


async def test_of_many_nodes_one_may_remove_an_expired_one(redis: Redis) -> None:
    stores = [PresenceStore(redis, f"node {number}", 10) for number in range(6)]
    for store in stores:
        await store.register([])
    for number in range(5):
        await PresenceStore(redis, f"expired {number}", 0.001).register([(BEN, 2)])
        # Longer than its time to live.
        await trio.sleep(0.01)
        replies = []

        async def beat(store: PresenceStore, replies: list[HeartbeatReply | None] = replies) -> None:
            replies.append(await store.heartbeat())

        async with trio.open_nursery() as nursery:
            for store in stores:
                nursery.start_soon(beat, store)
        (expired,) = [reply.expired for reply in replies if reply is not None and reply.expired is not None]
        assert expired.node == f"expired {number}"
        assert await stores[0].remove_expired(expired)
