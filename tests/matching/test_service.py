"""The matching service of one node, when control messages are lost."""

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
from chatd.matching.control_messages import TicketParked, TicketsClosed
from chatd.matching.criteria import Accept, Ticket
from chatd.matching.pool_events import Paired
from chatd.matching.service import MatchingService
from chatd.realtime.hub import Hub
from tests.conftest import Servers
from tests.realtime.test_hub import Session, attach
from tests.support import PATIENCE, eventually

NUMBERS = count()
Started = tuple[MatchingService, Sequence[Session]]


@pytest.fixture
async def started(servers: Servers, db: Postgres) -> AsyncIterator[Started]:
    """The owner of the pool, and two users who are connected to it."""
    people = [Session(str(number), uuid7(number), tenant="default") for number in range(2)]
    users = [person.user for person in people]
    await db.run("insert into users (tenant, id, created_at) select 'default', u, 0 from unnest($1::uuid[]) u", users)
    section = RedisSection(prefix=f"matching{next(NUMBERS)}", timeout=PATIENCE)
    async with open_redis(section, servers.redis) as redis, trio.open_nursery() as nursery:
        hub = Hub()
        cluster = Cluster(hub, Bus(redis, "node"), db)
        matching = MatchingService(Config(), db, redis, hub, cluster, now_ms)
        for person in people:
            attach(hub, person)
        nursery.start_soon(matching.run)
        # The lease is held, and the event log replayed.
        await eventually(lambda: bool(matching.pool._log.losses))
        yield matching, people
        nursery.cancel_scope.cancel()


def ticket_of(person: Session, queue: str = "q") -> Ticket:
    return Ticket(uuid7(now_ms()), "default", person.user, queue, now_ms(), (), {}, Accept())


def unclaimed_ticket(matching: MatchingService, number: int) -> Ticket:
    """A ticket of the previous owner's pool, whose user is not connected to any node."""
    ticket = ticket_of(Session(str(number), uuid7(number), tenant="default"), f"q{number}")
    matching.pool.pairing.find(ticket)
    matching.pool._unclaimed["default", ticket.user] = 0
    return ticket


async def received(person: Session, number: int) -> dict[str, Any]:
    """The event of this number that the session got."""
    await eventually(lambda: len(person.frames) > number)
    frame = person.frames[number]
    return dict(json.loads(frame[frame.index(b"[0") :])[1])


async def test_a_node_that_missed_a_match_submits_the_ticket_again_and_the_match_is_announced(started: Started) -> None:
    matching, (ann, ben) = started
    tickets = [ticket_of(person) for person in (ann, ben)]
    for ticket in tickets:
        matching.find(ticket)
    found = await received(ann, 0)
    matching.tickets.active["default", ann.user] = tickets[0]
    del matching.announcements.announced["default", ann.user]
    await matching._on_resync(Resync())
    again = await received(ann, 1)
    assert (again["t"], again["match"], again["conversation"]) == ("match.found", found["match"], found["conversation"])
    assert matching.ticket_of(("default", ann.user)) is None
    assert {(await received(ben, number))["match"] for number in range(len(ben.frames))} == {found["match"]}


async def test_a_used_ticket_whose_match_has_ended_expires(started: Started) -> None:
    """Otherwise its user would wait with a ticket that is not in the pool."""
    matching, people = started
    tickets = [ticket_of(person) for person in people]
    for ticket in tickets:
        matching.find(ticket)
    found = await received(people[0], 0)
    await matching.matches.end("default", found["match"], "left", silent=True)
    matching.tickets.active["default", people[0].user] = tickets[0]
    await matching._on_resync(Resync())
    over = await received(people[0], 1)
    assert (over["t"], over["ticket"]) == ("match.expired", tickets[0].id)
    assert matching.ticket_of(("default", people[0].user)) is None


async def test_a_user_who_connects_during_the_look_up_keeps_the_ticket(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer, that no node has a session of the user, was true when it was sent."""
    matching, _ = started
    asked, answer = trio.Event(), trio.Event()

    async def nobody(tenant: str, user: str) -> bool:
        asked.set()
        await answer.wait()
        return False

    monkeypatch.setattr(matching._cluster.lookup, "is_connected", nobody)
    lost, gone = unclaimed_ticket(matching, 2), unclaimed_ticket(matching, 3)
    with trio.fail_after(PATIENCE):
        await asked.wait()
        # As the node does to which the user has connected.
        matching.pool.submit(lost)
        answer.set()
        await eventually(lambda: matching.pool.ticket_of(("default", gone.user)) is None)
    assert matching.pool.ticket_of(("default", lost.user)) == lost
    assert matching.pool._unclaimed == {}


async def test_the_ticket_of_a_user_who_connected_before_the_owner_existed_is_sent_to_their_node(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When that node asked for the ticket, no node knew it."""
    matching, _ = started
    published: list[ControlMessage] = []

    async def somebody(tenant: str, user: str) -> bool:
        return True

    monkeypatch.setattr(matching._cluster.lookup, "is_connected", somebody)
    monkeypatch.setattr(matching._cluster, "publish", published.append)
    lost = unclaimed_ticket(matching, 2)
    await eventually(lambda: any(isinstance(message, TicketParked) for message in published))
    assert [message.ticket for message in published if isinstance(message, TicketParked)] == [lost]
    assert matching.pool.ticket_of(("default", lost.user)) == lost


async def test_a_user_who_reconnects_while_the_match_is_ended_is_notified(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the user would keep writing to an ended match."""
    matching, (ann, ben) = started
    asked, answer = trio.Event(), trio.Event()

    async def is_gone(user: tuple[str, str]) -> bool:
        asked.set()
        await answer.wait()
        return True

    monkeypatch.setattr(matching._disconnects, "_is_gone", is_gone)
    for person in (ann, ben):
        matching.find(ticket_of(person))
    found = await received(ann, 0)
    matching._hub.unregister(ann)
    matching._disconnects._disconnected["default", ann.user] = 0
    with trio.fail_after(PATIENCE):
        await asked.wait()
    back = Session("back", ann.user, tenant="default")
    attach(matching._hub, back)
    matching.announcements.on_session_opened(("default", ann.user), found["match"], True)
    answer.set()
    for person, number in ((ben, 1), (back, 0)):
        ended = await received(person, number)
        assert (ended["t"], ended["match"], ended["reason"]) == ("match.ended", found["match"], "disconnected")


async def test_a_match_whose_commit_was_unknown_is_announced_to_both_users(started: Started, db: Postgres) -> None:
    """One of them is about to be matched with another user, the other is not."""
    matching, (ann, ben) = started
    eve = Session("eve", uuid7(9), tenant="default")
    await db.run("insert into users (tenant, id, created_at) values ('default', $1, 0)", eve.user)
    of_ann, of_ben = ticket_of(ann, "q1"), ticket_of(ben, "q2")
    for ticket in (of_ann, of_ben):
        matching.find(ticket)
    pair = Paired(uuid7(now_ms()), [of_ann.id, of_ben.id], now_ms(), [], {})
    await matching.matches.make(pair, [of_ann, of_ben], uuid7(now_ms()))
    matching.pool.submit(ticket_of(eve, "q1"))
    for person in (ann, ben):
        found = await received(person, 0)
        assert (found["t"], found["match"]) == ("match.found", pair.match)
        assert matching.ticket_of(("default", person.user)) is None
    assert list(matching.pool.pairing.pool.by_user) == [("default", eve.user)]


async def test_a_bug_in_one_commit_stops_neither_the_service_nor_the_search(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    matching, people = started
    make, failures = matching.matches.make, list[int]()

    async def fail_once(*given: Any) -> dict[str, str | None]:
        if not failures:
            failures.append(1)
            raise ValueError("a bug")
        return await make(*given)

    monkeypatch.setattr(matching.matches, "make", fail_once)
    for person in people:
        matching.find(ticket_of(person))
    assert (await received(people[0], 0))["match"] == (await received(people[1], 0))["match"]
    assert failures == [1]


async def test_a_match_that_has_ended_is_not_announced_again(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    matching, (ann, ben) = started
    matches = matching.matches
    for person in (ann, ben):
        matching.find(ticket_of(person))
    first = await received(ann, 0)
    row = await matches.active("default", ann.user)
    assert row is not None
    await matches.end("default", first["match"], "left")
    await received(ann, 1)
    for person in (ann, ben):
        matching.find(ticket_of(person))
    second = await received(ann, 2)
    for _ in range(2):
        # In whatever order they arrive: an ended match is not announced, and a current one not twice.
        await matches.announce_again("default", ann.user, row)
        monkeypatch.setattr(matches, "active", late(matches.active, [row]))
    again = await matches.active("default", ann.user)
    assert again is not None
    await matches.announce_again("default", ann.user, again)
    assert [(await received(ann, 2))["match"], len(ann.frames)] == [second["match"], 3]
    assert matching._hub.subscriptions.is_subscribed(ann.id, second["conversation"])


def late(active: Callable[[str, str], Any], answers: list[Any]) -> Callable[[str, str], Any]:
    """A look-up whose first answers are outdated."""

    async def look_up(tenant: str, user: str) -> Any:
        return answers.pop() if answers else await active(tenant, user)

    return look_up


async def test_a_late_close_keeps_the_next_ticket_of_the_user(started: Started) -> None:
    """The user searches again before the node reads that the previous ticket is closed."""
    matching, (ann, _) = started
    first, second = ticket_of(ann), ticket_of(ann)
    for ticket in (first, second):
        matching.find(ticket)
    TicketsClosed("default", [ann.user], [first.id]).apply_to(matching)
    assert matching.ticket_of(("default", ann.user)) == second
    TicketsClosed("default", [ann.user], [second.id]).apply_to(matching)
    assert not matching.tickets.active
