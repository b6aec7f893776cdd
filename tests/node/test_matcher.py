"""The matcher of one node, when orders are lost."""

import json
from collections.abc import AsyncIterator, Sequence
from itertools import count
from typing import Any

import pytest
import trio

from chatd.clock import now_ms
from chatd.config import Config, RedisSection
from chatd.domain.criteria import Accept, Ticket
from chatd.ids import uuid7
from chatd.node.cluster import Cluster
from chatd.node.hub import Hub
from chatd.node.matcher import Matcher
from chatd.store.bus import Bus
from chatd.store.postgres import Postgres
from chatd.store.redis import open_redis
from tests.conftest import Servers
from tests.node.test_hub import Session, attach
from tests.support import eventually

NUMBERS = count()
Started = tuple[Matcher, Sequence[Session]]


@pytest.fixture
async def started(servers: Servers, db: Postgres) -> AsyncIterator[Started]:
    """The owner of the pool, and two people who are connected to it."""
    people = [Session(str(number), uuid7(number), tenant="default") for number in range(2)]
    users = [person.user for person in people]
    await db.run("insert into users (tenant, id, created_at) select 'default', u, 0 from unnest($1::uuid[]) u", users)
    section = RedisSection(prefix=f"matcher{next(NUMBERS)}")
    async with open_redis(section, servers.redis) as redis, trio.open_nursery() as nursery:
        hub = Hub()
        cluster = Cluster(hub, Bus(redis, "node"), db, now_ms)
        matcher = Matcher(Config(), db, redis, hub, cluster, now_ms)
        for person in people:
            attach(hub, person)
        nursery.start_soon(matcher.run)
        await eventually(lambda: matcher.pool.held)
        yield matcher, people
        nursery.cancel_scope.cancel()


def ticket_of(person: Session) -> Ticket:
    return Ticket(uuid7(now_ms()), "default", person.user, "q", now_ms(), (), {}, Accept())


async def told(person: Session, number: int) -> dict[str, Any]:
    """The event of this number that somebody was told."""
    await eventually(lambda: len(person.frames) > number)
    frame = person.frames[number]
    return dict(json.loads(frame[frame.index(b"[0") :])[1])


async def test_a_node_that_did_not_hear_of_a_match_gives_the_ticket_again_and_its_user_is_told(started: Started) -> None:
    matcher, (ann, ben) = started
    tickets = [ticket_of(person) for person in (ann, ben)]
    for ticket in tickets:
        matcher.find(ticket)
    found = await told(ann, 0)
    matcher._tickets.mine["default", ann.user] = tickets[0]
    await matcher._resync()
    again = await told(ann, 1)
    assert (again["t"], again["match"], again["conversation"]) == ("match.found", found["match"], found["conversation"])
    assert matcher.ticket_of("default", ann.user) is None
    assert {(await told(ben, number))["match"] for number in range(len(ben.frames))} == {found["match"]}


async def test_one_whose_match_is_over_meanwhile_is_told_that_the_ticket_is(started: Started) -> None:
    """Otherwise they would wait for ever, with a ticket that nobody has."""
    matcher, people = started
    tickets = [ticket_of(person) for person in people]
    for ticket in tickets:
        matcher.find(ticket)
    found = await told(people[0], 0)
    await matcher.meetings.end("default", found["match"], "left", silent=True)
    matcher._tickets.mine["default", people[0].user] = tickets[0]
    await matcher._resync()
    over = await told(people[0], 1)
    assert (over["t"], over["ticket"]) == ("match.expired", tickets[0].id)
    assert matcher.ticket_of("default", people[0].user) is None
