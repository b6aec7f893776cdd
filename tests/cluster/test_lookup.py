"""Ask all nodes whether users are connected."""

from itertools import count

import pytest
import trio

from chatd.cluster.bus import Bus
from chatd.cluster.cluster import Cluster
from chatd.core.config import RedisSection
from chatd.core.errors import Refused
from chatd.db.postgres import Postgres
from chatd.db.redis import open_redis
from chatd.realtime.hub import Hub
from tests.conftest import Servers
from tests.support import PATIENCE, eventually

NUMBERS = count()
ANN = ("default", "ann")


async def test_a_silent_node_may_have_the_users(servers: Servers, db: Postgres) -> None:
    """After an outage of Redis a node reads its own entries before those of other nodes."""
    async with (
        open_redis(RedisSection(prefix=f"liveness{next(NUMBERS)}", timeout=PATIENCE), servers.redis) as redis,
        trio.open_nursery() as nursery,
    ):
        hub, bus = Hub(), Bus(redis, "here")
        cluster = Cluster(hub, bus, db)
        nursery.start_soon(bus.read, cluster.handle, cluster.resync)
        nursery.start_soon(bus.write)
        await eventually(lambda: bus.is_healthy)
        assert await cluster.lookup.disconnected([ANN]) == [ANN]
        # An outage of a minute: nothing was read, not even entries of this node.
        bus.expect(["other"])
        bus._seen["other"] -= 60
        bus._own_seen_at -= 60
        await eventually(lambda: bus.is_healthy)
        with pytest.raises(Refused, match="some nodes did not answer"):
            await cluster.lookup.disconnected([ANN])
        # Later it is known that the other node has not returned.
        bus._healthy_since -= bus.times.settle_s
        assert await cluster.lookup.disconnected([ANN]) == [ANN]
        nursery.cancel_scope.cancel()
