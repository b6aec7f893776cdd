"""What erased users said of themselves leaves the match log also when no order to forget them arrives."""

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
from chatd.matching import event_log_audit
from chatd.matching.criteria import Accept, Ticket
from chatd.matching.event_log_redaction import Redaction, redact
from chatd.matching.pool_events import Paired, Queued, Reset, Step
from chatd.matching.service import Matcher
from chatd.realtime.hub import Hub
from tests.conftest import Servers
from tests.realtime.test_hub import Session, attach
from tests.support import PATIENCE, eventually

NUMBERS = count()
WORDS = ("zqtag", "zqattribute", "zqwish")
KEY = Config().redis.stream_key


@pytest.fixture
async def redis(servers: Servers, loop: None) -> AsyncIterator[Redis]:
    section = RedisSection(prefix=f"erasure{next(NUMBERS)}")
    async with open_redis(section, servers.redis) as redis:
        yield redis


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Erasures are looked up at once."""
    monkeypatch.setattr(event_log_audit, "ERASED_FOR_MS", 0)
    monkeypatch.setattr(event_log_audit, "CHECK_EVERY", 0.1)


@asynccontextmanager
async def owner(redis: Redis, db: Postgres, *people: Session) -> AsyncIterator[Matcher]:
    """A node that owns the pool. It is told nothing by the others."""
    async with trio.open_nursery() as nursery:
        hub = Hub()
        matcher = Matcher(Config(), db, redis, hub, Cluster(hub, Bus(redis, uuid7(0)), db, now_ms), now_ms)
        for person in people:
            attach(hub, person)
        nursery.start_soon(matcher.run)
        await eventually(lambda: matcher.pool.held and not matcher.pool._log._is_behind)
        yield matcher
        await matcher.pool.release()
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
    with trio.fail_after(PATIENCE):
        while True:
            text = await stream(redis)
            if all((word in text) is there for word in words):
                return
            await trio.sleep(0.02)


async def erase(db: Postgres, user: str) -> None:
    await db.run("update users set erased_at = $2, name = null where id = $1", user, now_ms())


@pytest.mark.usefixtures("soon")
async def test_the_owner_forgets_a_user_whose_order_was_lost(redis: Redis, db: Postgres) -> None:
    ann, ben = await user_of(db), await user_of(db)
    async with owner(redis, db, ann, ben) as matcher:
        matcher.find(ticket_of(ann.user, *WORDS))
        matcher.find(ticket_of(ben.user, "bentag", "benattribute", "benwish"))
        await until_in_stream(redis, (*WORDS, "bentag"), there=True)
        await erase(db, ann.user)
        await until_in_stream(redis, WORDS, there=False)
        assert matcher.pool.ticket_of(("default", ann.user)) is None
        # What is written as a whole from now on has none of it either, and all of the other.
        matcher.pool._mirror.renew()
        await eventually(lambda: matcher.pool._mirror.is_whole)
        found = await stream(redis)
        assert not [word for word in WORDS if word in found]
        assert "benwish" in found


async def test_the_next_owner_forgets_whom_the_last_one_did_not(redis: Redis, db: Postgres) -> None:
    """It replays the pool with their ticket, and writes it into its first entry."""
    ann = await user_of(db)
    async with owner(redis, db, ann) as matcher:
        matcher.find(ticket_of(ann.user, *WORDS))
        await until_in_stream(redis, WORDS, there=True)
        await erase(db, ann.user)
    async with owner(redis, db) as matcher:
        await until_in_stream(redis, WORDS, there=False)
        assert matcher.pool.ticket_of(("default", ann.user)) is None
        matcher.pool._mirror.renew()
        await eventually(lambda: matcher.pool._mirror.is_whole)
        assert not [word for word in WORDS if word in await stream(redis)]


async def test_an_order_that_comes_while_the_log_lacks_something_counts(redis: Redis, db: Postgres) -> None:
    ann = await user_of(db)
    async with owner(redis, db, ann) as matcher:
        matcher.find(ticket_of(ann.user, *WORDS))
        await until_in_stream(redis, WORDS, there=True)
        matcher.pool._mirror._lost()
        await matcher.forget("default", ann.user)
        await until_in_stream(redis, WORDS, there=False)


class Interleaved:
    """Redis, with an entry of another owner between the last read of the copy and its end."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.other: list[Step] = [Reset(), Queued(ticket_of("ben", "bentag", "benattribute", "benwish"))]

    async def call(self, *args: Any) -> Any:
        return await self._redis.call(*args)

    async def update(self, *args: Any) -> Any:
        await write(self._redis, self.other)
        return await self._redis.update(*args)


async def write(redis: Redis, steps: list[Step]) -> None:
    await redis.call("XADD", redis.key(KEY), "*", "f", 1, "n", 1, "at", 7, "s", json.encode(steps))


async def test_a_replaced_owner_does_not_overwrite_what_the_next_one_wrote(redis: Redis) -> None:
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


def test_pairs_whose_tickets_were_trimmed_away_say_nothing() -> None:
    """Before the first reset nobody knows whose tickets they are; after it all tickets are there."""
    redaction = Redaction({("default", "ann")})
    ann, ben, cat = (ticket_of(user, *WORDS) for user in ("ann", "ben", "cat"))

    def pair(*tickets: str) -> Paired:
        return Paired("m", list(tickets), 0, ["tea"], {})

    steps: list[Step] = [pair("gone", "lost"), Queued(ben), pair("gone", ben.id), Queued(cat), pair(ben.id, cat.id)]
    steps += [Reset(), Queued(ann), Queued(ben), pair(ann.id, ben.id), pair(cat.id, ben.id)]
    matched = [step.matched_on for step in map(redaction.of, steps) if isinstance(step, Paired)]
    assert matched == [[], [], ["tea"], [], ["tea"]]
