"""Control messages of other nodes."""

from chatd.cluster import control_messages
from chatd.cluster.bus import Bus
from chatd.cluster.cluster import Cluster
from chatd.cluster.control_messages import ControlMessage
from chatd.core.config import RedisSection
from chatd.db.postgres import Postgres
from chatd.db.redis import open_redis
from chatd.matching import match_messages
from chatd.realtime.hub import Hub
from tests.conftest import Servers


async def test_a_node_that_has_only_begun_obeys_what_it_can(servers: Servers, db: Postgres) -> None:
    """Control messages arrive before its services exist."""
    async with open_redis(RedisSection(), servers.redis) as redis:
        cluster, heard = Cluster(Hub(), Bus(redis, "new"), db, lambda: 0), list[ControlMessage]()

        async def hear(order: match_messages.MatchOver) -> None:
            heard.append(order)

        over = match_messages.MatchOver("default", [], False)
        await cluster.obey(control_messages.encode_order(over))
        assert heard == []
        cluster.on(match_messages.MatchOver, hear)
        await cluster.obey(control_messages.encode_order(over))
        assert heard == [over]
