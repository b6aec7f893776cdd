"""Which nodes there are: each writes how it is to Redis every second, under a key that lives a few seconds.

A node that dies is gone from the list by itself; one that leaves takes itself off it. It is for people who look, and nothing
depends on it: while Redis is away nobody is on it. Keys: `<prefix>:node:<name>`, and `<prefix>:nodes`, the names by the time of
Redis at which they were written, so that nobody has to search the keys.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
import trio

from chatd.core.errors import Refused
from chatd.core.health import Health
from chatd.db.redis import Redis
from chatd.operations.snapshot import Snapshot

EVERY = 1.0
LEASE_MS = 5000
GOODBYE = 1.0
MOST = 1000
AT_ONCE = 100
ENCODE = msgspec.json.Encoder().encode
DECODE = msgspec.json.Decoder(Snapshot).decode


@asynccontextmanager
async def listed(redis: Redis, name: str, take: Callable[[], Snapshot], health: Health | None = None) -> AsyncIterator[None]:
    """On the list as long as the block lasts. A Redis that is away keeps nobody."""
    async with trio.open_nursery() as nursery:
        (health or Health()).start(nursery, "node list", keep, redis, name, take)
        yield
        nursery.cancel_scope.cancel()
    with trio.move_on_after(GOODBYE), suppress(Refused):
        await redis.transaction(("DEL", redis.key("node", name)), ("ZREM", redis.key("nodes"), name))


async def keep(redis: Redis, name: str, take: Callable[[], Snapshot]) -> None:
    """Write for ever."""
    while True:
        with suppress(Refused):
            await write(redis, name, ENCODE(take()))
        await trio.sleep(EVERY)


async def write(redis: Redis, name: str, snapshot: bytes) -> None:
    """Raises Refused."""
    now, nodes = await redis.now_ms(), redis.key("nodes")
    await redis.transaction(
        ("SET", redis.key("node", name), snapshot, "PX", LEASE_MS),
        ("ZADD", nodes, now, name),
        ("ZREMRANGEBYSCORE", nodes, "-inf", now - LEASE_MS),
        ("PEXPIRE", nodes, LEASE_MS),
    )


async def read(redis: Redis) -> list[Snapshot]:
    """How the nodes were within the last seconds, the oldest node first. Raises Refused."""
    names = [name.decode(errors="replace") for name in await redis.call("ZRANGE", redis.key("nodes"), 0, MOST - 1)]
    found = []
    for at in range(0, len(names), AT_ONCE):
        texts = await redis.call("MGET", *(redis.key("node", name) for name in names[at : at + AT_ONCE]))
        found += [snapshot for text in texts if (snapshot := understood(text)) is not None]
    return sorted(found, key=lambda snapshot: (snapshot.identity.started_at, snapshot.identity.node))


def understood(text: bytes | None) -> Snapshot | None:
    """None for a node that has gone meanwhile, and for one of a version that says it differently."""
    with suppress(msgspec.DecodeError):
        return DECODE(text) if text else None
    return None
