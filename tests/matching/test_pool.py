"""The match pool as a state machine: after any requests in any order, each ticket is in one pair or waits."""

from collections.abc import Iterable
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import json

from chatd.matching.criteria import Accept, Ticket, accepts, fits, rebase_clock
from chatd.matching.pool import Pool, replay
from chatd.matching.pool_events import (
    MatchCommitted,
    PairDissolved,
    Paired,
    PoolEvent,
    Queue,
    Queued,
    Reset,
    TicketRemoved,
)
from tests.examples import examples

EXAMPLES = examples(75)
USERS = [f"u{number}" for number in range(8)]
LANGUAGES = ["de", "en"]
QUEUES = {"plain": Queue(), "three": Queue(size=3), "asking": Queue(confirm=3000), "short": Queue(longest=20_000)}
VALUES = st.fixed_dictionaries({}, optional={"language": st.sampled_from(LANGUAGES), "age": st.integers(18, 22)})
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "language": st.sampled_from(LANGUAGES) | st.lists(st.sampled_from(LANGUAGES), max_size=2),
        "age": st.fixed_dictionaries({}, optional={"min": st.integers(18, 22), "max": st.integers(18, 22)}),
    },
)
ACCEPTS = st.builds(Accept, must=CONDITIONS, should=CONDITIONS, must_not=CONDITIONS)


def new_pool() -> Pool:
    numbers = count()
    return Pool(QUEUES, lambda: f"m{next(numbers)}")


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pool = new_pool()
        self.events: list[PoolEvent] = []
        self.now = 1_000_000
        self.numbers = count()
        self.since: dict[str, int] = {}
        self.dissolved: list[str] = []

    def note(self, events: Iterable[PoolEvent]) -> None:
        for event in events:
            self.events.append(event)
            if isinstance(event, Paired):
                self.check_pair(event)
            if isinstance(event, Queued):
                self.since[event.ticket.id] = event.ticket.since

    def check_pair(self, pair: Paired) -> None:
        """All tickets accept each other with the criteria relaxed by then, and relaxed criteria are reported."""
        tickets = [self.pool.tickets[id_] for id_ in pair.tickets]
        rules = self.pool.rules(tickets[0].queue)
        assert len(tickets) == rules.size
        assert len({ticket.user for ticket in tickets}) == rules.size
        assert len({(ticket.tenant, ticket.queue, ticket.shadow) for ticket in tickets}) == 1
        for one in tickets:
            for other in tickets:
                if one is not other:
                    assert accepts(one, other, self.pool.level(one, pair.at))
                    assert pair.relaxed[one.id] or accepts(one, other, 0)

    @rule(
        user=st.sampled_from(USERS), queue=st.sampled_from(sorted(QUEUES)), tenant=st.sampled_from(["t", "t", "other"]),
        tags=st.lists(st.sampled_from("abc"), max_size=2, unique=True), attributes=VALUES, accept=ACCEPTS,
        avoid=st.frozensets(st.sampled_from(USERS), max_size=2), recent=st.lists(st.sampled_from(USERS), max_size=2),
        shadow=st.sampled_from([False, False, True]),
    )  # fmt: skip
    def find(self, user: str, queue: str, tenant: str, tags: list[str], **fields: Any) -> None:
        fields["recent"] = tuple(fields["recent"])
        ticket = Ticket(f"t{next(self.numbers)}", tenant, user, queue, self.now, tuple(tags), **fields)
        self.note(self.pool.find(ticket, self.now))

    @precondition(lambda self: self.pool.tickets)
    @rule(data=st.data(), reason=st.sampled_from(["cancelled", "disconnected", "banned", "declined"]))
    def leave(self, data: st.DataObject, reason: str) -> None:
        self.note(self.pool.leave(data.draw(st.sampled_from(sorted(self.pool.tickets))), reason, self.now))

    @precondition(lambda self: self.pool.pairs)
    @rule(data=st.data(), fails=st.booleans())
    def settle(self, data: st.DataObject, fails: bool) -> None:
        match = data.draw(st.sampled_from(sorted(self.pool.pairs)))
        if fails:
            # The owner searches again for them a moment later.
            self.dissolved += self.pool.pairs[match].tickets
            self.note(self.pool.dissolve(match, "unavailable"))
        elif self.pool.is_confirmed(match):
            self.note(self.pool.commit(match))

    @precondition(lambda self: self.pool.pairs)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        match = data.draw(st.sampled_from(sorted(self.pool.pairs)))
        ticket = self.pool.tickets[data.draw(st.sampled_from(self.pool.pairs[match].tickets))]
        self.note(self.pool.confirm(match, (ticket.tenant, ticket.user)))
        self.note(self.pool.confirm(match, ("t", "nobody")))

    @rule(passed=st.sampled_from([100, 1000, 5000, 30_000]))
    def time_passes(self, passed: int) -> None:
        self.now += passed
        self.note(self.pool.pair_again(self.now, self.dissolved))
        self.dissolved.clear()
        self.note(self.pool.tick(self.now))
        if passed == 30_000:
            self.check_that_no_ticket_waits_beside_a_partner()

    def check_that_no_ticket_waits_beside_a_partner(self) -> None:
        """Every ticket was served in that time, and a search examines all tickets of so small a pool."""
        lists = self.pool.index.snapshot()
        ids = lists.get(("t", "plain"), set()) | lists.get(("t", "plain", "shadow"), set())
        waiting = [self.pool.tickets[id_] for id_ in ids]
        for one in waiting:
            for other in waiting:
                levels = [self.pool.level(ticket, self.now) for ticket in (one, other)]
                assert not (accepts(one, other, levels[0]) and accepts(other, one, levels[1]))

    @invariant()
    def each_ticket_is_in_one_place(self) -> None:
        paired = [id_ for pair in self.pool.pairs.values() for id_ in pair.tickets]
        waiting = {id_ for key, ids in self.pool.index.snapshot().items() if len(key) in (2, 3) for id_ in ids}
        assert len(paired) == len(set(paired))
        assert set(paired) | waiting == set(self.pool.tickets)
        assert not set(paired) & waiting
        assert {(t.tenant, t.user): t.id for t in self.pool.tickets.values()} == self.pool.by_user

    @invariant()
    def no_ticket_is_lost_and_all_keep_their_waiting_time(self) -> None:
        ended = {event.ticket for event in self.events if isinstance(event, TicketRemoved)}
        pairs = {event.match: event.tickets for event in self.events if isinstance(event, Paired)}
        ended |= {id_ for event in self.events if isinstance(event, MatchCommitted) for id_ in pairs[event.match]}
        assert {event.ticket.id for event in self.events if isinstance(event, Queued)} - ended == set(self.pool.tickets)
        assert all(ticket.since == self.since[id_] for id_, ticket in self.pool.tickets.items())

    @invariant()
    def the_pool_is_the_replay_of_its_events(self) -> None:
        self.check_same(replay(self.events, QUEUES, lambda: "unused"))

    @invariant()
    def the_pool_is_the_replay_of_a_snapshot(self) -> None:
        self.check_same(replay([*self.events, Reset(), *self.pool.snapshot()], QUEUES, lambda: "unused"))

    def check_same(self, again: Pool) -> None:
        assert (again.tickets, again.by_user, again.pairs) == (self.pool.tickets, self.pool.by_user, self.pool.pairs)
        assert again.index.snapshot() == self.pool.index.snapshot()
        assert [again.is_confirmed(match) for match in again.pairs] == [
            self.pool.is_confirmed(match) for match in self.pool.pairs
        ]


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=EXAMPLES, stateful_step_count=40)


def ticket(user: str, since: int = 0, **fields: Any) -> Ticket:
    return Ticket(f"of-{user}", "t", user, "plain", since, **fields)


def paired(events: list[PoolEvent]) -> list[list[str]]:
    return [event.tickets for event in events if isinstance(event, Paired)]


def test_users_who_fit_are_paired_on_arrival() -> None:
    pool = new_pool()
    assert paired(pool.find(ticket("a"), 0)) == []
    assert paired(pool.find(ticket("b"), 5)) == [["of-b", "of-a"]]


def test_the_oldest_ticket_comes_first_and_one_of_a_dissolved_pair_before_all() -> None:
    pool = new_pool()
    for name in "abc":
        pool.find(ticket(name, avoid=frozenset("abc")), 0)
    events = pool.find(ticket("d", 10), 10)
    assert paired(events) == [["of-d", "of-a"]]
    pool.leave("of-d", "disconnected", 20)
    assert paired(pool.find(ticket("e", 30), 30)) == [["of-e", "of-a"]]


@pytest.mark.parametrize(
    ("fields", "name", "after"),
    [
        ({"accept": Accept(should={"language": "en"})}, "should", 5000),
        ({"tags": ("chess",)}, "tags", 10_000),
        ({"recent": ("b",)}, "recent", 15_000),
    ],
)
def test_criteria_are_relaxed_in_order_and_reported(fields: Any, name: str, after: int) -> None:
    pool = new_pool()
    pool.find(ticket("a", **fields), 0)
    pool.find(ticket("b"), 0)
    assert paired(pool.tick(after - 1)) == []
    events = [event for event in pool.tick(after + 1) if isinstance(event, Paired)]
    assert events[0].relaxed == {"of-a": [name], "of-b": []}


def test_must_and_blocks_are_never_relaxed() -> None:
    pool = new_pool()
    pool.find(ticket("a", accept=Accept(must={"language": "en"})), 0)
    pool.find(ticket("b", avoid=frozenset("a"), attributes={"language": "en"}), 0)
    pool.find(ticket("c", attributes={"language": "de"}, avoid=frozenset("b")), 0)
    assert [event for event in pool.tick(10**5) if isinstance(event, Paired)] == []


def test_a_ticket_that_is_not_confirmed_is_removed_and_the_other_waits_again() -> None:
    pool = new_pool()
    pool.find(Ticket("1", "t", "a", "asking", 0), 0)
    match = pool.find(Ticket("2", "t", "b", "asking", 10), 10)[-1]
    assert isinstance(match, Paired)
    assert not pool.is_confirmed(match.match)
    pool.confirm(match.match, ("t", "a"))
    events = pool.tick(3011)
    assert [type(event) for event in events] == [PairDissolved, TicketRemoved]
    assert list(pool.tickets) == ["1"]
    assert pool.tickets["1"].since == 0


def test_the_estimate_is_the_median_of_the_last_waits() -> None:
    pool = new_pool()
    assert pool.estimate("t", "plain") is None
    for number in range(4):
        pool.find(ticket(f"x{number}", 0), 0)
        pool.commit(pool.find(ticket(f"y{number}", 1000), 1000)[-1].match)  # type: ignore[union-attr]
    assert pool.estimate("t", "plain") in (0, 1000)


@pytest.mark.parametrize(
    ("condition", "value", "fit"),
    [
        ("en", "en", True), ("en", "de", False), ("en", None, False), (["en", "de"], "de", True), ([], "de", False),
        ({"min": 18}, 18, True), ({"max": 18}, 18.5, False), ({"min": 1}, "x", False), ({"min": 0}, True, False),
        (1, True, False), (True, True, True), (1, 1.0, True), ({}, 5, True),
    ],
)  # fmt: skip
def test_conditions_match_values(condition: Any, value: Any, fit: bool) -> None:
    assert fits(condition, value) is fit


def test_a_used_ticket_is_ignored() -> None:
    pool = new_pool()
    pool.find(ticket("a"), 0)
    pair = pool.find(ticket("b"), 0)[-1]
    assert isinstance(pair, Paired)
    pool.commit(pair.match)
    assert pool.find(ticket("a"), 1) == []
    pool.find(ticket("c"), 2)
    pool.leave("of-c", "cancelled", 3)
    assert pool.find(ticket("c"), 4) == []
    pool.find(ticket("d"), 5)
    pool.leave("of-d", "held", 6)
    assert len(pool.find(ticket("d"), 7)) == 1


def test_a_paused_pool_makes_no_pairs_until_it_is_resumed() -> None:
    pool = new_pool()
    pool.paused = True
    assert paired(pool.find(ticket("a"), 0) + pool.find(ticket("b"), 0) + pool.tick(60_000)) == []
    pool.paused = False
    pool.requeue_all()
    assert len(paired(pool.tick(60_001))) == 1


def test_a_tick_serves_a_limited_number_of_tickets() -> None:
    pool = new_pool()
    pool.paused = True
    for number in range(20):
        pool.find(ticket(f"u{number}"), 0)
    pool.paused = False
    pool.requeue_all()
    # For each pair one ticket is served in vain: it has a partner already.
    assert [len(paired(pool.tick(1, 8))) for _ in range(3)] == [4, 4, 2]
    assert not pool.is_due(1)


def test_users_of_a_dissolved_pair_are_matched_by_the_next_owner() -> None:
    """The owner died before it searched for them again, and no relaxation of their criteria is due."""
    events: list[PoolEvent] = []
    pool = new_pool()
    for name in "ab":
        events += pool.find(ticket(name), 0)
    pair = events[-1]
    assert isinstance(pair, Paired)
    events += pool.dissolve(pair.match, "unavailable")
    after = replay(json.decode(json.encode(events), type=list[PoolEvent]), QUEUES, lambda: "again")
    after.requeue_all()
    assert len(paired(after.tick(1))) == 1


@pytest.mark.parametrize("who", ["a", "b", "both"])
def test_a_blocked_pair_is_never_matched(who: str) -> None:
    """Even if all other criteria are relaxed, and under an owner that replays the event log."""
    avoids = {
        "a": frozenset("b") if who in ("a", "both") else frozenset(),
        "b": frozenset("a") if who != "a" else frozenset(),
    }
    pool, now = new_pool(), 0
    for number in range(10_000):
        name = "ab"[number % 2]
        one = Ticket(f"{name}{number}", "t", name, "plain", now, avoid=avoids[name])
        events = pool.find(one, now)
        now += 20_000 if number % 100 == 0 else 1
        events += pool.tick(now)
        if number % 500 == 0:
            pool = replay(json.decode(json.encode(pool.snapshot()), type=list[PoolEvent]), QUEUES, lambda: "unused")
            pool.requeue_all()
            events += pool.tick(now)
        assert paired(events) == []
        assert not pool.pairs
    assert len(pool.tickets) == 2


@pytest.mark.parametrize(("one", "other"), [(False, True), (True, False)])
def test_shadow_banned_users_are_matched_only_with_each_other(one: bool, other: bool) -> None:
    pool = new_pool()
    pool.find(ticket("a", tags=("x",), shadow=one), 0)
    assert paired(pool.find(ticket("b", tags=("x",), shadow=other), 0) + pool.tick(500_000)) == []
    assert paired(pool.find(ticket("c", 500_000, tags=("x",), shadow=one), 500_000)) == [["of-c", "of-a"]]
    assert paired(pool.find(ticket("d", 500_000, tags=("x",), shadow=other), 500_000)) == [["of-d", "of-b"]]


def test_a_late_ticket_does_not_replace_a_newer_one() -> None:
    pool = new_pool()
    pool.find(Ticket("new", "t", "a", "plain", 100), 100)
    assert pool.find(Ticket("old", "t", "a", "plain", 50), 110) == []
    assert list(pool.tickets) == ["new"]


def test_many_unsuitable_tickets_do_not_block_the_others() -> None:
    pool = new_pool()
    for number in range(1000):
        pool.find(ticket(f"picky{number}", accept=Accept(must={"age": {"min": 99}})), 0)
    assert paired(pool.find(ticket("a", 10), 10)) == []
    assert paired(pool.find(ticket("b", 20), 20)) == [["of-b", "of-a"]]


def test_the_longest_queues_are_listed() -> None:
    pool = new_pool()
    for number, queue in enumerate(["few", "many", "many", "none"]):
        one = Ticket(f"{number}", "t", f"u{number}", queue, 0, tags=(f"tag{number}",), attributes={"a": f"{number}"})
        pool.find(one, 0)
    pool.find(Ticket("shadow", "t", "s", "few", 0, shadow=True), 0)
    pool.leave("3", "cancelled", 1)
    assert pool.index.longest(5) == [(("t", "many"), 2), (("t", "few"), 1)]
    assert pool.index.longest(1) == [(("t", "many"), 2)]


@pytest.mark.parametrize(
    ("since", "theirs", "ours", "expected"),
    [
        (1000, 4000, 4000, 1000),
        (1000, 4000, 90_000, 87_000),
        (90_000, 93_000, 4000, 1000),
        (9000, 4000, 5000, 5000),
        (7, 0, 99, 7),
    ],
)
def test_a_waiting_time_is_the_same_by_any_clock(since: int, theirs: int, ours: int, expected: int) -> None:
    assert rebase_clock(Ticket("t", "default", "u", "q", since), theirs, ours).since == expected


def test_cancelled_tickets_leave_nothing_behind() -> None:
    """Otherwise their wake-ups would stay until the maximum waiting time."""
    pool = new_pool()
    pool.find(Ticket("waits", "default", "u", "plain", 0, (), {"age": 1}, Accept(must={"age": 2})), 0)
    for number in range(500):
        for user in ("v", "w"):
            ticket = Ticket(
                f"{user}{number}", "default", user, "plain", number, (), {"age": 1}, Accept(must={"age": 2})
            )
            pool.find(ticket, number)
        for user in ("v", "w"):
            pool.leave(f"{user}{number}", "cancelled", number)
    assert len(pool.tickets) == 1
    assert len(pool._wakeups) <= 3
