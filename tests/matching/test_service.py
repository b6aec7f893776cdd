"""The matcher of one node, when orders are lost."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import count
from typing import Any

import pytest
import trio

from chatd.cluster.bus import Bus
from chatd.cluster.cluster import Cluster
from chatd.cluster.control_messages import ControlMessage
from chatd.cluster.signals import Resync
from chatd.core.clock import now_ms
from chatd.core.config import Config, RedisSection
from chatd.core.ids import uuid7
from chatd.db.postgres import Postgres
from chatd.db.redis import open_redis
from chatd.matching import match_messages
from chatd.matching.criteria import Accept, Ticket
from chatd.matching.pool_events import Paired
from chatd.matching.service import Matcher
from chatd.realtime.hub import Hub
from tests.conftest import Servers
from tests.realtime.test_hub import Session, attach
from tests.support import PATIENCE, eventually

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
        cluster = Cluster(hub, Bus(redis, "node"), db)
        matcher = Matcher(Config(), db, redis, hub, cluster, now_ms)
        for person in people:
            attach(hub, person)
        nursery.start_soon(matcher.run)
        # Held and replayed.
        await eventually(lambda: bool(matcher.pool._mirror._losses))
        yield matcher, people
        nursery.cancel_scope.cancel()


def ticket_of(person: Session, queue: str = "q") -> Ticket:
    return Ticket(uuid7(now_ms()), "default", person.user, queue, now_ms(), (), {}, Accept())


def lost_ticket(matcher: Matcher, number: int) -> Ticket:
    """One that an earlier owner has left, of somebody who has not come to any node yet."""
    ticket = ticket_of(Session(str(number), uuid7(number), tenant="default"), f"q{number}")
    matcher.pool.pairing.find(ticket)
    matcher.pool._unclaimed["default", ticket.user] = 0
    return ticket


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
    del matcher.announcements.known["default", ann.user]
    await matcher._resync(Resync())
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
    await matcher._resync(Resync())
    over = await told(people[0], 1)
    assert (over["t"], over["ticket"]) == ("match.expired", tickets[0].id)
    assert matcher.ticket_of("default", people[0].user) is None


async def test_who_comes_back_while_the_others_are_asked_keeps_the_place(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ticket of an earlier owner's pool; the answer, that nobody has its user, was true when it was given."""
    matcher, _ = started
    asked, answer = trio.Event(), trio.Event()

    async def nobody(tenant: str, user: str) -> bool:
        asked.set()
        await answer.wait()
        return False

    monkeypatch.setattr(matcher._cluster.lookup, "is_connected", nobody)
    lost, gone = lost_ticket(matcher, 2), lost_ticket(matcher, 3)
    with trio.fail_after(PATIENCE):
        await asked.wait()
        # As the node does that they have come to.
        matcher.pool.give(lost)
        answer.set()
        while matcher.pool.ticket_of(("default", gone.user)) is not None:
            await trio.sleep(0.01)
    assert matcher.pool.ticket_of(("default", lost.user)) == lost
    assert matcher.pool._unclaimed == {}


async def test_who_came_to_a_node_before_there_was_an_owner_has_the_ticket_there_afterwards(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question of that node had nobody to answer it."""
    matcher, _ = started
    told: list[ControlMessage] = []

    async def somebody(tenant: str, user: str) -> bool:
        return True

    monkeypatch.setattr(matcher._cluster.lookup, "is_connected", somebody)
    monkeypatch.setattr(matcher._cluster, "publish", told.append)
    lost = lost_ticket(matcher, 2)
    with trio.fail_after(PATIENCE):
        while not (held := [order for order in told if isinstance(order, match_messages.MatchHeld)]):
            await trio.sleep(0.01)
    assert [order.ticket for order in held] == [lost]
    assert matcher.pool.ticket_of(("default", lost.user)) == lost


async def test_who_comes_back_while_the_match_is_being_ended_hears_that_it_is_over(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise they would go on writing to nobody."""
    matcher, (ann, ben) = started
    asked, answer = trio.Event(), trio.Event()

    async def is_gone(user: tuple[str, str]) -> bool:
        asked.set()
        await answer.wait()
        return True

    monkeypatch.setattr(matcher._absences, "_is_gone", is_gone)
    for person in (ann, ben):
        matcher.find(ticket_of(person))
    found = await told(ann, 0)
    matcher._hub.detach(ann)
    matcher._absences._away["default", ann.user] = 0
    with trio.fail_after(PATIENCE):
        await asked.wait()
    back = Session("back", ann.user, tenant="default")
    attach(matcher._hub, back)
    matcher.announcements.came(("default", ann.user), found["match"], True)
    answer.set()
    for person, number in ((ben, 1), (back, 0)):
        ended = await told(person, number)
        assert (ended["t"], ended["match"], ended["reason"]) == ("match.ended", found["match"], "disconnected")


async def test_both_are_told_of_a_match_that_nobody_knew_to_be_committed(started: Started, db: Postgres) -> None:
    """When the one is about to meet somebody else, and the other nobody."""
    matcher, (ann, ben) = started
    eve = Session("eve", uuid7(9), tenant="default")
    await db.run("insert into users (tenant, id, created_at) values ('default', $1, 0)", eve.user)
    of_ann, of_ben = ticket_of(ann, "q1"), ticket_of(ben, "q2")
    for ticket in (of_ann, of_ben):
        matcher.find(ticket)
    pair = Paired(uuid7(now_ms()), [of_ann.id, of_ben.id], now_ms(), [], {})
    await matcher.meetings.make(pair, [of_ann, of_ben], uuid7(now_ms()))
    matcher.pool.give(ticket_of(eve, "q1"))
    for person in (ann, ben):
        found = await told(person, 0)
        assert (found["t"], found["match"]) == ("match.found", pair.match)
        assert matcher.ticket_of("default", person.user) is None
    assert list(matcher.pool.pairing.pool.by_user) == [("default", eve.user)]


async def test_a_bug_in_one_step_ends_neither_the_daemon_nor_the_wait(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    matcher, people = started
    make, failures = matcher.meetings.make, list[int]()

    async def fail_once(*given: Any) -> dict[str, str | None]:
        if not failures:
            failures.append(1)
            raise ValueError("a bug")
        return await make(*given)

    monkeypatch.setattr(matcher.meetings, "make", fail_once)
    for person in people:
        matcher.find(ticket_of(person))
    assert (await told(people[0], 0))["match"] == (await told(people[1], 0))["match"]
    assert failures == [1]


async def test_a_match_that_was_left_meanwhile_is_not_told_again(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    matcher, (ann, ben) = started
    meetings = matcher.meetings
    for person in (ann, ben):
        matcher.find(ticket_of(person))
    first = await told(ann, 0)
    row = await meetings.active("default", ann.user)
    assert row is not None
    await meetings.end("default", first["match"], "left")
    await told(ann, 1)
    for person in (ann, ben):
        matcher.find(ticket_of(person))
    second = await told(ann, 2)
    for _ in range(2):
        # Whatever the order in which they come: nobody hears of a match that is over, or again of one that goes on.
        await meetings.tell_found_again("default", ann.user, row)
        monkeypatch.setattr(meetings, "active", late(meetings.active, [row]))
    again = await meetings.active("default", ann.user)
    assert again is not None
    await meetings.tell_found_again("default", ann.user, again)
    assert [(await told(ann, 2))["match"], len(ann.frames)] == [second["match"], 3]
    assert matcher._hub.is_member(ann.id, second["conversation"])


def late(active: Callable[[str, str], Any], answers: list[Any]) -> Callable[[str, str], Any]:
    """A look-up whose first answers are from before."""

    async def look_up(tenant: str, user: str) -> Any:
        return answers.pop() if answers else await active(tenant, user)

    return look_up
