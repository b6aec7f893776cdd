"""The Redis client."""

import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from redis import Redis as SyncClient

from chatd.core.config import RedisSection
from chatd.core.errors import Refused
from chatd.db.embedded import redis as embedded_redis
from chatd.db.redis import MAX_UPDATE_ATTEMPTS, Command, Redis, open_redis
from tests.conftest import Servers
from tests.support import PATIENCE


async def test_many_cancellations_mix_up_no_answers(servers: Servers, loop: None) -> None:
    """A cancelled command must not leave its answer to the next one on the connection."""
    rng = random.Random(1)
    answered = 0

    async def ask(redis: Redis, number: int) -> None:
        nonlocal answered
        with trio.move_on_after(rng.choice((rng.random() * 0.01, PATIENCE))):
            assert await redis.call("ECHO", str(number)) == str(number).encode()
            answered += 1

    async with open_redis(RedisSection(timeout=PATIENCE), servers.redis) as redis:
        async with trio.open_nursery() as nursery:
            for number in range(800):
                nursery.start_soon(ask, redis, number)
                await trio.sleep(rng.random() * 0.002)
        assert 100 < answered < 800
        assert await redis.call("ECHO", "x") == b"x"


async def test_a_cancelled_wait_for_the_end_of_a_connection_cancels_nobody_else(servers: Servers, loop: None) -> None:
    """All who wait share one future of asyncio."""
    async with open_redis(RedisSection(timeout=PATIENCE), servers.redis) as redis:
        for close in (redis.reconnect, redis.aclose):
            assert await redis.call("ECHO", "x") == b"x"
            (connection,) = redis._client.connection_pool._available_connections
            connection._writer._protocol._get_close_waiter(connection._writer).cancel()
            await close()


async def test_unreachable_server_is_unavailable(loop: None) -> None:
    async with open_redis(RedisSection(timeout=PATIENCE), "redis://127.0.0.1:1") as redis:
        with pytest.raises(Refused) as caught:
            await redis.call("PING")
        assert caught.value.code == "unavailable"


async def test_no_update_is_lost(servers: Servers, loop: None) -> None:
    """A read and a write that depends on it, from many tasks at once, some of which are cancelled."""
    key, rng, done = f"counter:{random.random()}", random.Random(2), 0

    async def increment(redis: Redis) -> None:
        nonlocal done
        with trio.move_on_after(rng.choice((0.01 * rng.random(), PATIENCE))):
            number = await redis.update(
                [key], [("GET", key)], lambda old: (int(old or 0) + 1, [("SET", key, int(old or 0) + 1)])
            )
            assert number > 0
            done += 1

    async with open_redis(RedisSection(timeout=PATIENCE), servers.redis) as redis:
        for _ in range(100):
            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(increment, redis)
        # One that was cancelled after its commit was sent counts as well.
        assert 200 < done <= int(await redis.call("GET", key)) <= 400


async def test_update_with_constant_conflicts_is_unavailable(servers: Servers, loop: None) -> None:
    key, attempts = f"counter:{random.random()}", 0
    async with open_redis(RedisSection(timeout=PATIENCE), servers.redis) as redis:
        with SyncClient.from_url(servers.redis) as other:

            def change(_: bytes | None) -> tuple[None, list[Command]]:
                nonlocal attempts
                attempts += 1
                other.incr(key)
                return None, [("SET", key, "lost")]

            with pytest.raises(Refused) as caught:
                await redis.update([key], [("GET", key)], change)
        assert (caught.value.code, attempts) == ("unavailable", MAX_UPDATE_ATTEMPTS)
        assert await redis.call("GET", key) == str(attempts).encode()


async def test_an_update_that_failed_leaves_no_watched_keys_behind(servers: Servers, loop: None) -> None:
    """The connection is used again: a watched key would make the next transaction on it fail."""
    key = f"list:{random.random()}"
    async with open_redis(RedisSection(timeout=PATIENCE), servers.redis) as redis:
        await redis.call("RPUSH", key, 1)
        for number in range(20):
            with pytest.raises(Refused) as caught:
                await redis.update([key], [("GET", key)], lambda _: (None, []))
            assert "WRONGTYPE" in str(caught.value.__cause__)
            await redis.update([key], [("LLEN", key)], lambda _: (None, []))
            await redis.call("RPUSH", key, 1)
            assert await redis.transaction(("LLEN", key)) == [number + 2]


async def test_an_error_in_a_transaction_is_the_answer(servers: Servers, loop: None) -> None:
    key = f"list:{random.random()}"
    async with open_redis(RedisSection(timeout=PATIENCE), servers.redis) as redis:
        with pytest.raises(Refused) as caught:
            await redis.transaction(("RPUSH", key, 1), ("INCRBY", key, 1))
        assert "WRONGTYPE" in str(caught.value.__cause__)
        assert await redis.transaction(("LLEN", key), ("DEL", key)) == [1, 1]


async def test_read_only_server_causes_a_reconnect(tmp_path: Path, loop: None) -> None:
    """After a failover the connections may lead to the old primary."""
    writes: tuple[Callable[[Redis], Awaitable[Any]], ...] = (
        lambda redis: redis.call("SET", "a", 1),
        lambda redis: redis.transaction(("GET", "a"), ("SET", "a", 1)),
        lambda redis: redis.update(["a"], [("GET", "a")], lambda _: (None, [("SET", "a", 1)])),
    )
    server = embedded_redis.Server(tmp_path / "redis", "+@all")
    await server.start()
    try:
        async with open_redis(RedisSection(timeout=PATIENCE), server.url) as redis:
            await redis.call("CONFIG", "SET", "min-replicas-to-write", "1")
            for write in writes:
                before = redis._client
                with pytest.raises(Refused) as caught:
                    await write(redis)
                assert "NOREPLICAS" in str(caught.value.__cause__)
                assert redis._client is not before
    finally:
        await server.stop()
