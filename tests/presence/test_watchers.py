"""Who looks at whom, and what counts of what several nodes say, without a clock or a network."""

from chatd.presence.local_presence import AWAY, GONE, ONLINE, Attendance
from chatd.presence.watchers import MISSES, Lookers, Target
from chatd.realtime.hub import Hub
from chatd.realtime.signals import SessionRemoved
from tests.realtime.test_hub import Session, attach

ANN, BEN = ("t", "ann"), ("t", "ben")


class Node:
    """A hub, and what is known of presence beside it. The grace is 10."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.attendance = Attendance(self.hub, 10)
        self.lookers = Lookers(self.attendance, "here")
        self.now = 100.0
        self.hub.signals.on_sync(SessionRemoved, self._removed)

    def _removed(self, signal: SessionRemoved) -> None:
        session = signal.session
        assert isinstance(session, Session)
        self.attendance.detached(session, self.now)
        self.lookers.forget(session)

    def come(self, id_: str, user: str = "ann") -> Session:
        session = Session(id_, user)
        attach(self.hub, session)
        return session

    def changed(self) -> list[tuple[str, str]]:
        changed, self.attendance.changed = list(self.attendance.changed), {}
        return changed


async def test_somebody_is_held_for_the_grace() -> None:
    node = Node()
    session = node.come("1")
    assert (node.changed(), node.attendance.rank(ANN)) == ([ANN], ONLINE)
    node.hub.unregister(session)
    assert (node.changed(), node.attendance.rank(ANN), node.attendance.everybody()) == ([], ONLINE, [ANN])
    assert node.attendance.expire(109.9) == []
    node.come("2")
    assert node.attendance.expire(200) == []
    assert node.changed() == []
    node.hub.unregister(node.hub.connections.by_id["2"])
    assert node.attendance.expire(110) == [ANN]
    assert (node.changed(), node.attendance.rank(ANN), node.attendance.everybody()) == ([ANN], GONE, [])


async def test_the_grace_of_each_is_over_in_its_turn() -> None:
    node = Node()
    sessions = [node.come(name, name) for name in ("ann", "ben", "eve")]
    for session in sessions:
        node.hub.unregister(session)
        node.now += 1
    sessions[0] = node.come("ann", "ann")
    node.hub.unregister(sessions[0])
    assert node.attendance.expire(111.5) == [BEN]
    assert node.attendance.expire(200) == [("t", "eve"), ANN]


async def test_away_and_online_devices() -> None:
    node = Node()
    desk, phone = node.come("desk"), node.come("phone")
    node.changed()
    node.attendance.set(ANN, "phone", True)
    assert node.attendance.rank(ANN) == ONLINE
    node.hub.unregister(desk)
    assert node.attendance.rank(ANN) == ONLINE
    assert node.attendance.expire(110) == []
    assert node.attendance.rank(ANN) == AWAY
    node.hub.unregister(phone)
    assert node.attendance.rank(ANN) == AWAY
    node.come("phone again")
    assert node.attendance.rank(ANN) == ONLINE
    assert node.attendance.statistics() == {"away": 0, "held": 0}


async def test_who_is_simply_online_costs_nothing() -> None:
    node = Node()
    for number in range(100):
        node.come(str(number), str(number))
    node.changed()
    assert node.attendance.statistics() | node.lookers.statistics() == {"away": 0, "held": 0, "watching": 0, "watched": 0}


async def test_one_looks_at_those_named_last() -> None:
    node = Node()
    one, two = node.come("1", "eve"), node.come("2", "eve")
    node.lookers.look("1", [Target(ANN), Target(BEN)])
    node.lookers.look("2", [Target(BEN)])
    node.lookers.look("1", [Target(ANN)])
    assert sorted(node.lookers.watched) == [ANN, BEN]
    node.hub.unregister(two)
    assert list(node.lookers.watched) == [ANN]
    node.lookers.hear("there", BEN, ONLINE)
    node.lookers.mark([BEN])
    assert not node.lookers.to_tell
    node.hub.unregister(one)
    assert node.lookers.statistics() == {"watching": 0, "watched": 0}


async def test_the_highest_of_all_nodes_counts() -> None:
    node = Node()
    node.lookers.look("1", [Target(ANN)])
    node.lookers.hear("there", ANN, AWAY)
    node.lookers.hear("elsewhere", ANN, 9)
    assert (node.lookers.rank(ANN), node.lookers.due(5, 1)) == (ONLINE, [ANN])
    node.lookers.hear("there", ANN, GONE)
    assert node.lookers.due(9, 1) == []
    node.lookers.hear("elsewhere", ANN, GONE)
    assert (node.lookers.rank(ANN), node.lookers.due(5.5, 1), node.lookers.due(6, 1)) == (GONE, [], [ANN])


async def test_what_was_read_before_a_word_came_does_not_replace_it() -> None:
    node = Node()
    node.lookers.look("1", [Target(ANN), Target(BEN)])
    words = node.lookers.words
    node.lookers.hear("there", ANN, GONE)
    node.lookers.learn({"there": {ANN: ONLINE, BEN: ONLINE}, "here": {BEN: ONLINE}}, [ANN, BEN], words)
    assert (node.lookers.rank(ANN), node.lookers.rank(BEN)) == (GONE, ONLINE)
    node.lookers.learn({"there": {ANN: AWAY, BEN: GONE}}, [ANN, BEN], node.lookers.words)
    assert (node.lookers.rank(ANN), node.lookers.rank(BEN)) == (AWAY, GONE)


async def test_a_node_that_is_missing_more_than_once_says_nothing_any_more() -> None:
    node = Node()
    node.lookers.look("1", [Target(ANN)])
    node.lookers.hear("there", ANN, ONLINE)
    for nodes in ([], ["there"], *[[]] * (MISSES - 1)):
        node.lookers.nodes_are(set(nodes))
        assert node.lookers.rank(ANN) == ONLINE
    node.lookers.nodes_are(set())
    assert (node.lookers.rank(ANN), node.lookers.due(5, 1)) == (GONE, [ANN])


async def test_a_session_may_look_at_one_user_by_two_ids() -> None:
    node = Node()
    both = [Target(ANN), Target(ANN, "alias")]
    node.lookers.look("1", both)
    for target, shown in zip(both, (GONE, ONLINE), strict=True):
        node.lookers.note_told("1", target, shown, ONLINE)
    assert node.lookers.watched[ANN].lookers == {("1", None): GONE, ("1", "alias"): ONLINE}
    node.lookers.look("1", both[1:])
    assert node.lookers.watched[ANN].lookers == {("1", "alias"): None}
    node.lookers.look("1", [])
    assert node.lookers.statistics() == {"watching": 0, "watched": 0}
