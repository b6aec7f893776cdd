"""The list of running nodes: each writes a snapshot to Redis every second, under a key that expires after a few
seconds.

A node that dies disappears from the list by expiry; one that stops removes itself. The list is for operators, and
nothing depends on it: while Redis is unavailable it is empty. Keys: `<prefix>:node:<name>` is a snapshot;
`<prefix>:nodes` has the names, scored by the time of Redis at which they were written, so that reading the list scans
no keys.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
import trio

from chatd.core.errors import Refused
from chatd.core.health import Health
from chatd.db.redis import Redis
from chatd.operations.snapshot import Snapshot

INTERVAL_S = 1.0
LEASE_MS = 5000
REMOVAL_TIMEOUT_S = 1.0
MAX_NODES = 1000
BATCH_SIZE = 100
ENCODE = msgspec.json.Encoder().encode
DECODE = msgspec.json.Decoder(Snapshot).decode


@asynccontextmanager
async def listed(
    redis: Redis, name: str, take: Callable[[], Snapshot], health: Health | None = None
) -> AsyncIterator[None]:
    """List this node while the block runs. An unavailable Redis delays nothing."""
    async with trio.open_nursery() as nursery:
        (health or Health()).start(nursery, "node list", keep, redis, name, take)
        yield
        nursery.cancel_scope.cancel()
    with trio.move_on_after(REMOVAL_TIMEOUT_S), suppress(Refused):
        await redis.transaction(("DEL", redis.key("node", name)), ("ZREM", redis.key("nodes"), name))


async def keep(redis: Redis, name: str, take: Callable[[], Snapshot]) -> None:
    """Write a snapshot every `INTERVAL_S` seconds."""
    while True:
        with suppress(Refused):
            await write(redis, name, ENCODE(take()))
        await trio.sleep(INTERVAL_S)


async def write(redis: Redis, name: str, snapshot: bytes) -> None:
    """Write the snapshot of this node. Raises Refused."""
    now, nodes = await redis.now_ms(), redis.key("nodes")
    await redis.transaction(
        ("SET", redis.key("node", name), snapshot, "PX", LEASE_MS),
        ("ZADD", nodes, now, name),
        ("ZREMRANGEBYSCORE", nodes, "-inf", now - LEASE_MS),
        ("PEXPIRE", nodes, LEASE_MS),
    )


async def read(redis: Redis) -> list[Snapshot]:
    """The latest snapshots of all nodes, the oldest node first. Raises Refused."""
    names = [name.decode(errors="replace") for name in await redis.call("ZRANGE", redis.key("nodes"), 0, MAX_NODES - 1)]
    found = []
    for at in range(0, len(names), BATCH_SIZE):
        texts = await redis.call("MGET", *(redis.key("node", name) for name in names[at : at + BATCH_SIZE]))
        found += [snapshot for text in texts if (snapshot := snapshot_in(text)) is not None]
    return sorted(found, key=lambda snapshot: (snapshot.identity.started_at, snapshot.identity.node))


def snapshot_in(text: bytes | None) -> Snapshot | None:
    """Decode a snapshot. None for an expired one, and for one of a version with another format."""
    with suppress(msgspec.DecodeError):
        return DECODE(text) if text else None
    return None
