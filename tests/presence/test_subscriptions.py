"""Levels of users and subscriptions to them, without a clock or a network."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chatd.presence.local_presence import AWAY, OFFLINE, ONLINE, LocalPresence
from chatd.presence.subscriptions import MAX_MISSES, PresenceSubscriptions, Target
from chatd.realtime.hub import Hub
from chatd.realtime.signals import SessionRemoved
from tests.realtime.test_hub import Session, attach

ANN, BEN = ("t", "ann"), ("t", "ben")


class Node:
    """A hub, and presence beside it. The grace period is 10 s."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.local = LocalPresence(self.hub, 10)
        self.subscriptions = PresenceSubscriptions(self.local, "here")
        self.now = 100.0
        self.hub.signals.on_sync(SessionRemoved, self._removed)

    def _removed(self, signal: SessionRemoved) -> None:
        session = signal.session
        assert isinstance(session, Session)
        self.local.on_session_removed(session, self.now)
        self.subscriptions.unsubscribe(session)

    def connect(self, id_: str, user: str = "ann") -> Session:
        session = Session(id_, user)
        attach(self.hub, session)
        return session

    def changed(self) -> list[tuple[str, str]]:
        changed, self.local.changed = list(self.local.changed), {}
        return changed


async def test_a_level_outlives_a_session_by_the_grace_period() -> None:
    node = Node()
    session = node.connect("1")
    assert (node.changed(), node.local.level(ANN)) == ([ANN], ONLINE)
    node.hub.unregister(session)
    assert (node.changed(), node.local.level(ANN), node.local.users()) == ([], ONLINE, [ANN])
    assert node.local.end_grace_periods(109.9) == []
    node.connect("2")
    assert node.local.end_grace_periods(200) == []
    assert node.changed() == []
    node.hub.unregister(node.hub.connections.by_id["2"])
    assert node.local.end_grace_periods(110) == [ANN]
    assert (node.changed(), node.local.level(ANN), node.local.users()) == ([ANN], OFFLINE, [])


async def test_a_status_that_does_not_change_the_level_is_not_published() -> None:
    """It is neither written to Redis nor published: only users in `changed` are."""
    node = Node()
    node.connect("1")
    assert node.changed() == [ANN]
    for away, changes in ((False, False), (True, True), (True, False), (False, True), (False, False)):
        node.local.set_away(ANN, "1", away)
        assert bool(node.changed()) is changes
    node.connect("2")
    assert node.changed() == []
    for session, away, changes in (("1", True, False), ("1", False, False), ("2", True, False), ("1", True, True)):
        node.local.set_away(ANN, session, away)
        assert bool(node.changed()) is changes, (session, away)
    assert node.local.level(ANN) == AWAY


STATUSES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from("123"), st.booleans()),
        st.tuples(st.sampled_from(("connect", "disconnect")), st.sampled_from("123"), st.just(False)),
        st.tuples(st.just("wait"), st.sampled_from((0.1, 1.9, 2.0, 2.1, 9.0, 10.0)), st.just(False)),
        st.tuples(st.just("publish"), st.just("1"), st.just(False)),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(STATUSES)
def test_the_published_level_is_always_current(steps: list[tuple[str, Any, bool]]) -> None:
    """With repeated statuses, reconnections and grace periods: what is not published changes nothing."""
    node, published = Node(), OFFLINE
    for what, value, away in steps:
        match what:
            case "set" if value in node.hub.connections.by_id:
                node.local.set_away(ANN, value, away)
            case "connect" if value not in node.hub.connections.by_id:
                node.connect(value)
            case "disconnect" if value in node.hub.connections.by_id:
                node.hub.unregister(node.hub.connections.by_id[value])
            case "wait":
                node.now += value
        if what == "publish":
            node.local.end_grace_periods(node.now)
            for user in node.changed():
                published = node.local.level(user)
            assert published == node.local.level(ANN)


async def test_grace_periods_end_in_their_order() -> None:
    node = Node()
    sessions = [node.connect(name, name) for name in ("ann", "ben", "eve")]
    for session in sessions:
        node.hub.unregister(session)
        node.now += 1
    sessions[0] = node.connect("ann", "ann")
    node.hub.unregister(sessions[0])
    assert node.local.end_grace_periods(111.5) == [BEN]
    assert node.local.end_grace_periods(200) == [("t", "eve"), ANN]


async def test_a_user_is_online_while_one_device_is() -> None:
    node = Node()
    desk, phone = node.connect("desk"), node.connect("phone")
    node.changed()
    node.local.set_away(ANN, "phone", True)
    assert node.local.level(ANN) == ONLINE
    node.hub.unregister(desk)
    assert node.local.level(ANN) == ONLINE
    assert node.local.end_grace_periods(110) == []
    assert node.local.level(ANN) == AWAY
    node.hub.unregister(phone)
    assert node.local.level(ANN) == AWAY
    node.connect("phone again")
    assert node.local.level(ANN) == ONLINE
    assert node.local.statistics() == {"away": 0, "grace_periods": 0}


async def test_users_who_are_only_online_take_no_memory() -> None:
    node = Node()
    for number in range(100):
        node.connect(str(number), str(number))
    node.changed()
    assert node.local.statistics() | node.subscriptions.statistics() == {
        "away": 0,
        "grace_periods": 0,
        "watching": 0,
        "watched": 0,
    }


async def test_a_subscription_replaces_the_one_before() -> None:
    node = Node()
    one, two = node.connect("1", "eve"), node.connect("2", "eve")
    node.subscriptions.subscribe("1", [Target(ANN), Target(BEN)])
    node.subscriptions.subscribe("2", [Target(BEN)])
    node.subscriptions.subscribe("1", [Target(ANN)])
    assert sorted(node.subscriptions.watched) == [ANN, BEN]
    node.hub.unregister(two)
    assert list(node.subscriptions.watched) == [ANN]
    node.subscriptions.on_report("there", BEN, ONLINE)
    node.subscriptions.mark_changed([BEN])
    assert not node.subscriptions.changed
    node.hub.unregister(one)
    assert node.subscriptions.statistics() == {"watching": 0, "watched": 0}


async def test_the_level_is_the_highest_of_all_nodes() -> None:
    node = Node()
    node.subscriptions.subscribe("1", [Target(ANN)])
    node.subscriptions.on_report("there", ANN, AWAY)
    node.subscriptions.on_report("remote", ANN, 9)
    assert (node.subscriptions.level(ANN), node.subscriptions.take_due(5, 1)) == (ONLINE, [ANN])
    node.subscriptions.on_report("there", ANN, OFFLINE)
    assert node.subscriptions.take_due(9, 1) == []
    node.subscriptions.on_report("remote", ANN, OFFLINE)
    assert (node.subscriptions.level(ANN), node.subscriptions.take_due(5.5, 1), node.subscriptions.take_due(6, 1)) == (
        OFFLINE,
        [],
        [ANN],
    )


async def test_levels_that_were_read_before_a_report_do_not_replace_it() -> None:
    node = Node()
    node.subscriptions.subscribe("1", [Target(ANN), Target(BEN)])
    version = node.subscriptions.version
    node.subscriptions.on_report("there", ANN, OFFLINE)
    node.subscriptions.apply_levels({"there": {ANN: ONLINE, BEN: ONLINE}, "here": {BEN: ONLINE}}, [ANN, BEN], version)
    assert (node.subscriptions.level(ANN), node.subscriptions.level(BEN)) == (OFFLINE, ONLINE)
    node.subscriptions.apply_levels({"there": {ANN: AWAY, BEN: OFFLINE}}, [ANN, BEN], node.subscriptions.version)
    assert (node.subscriptions.level(ANN), node.subscriptions.level(BEN)) == (AWAY, OFFLINE)


async def test_reports_of_a_node_that_stays_missing_are_forgotten() -> None:
    node = Node()
    node.subscriptions.subscribe("1", [Target(ANN)])
    node.subscriptions.on_report("there", ANN, ONLINE)
    for nodes in ([], ["there"], *[[]] * (MAX_MISSES - 1)):
        node.subscriptions.set_nodes(set(nodes))
        assert node.subscriptions.level(ANN) == ONLINE
    node.subscriptions.set_nodes(set())
    assert (node.subscriptions.level(ANN), node.subscriptions.take_due(5, 1)) == (OFFLINE, [ANN])


async def test_a_session_can_watch_a_user_by_two_ids() -> None:
    node = Node()
    both = [Target(ANN), Target(ANN, "alias")]
    node.subscriptions.subscribe("1", both)
    for target, shown in zip(both, (OFFLINE, ONLINE), strict=True):
        node.subscriptions.note_sent("1", target, shown, ONLINE)
    assert node.subscriptions.watched[ANN].subscribers == {("1", None): OFFLINE, ("1", "alias"): ONLINE}
    node.subscriptions.subscribe("1", both[1:])
    assert node.subscriptions.watched[ANN].subscribers == {("1", "alias"): None}
    node.subscriptions.subscribe("1", [])
    assert node.subscriptions.statistics() == {"watching": 0, "watched": 0}
