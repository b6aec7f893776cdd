"""The door to Redis."""

import random

import pytest
import trio

from chatd.core.config import RedisSection
from chatd.core.errors import Refused
from chatd.db.redis import Redis, open_redis
from tests.conftest import Servers


async def test_a_storm_of_cancellations_mixes_up_no_answers(servers: Servers, loop: None) -> None:
    """Trap 13: a cancelled command must not leave its answer to the next one on the connection."""
    rng = random.Random(1)
    answered = 0

    async def ask(redis: Redis, number: int) -> None:
        nonlocal answered
        with trio.move_on_after(rng.random() * 0.01):
            assert await redis.call("ECHO", str(number)) == str(number).encode()
            answered += 1

    async with open_redis(RedisSection(), servers.redis) as redis:
        async with trio.open_nursery() as nursery:
            for number in range(800):
                nursery.start_soon(ask, redis, number)
                await trio.sleep(rng.random() * 0.002)
        assert 100 < answered < 800
        assert await redis.call("ECHO", "x") == b"x"


async def test_a_server_that_is_away_is_unavailable(loop: None) -> None:
    async with open_redis(RedisSection(), "redis://127.0.0.1:1") as redis:
        with pytest.raises(Refused) as caught:
            await redis.call("PING")
        assert caught.value.code == "unavailable"
