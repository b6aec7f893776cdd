"""Orders of other nodes."""

from chatd.config import RedisSection
from chatd.node import match_orders, orders
from chatd.node.cluster import Cluster
from chatd.node.hub import Hub
from chatd.store.bus import Bus
from chatd.store.postgres import Postgres
from chatd.store.redis import open_redis
from tests.conftest import Servers


async def test_a_node_that_has_only_begun_obeys_what_it_can(servers: Servers, db: Postgres) -> None:
    """It hears the others before its own parts are there."""
    async with open_redis(RedisSection(), servers.redis) as redis:
        cluster, heard = Cluster(Hub(), Bus(redis, "new"), db, lambda: 0), list[orders.Order]()

        async def hear(order: match_orders.MatchOver) -> None:
            heard.append(order)

        over = match_orders.MatchOver("default", [], False)
        await cluster.obey(orders.encode_order(over))
        assert heard == []
        cluster.on(match_orders.MatchOver, hear)
        await cluster.obey(orders.encode_order(over))
        assert heard == [over]
