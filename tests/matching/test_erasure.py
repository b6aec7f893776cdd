"""The data of erased users is removed from the event log, even if the control message about it is lost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
import trio
from msgspec import json

from chatd.cluster.bus import Bus
from chatd.cluster.cluster import Cluster
from chatd.core.clock import now_ms
from chatd.core.config import Config, RedisSection
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db.postgres import Postgres
from chatd.db.redis import Redis, open_redis
from chatd.matching.criteria import Accept, Ticket
from chatd.matching.event_log import Redaction, redact
from chatd.matching.pool_events import Paired, PoolEvent, Queued, Reset
from chatd.matching.service import MatchingService
from chatd.matching.settings import PoolLogSettings
from chatd.matching.tunables import TUNABLES, MatchTunables
from chatd.realtime.hub import Hub
from tests.conftest import Servers
from tests.realtime.test_hub import Session, attach
from tests.support import PATIENCE, eventually, poll_until

NUMBERS = count()
WORDS = ("zqtag", "zqattribute", "zqwish")
KEY = PoolLogSettings().stream_key


@pytest.fixture
async def redis(servers: Servers, loop: None) -> AsyncIterator[Redis]:
    section = RedisSection(prefix=f"erasure{next(NUMBERS)}", timeout=PATIENCE)
    async with open_redis(section, servers.redis) as redis:
        yield redis


# Look up erasures at once.
EAGER = MatchTunables(erased_for_ms=0, audit_s=0.1)


@asynccontextmanager
async def owner(
    redis: Redis, db: Postgres, *people: Session, tunables: MatchTunables = TUNABLES
) -> AsyncIterator[MatchingService]:
    """A node that owns the pool, and receives no control messages."""
    async with trio.open_nursery() as nursery:
        hub = Hub()
        cluster = Cluster(hub, Bus(redis, uuid7(0)), db)
        matching = MatchingService(Config(), db, redis, hub, cluster, now_ms, tunables)
        for person in people:
            attach(hub, person)
        nursery.start_soon(matching.run)
        await eventually(lambda: matching.pool.held and matching.pool._log.is_audited)
        yield matching
        await matching.pool.release()
        nursery.cancel_scope.cancel()


async def user_of(db: Postgres) -> Session:
    person = Session(str(next(NUMBERS)), uuid7(now_ms()), tenant="default")
    await db.run("insert into users (tenant, id, created_at) values ('default', $1, 0)", person.user)
    return person


def ticket_of(user: str, *words: str) -> Ticket:
    tag, attribute, wish = words
    accept = Accept(should={"x": wish})
    return Ticket(uuid7(now_ms()), "default", user, "q", now_ms(), (tag,), {"x": attribute}, accept)


async def stream(redis: Redis) -> str:
    return repr(await redis.call("XRANGE", redis.key(KEY), "-", "+"))


async def until_in_stream(redis: Redis, words: tuple[str, ...], *, there: bool) -> None:
    await poll_until(lambda: stream(redis), lambda text: all((word in text) is there for word in words))


async def erase(db: Postgres, user: str) -> None:
    await db.run("update users set erased_at = $2, name = null where id = $1", user, now_ms())


async def test_the_owner_finds_an_erased_user_in_the_database(redis: Redis, db: Postgres) -> None:
    ann, ben = await user_of(db), await user_of(db)
    async with owner(redis, db, ann, ben, tunables=EAGER) as matching:
        matching.find(ticket_of(ann.user, *WORDS))
        matching.find(ticket_of(ben.user, "bentag", "benattribute", "benwish"))
        await until_in_stream(redis, (*WORDS, "bentag"), there=True)
        await erase(db, ann.user)
        await until_in_stream(redis, WORDS, there=False)
        assert matching.pool.ticket_of(("default", ann.user)) is None
        # The next snapshot contains the data of the other user only.
        matching.pool._log.rewrite()
        await eventually(lambda: matching.pool._log.is_complete)
        found = await stream(redis)
        assert not [word for word in WORDS if word in found]
        assert "benwish" in found


async def test_the_next_owner_finds_an_erased_user_in_the_database(redis: Redis, db: Postgres) -> None:
    """It replays the pool with their ticket, and its first snapshot contains the ticket."""
    ann = await user_of(db)
    async with owner(redis, db, ann) as matching:
        matching.find(ticket_of(ann.user, *WORDS))
        await until_in_stream(redis, WORDS, there=True)
        await erase(db, ann.user)
    async with owner(redis, db) as matching:
        await until_in_stream(redis, WORDS, there=False)
        assert matching.pool.ticket_of(("default", ann.user)) is None
        matching.pool._log.rewrite()
        await eventually(lambda: matching.pool._log.is_complete)
        assert not [word for word in WORDS if word in await stream(redis)]


async def test_a_control_message_during_a_loss_of_the_log_counts(redis: Redis, db: Postgres) -> None:
    ann = await user_of(db)
    async with owner(redis, db, ann) as matching:
        matching.find(ticket_of(ann.user, *WORDS))
        await until_in_stream(redis, WORDS, there=True)
        matching.pool._log._note_loss()
        await matching.forget(("default", ann.user))
        await until_in_stream(redis, WORDS, there=False)


class Interleaved:
    """Redis, with an entry of another owner between the last read of the stream and its replacement."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.other: list[PoolEvent] = [Reset(), Queued(ticket_of("ben", "bentag", "benattribute", "benwish"))]

    async def call(self, *args: Any) -> Any:
        return await self._redis.call(*args)

    async def update(self, *args: Any) -> Any:
        await write(self._redis, self.other)
        return await self._redis.update(*args)


async def write(redis: Redis, events: list[PoolEvent]) -> None:
    await redis.call("XADD", redis.key(KEY), "*", "f", 1, "n", 1, "at", 7, "s", json.encode(events))


async def test_a_replaced_owner_does_not_overwrite_the_entries_of_the_next_one(redis: Redis) -> None:
    await write(redis, [Queued(ticket_of("ann", *WORDS))])
    interleaved: Any = Interleaved(redis)
    with pytest.raises(Refused):
        await redact(interleaved, redis.key(KEY), {("default", "ann")})
    assert "bentag" in await stream(redis)
    await redact(redis, redis.key(KEY), {("default", "ann")})
    found = await stream(redis)
    assert "bentag" in found
    assert not [word for word in WORDS if word in found]
    assert await redis.call("KEYS", redis.key("*:copy")) == []


def test_pairs_whose_tickets_were_trimmed_are_redacted() -> None:
    """Before the first reset their users are unknown; after it all tickets are in the stream."""
    redaction = Redaction({("default", "ann")})
    ann, ben, cat = (ticket_of(user, *WORDS) for user in ("ann", "ben", "cat"))

    def pair(*tickets: str) -> Paired:
        return Paired("m", list(tickets), 0, ["tea"], {})

    events: list[PoolEvent] = [
        pair("gone", "lost"),
        Queued(ben),
        pair("gone", ben.id),
        Queued(cat),
        pair(ben.id, cat.id),
    ]
    events += [Reset(), Queued(ann), Queued(ben), pair(ann.id, ben.id), pair(cat.id, ben.id)]
    matched = [event.matched_on for event in map(redaction.redact, events) if isinstance(event, Paired)]
    assert matched == [[], [], ["tea"], [], ["tea"]]
