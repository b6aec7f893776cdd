"""The stream between the nodes."""

from itertools import count
from typing import Any

import pytest
import trio

from chatd.config import RedisSection
from chatd.store import bus as bus_module
from chatd.store.bus import Bus
from chatd.store.bus_entries import DECODE, pairs
from chatd.store.redis import Redis, open_redis
from tests.conftest import Servers
from tests.support import PATIENCE

NUMBERS = count()


class Slow(Redis):
    """Whoever writes waits for the answer."""

    pause = 0.0

    async def call(self, *command: Any) -> Any:
        answer = await super().call(*command)
        if command[0] == "XADD":
            await trio.sleep(self.pause)
        return answer


async def test_after_the_goodbye_nothing_is_heard_of_a_node(
    servers: Servers, loop: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when its next beat is due while the goodbye is on its way: the others would wait for its answers."""
    monkeypatch.setattr(bus_module, "BEAT", 0.02)
    async with open_redis(RedisSection(prefix=f"bus{next(NUMBERS)}"), servers.redis) as redis, trio.open_nursery() as nursery:
        slow = Slow(redis._connect, redis._prefix)
        bus = Bus(slow, "leaving")
        nursery.start_soon(bus.write)
        with trio.fail_after(PATIENCE):
            while not await redis.call("XLEN", redis.key("bus")):
                await trio.sleep(0.01)
            slow.pause = 0.3
            await bus.leave()
        nursery.cancel_scope.cancel()
    async with open_redis(RedisSection(prefix=redis._prefix), servers.redis) as redis:
        entries = [DECODE(fields[b"b"]) for _, fields in pairs(await redis.call("XRANGE", redis.key("bus"), "-", "+"))]
    assert [entry.leaves for entry in entries] == [False] * (len(entries) - 1) + [True]
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
