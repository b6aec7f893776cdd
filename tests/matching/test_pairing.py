"""The pairing of the owner of the pool."""

from collections.abc import AsyncIterator
from itertools import count

import pytest
import trio

from chatd.cluster.bus import Bus
from chatd.cluster.cluster import Cluster
from chatd.cluster.lease import Lease
from chatd.core.clock import now_ms
from chatd.core.config import RedisSection
from chatd.core.health import Health
from chatd.core.ids import uuid7
from chatd.db.postgres import Postgres
from chatd.db.redis import open_redis
from chatd.matching.announcements import Announcements
from chatd.matching.bounded_queue import BoundedQueue
from chatd.matching.control_messages import TicketsClosed, TicketsWanted
from chatd.matching.criteria import Ticket
from chatd.matching.event_log import PoolEventLog
from chatd.matching.matches import Matches
from chatd.matching.owned_pool import OwnedPool
from chatd.matching.pairing import Notice, Pairing
from chatd.realtime.hub import Hub
from tests.conftest import Servers
from tests.support import PATIENCE

NUMBERS = count()


@pytest.fixture
async def pairing(servers: Servers, db: Postgres) -> AsyncIterator[Pairing]:
    """The pairing of a node that owns the pool. It does not run, and queues at most two pairs."""
    section = RedisSection(prefix=f"pairing{next(NUMBERS)}", timeout=PATIENCE)
    async with open_redis(section, servers.redis) as redis:
        hub = Hub()
        cluster = Cluster(hub, Bus(redis, "node"), db)
        lease = Lease(redis, "match", "node")
        lease.held = True
        owned = OwnedPool({}, lease, now_ms)
        log = PoolEventLog(redis, "match", owned, now_ms)
        matches = Matches(db, cluster, Announcements(db, hub, cluster), log, now_ms)
        yield Pairing(owned, log, matches, cluster, now_ms, max_work=2)


async def test_pairs_that_did_not_fit_into_the_queue_become_matches(pairing: Pairing, db: Postgres) -> None:
    """The nodes are asked for their tickets, because the removal of a ticket may have been dropped as well."""
    users = [uuid7(now_ms()) for _ in range(20)]
    await db.run("insert into users (tenant, id, created_at) select 'default', u, 0 from unnest($1::uuid[]) u", users)
    for user in users:
        pairing.find(Ticket(uuid7(now_ms()), "default", user, "q", now_ms()))
    assert len(pairing.pool.pairs) == 10
    matched, notices = set[str](), list[Notice]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pairing.run, Health())
        with trio.fail_after(PATIENCE):
            while len(matched) < 20 or TicketsWanted() not in notices:
                notices.append(await pairing.notices.get())
                if isinstance(notices[-1], TicketsClosed):
                    matched.update(notices[-1].users)
        nursery.cancel_scope.cancel()
    assert matched == set(users)
    assert not pairing.pool.pairs
    assert await db.value("select count(*) from matches where ended_at is null") == 10


async def test_an_overflow_is_read_after_the_items_that_were_kept() -> None:
    queue = BoundedQueue[str](2, "overflow")
    for item in ("a", "b", "c", "d"):
        queue.put(item)
    assert [await queue.get() for _ in range(3)] == ["a", "b", "overflow"]
    queue.put("e")
    assert await queue.get() == "e"
    assert queue.is_empty
