"""The hub, with sessions that record their frames."""

import gc
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio

from chatd.realtime.feeds import Members
from chatd.realtime.hub import Hub
from chatd.realtime.pending_session import PendingSession
from chatd.realtime.sessions import WRITES_PER_TURN, Delivery, EncodedEvent
from chatd.realtime.signals import SessionRemoved, UserConnected, UserDisconnected
from chatd.realtime.unheard_revs import MAX_TOPICS, SLACK
from chatd.wire.codec import Codec, codecs
from chatd.wire.connection_events import Behind

JSON = codecs([])["chatd.v1.json"]
MSGPACK = codecs([])["chatd.v1.msgpack"]
EVENT = Behind(conversation="c", rev=1)


def news(rev: int = 0, **fields: Any) -> Delivery:
    return Delivery(EncodedEvent(EVENT), rev, **fields)


def body_of(frame: bytes) -> Any:
    """The body of a short frame in JSON."""
    return msgspec.json.decode(frame[4 if frame[1] == 126 else 2 :])[1]


def attach(hub: Hub, session: "Session", *places: tuple[str, int]) -> None:
    pending = PendingSession(session.tenant, session.user)
    pending.topics += places
    hub.register(session, pending)


@dataclass(eq=False)
class Session:
    id: str
    user: str
    tenant: str = "t"
    login: str = "l"
    token_id: str = "j"
    address: str = ""
    codec: Codec = JSON
    transport: str = "websocket"
    room: bool = True
    frames: list[bytes] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def send_nowait(self, frame: bytes, event: Any = None, /) -> bool:
        if self.room:
            self.frames.append(frame)
        return self.room

    def request_close(self, close: str, reason: str = "") -> None:
        self.closed.append(close)


async def test_each_codec_is_encoded_once_and_the_bytes_are_shared() -> None:
    hub = Hub()
    people = [Session(str(n), "u", codec=(JSON, MSGPACK)[n % 2]) for n in range(4)]
    for session in people:
        attach(hub, session, ("c", 1))
    await hub.subscriptions.deliver("t", "c", news(exclude_session="3"))
    assert [len(session.frames) for session in people] == [1, 1, 1, 0]
    assert people[0].frames[0] is people[2].frames[0]
    assert people[0].frames[0] != people[1].frames[0]


async def test_events_stay_within_a_tenant() -> None:
    hub = Hub()
    ours, theirs = Session("1", "u"), Session("2", "u", tenant="other")
    attach(hub, ours, ("c", 1))
    attach(hub, theirs, ("c", 1))
    await hub.subscriptions.deliver("t", "c", news())
    await hub.deliver_to_user("t", "u", news())
    hub.close_sessions("t", "u", "banned")
    assert (len(ours.frames), ours.closed, theirs.frames, theirs.closed) == (2, ["banned"], [], [])


async def test_dropped_frames_are_counted_and_others_get_theirs() -> None:
    """tests/gateway/test_send_queue.py tests what the queue does with them."""
    hub = Hub()
    slow, fast = Session("1", "u", room=False), Session("2", "v")
    for session in (slow, fast):
        attach(hub, session, ("c", 1))
    await hub.subscriptions.deliver("t", "c", news(ephemeral=True))
    await hub.subscriptions.deliver("t", "c", news())
    assert (slow.closed, len(fast.frames)) == ([], 2)
    assert hub.statistics()["dropped"] == 2


async def test_the_send_queue_gets_topic_and_rev() -> None:
    """Each event of a conversation has them, also a `behind` or a late event; events of a user have none."""
    hub, marks = Hub(), list[Any]()
    session = Session("1", "u")
    session.send_nowait = lambda frame, event=None: marks.append(event) or True  # type: ignore[method-assign, func-returns-value]
    attach(hub, session, ("c", 1))
    await hub.subscriptions.deliver("t", "c", news(3))
    await hub.subscriptions.deliver("t", "c", news(2))
    await hub.subscriptions.report_gap("t", "c", 7)
    await hub.deliver_to_user("t", "u", news())
    await hub.subscriptions.deliver("t", "d", news(9))
    hub.memberships.add("t", "d", ["u"], 5)
    assert [(mark.topic, mark.rev) for mark in marks] == [("c", 2), ("c", 3), ("c", 7), ("", 0), ("d", 9)]


async def test_a_pending_session_gets_a_new_conversation() -> None:
    hub = Hub()
    pending = hub.connections.pending.begin("t", "u")
    hub.memberships.add("t", "c", ["u"], 1)
    session = Session("1", "u")
    hub.register(session, pending)
    assert hub.subscriptions.is_subscribed("1", "c")
    await hub.subscriptions.deliver("t", "c", news())
    assert len(session.frames) == 1


async def test_a_session_may_end_during_a_large_delivery() -> None:
    hub = Hub()
    people = [Session(str(n), str(n)) for n in range(2 * WRITES_PER_TURN + 1)]
    for session in people:
        attach(hub, session, ("c", 1))
    people[0].send_nowait = lambda frame, ephemeral=False: hub.unregister(people[1]) or True  # type: ignore[method-assign, func-returns-value]
    await hub.subscriptions.deliver("t", "c", news())
    assert sum(len(session.frames) for session in people) == len(people) - 1


async def test_a_delivery_completes_if_the_sender_disconnects() -> None:
    hub = Hub()
    people = [Session(str(n), str(n)) for n in range(2 * WRITES_PER_TURN)]
    for session in people:
        attach(hub, session, ("c", 1))
    with trio.CancelScope() as scope:
        scope.cancel()
        await hub.subscriptions.deliver("t", "c", news(2))
    assert sum(len(session.frames) for session in people) == len(people)


async def test_nothing_remains_of_an_ended_session() -> None:
    hub = Hub()
    session = Session("1", "u")
    attach(hub, session, ("a", 1), ("b", 1), ("a", 1))
    hub.memberships.add("t", "c", ["u"], 1)
    hub.unregister(session)
    hub.unregister(session)
    assert hub.statistics() == {"sessions": 0, "users": 0, "conversations": 0, "delivered": 0, "dropped": 0}
    assert not hub.subscriptions.is_subscribed("1", "a")


async def test_a_pending_session_is_closed() -> None:
    hub = Hub()
    pending = hub.connections.pending.begin("t", "u")
    hub.close_sessions("t", "u", "logged_out", credential="l")
    hub.close_sessions("t", "u", "banned", credential="another login")
    session = Session("1", "u")
    hub.register(session, pending)
    assert session.closed == ["logged_out"]
    hub.close_sessions("t", "v", "banned")
    assert session.closed == ["logged_out"]


async def test_all_subscribers_get_connects_and_the_last_disconnect() -> None:
    hub = Hub()
    first: list[object] = []
    second: list[object] = []
    for signals in (first, second):
        hub.signals.on_sync(UserConnected, signals.append)
        hub.signals.on_sync(UserDisconnected, signals.append)
    one, two = Session("1", "u"), Session("2", "u")
    for session in (one, two):
        attach(hub, session)
    hub.unregister(one)
    assert first == second == [UserConnected("t", "u")] * 2
    hub.unregister(two)
    assert first == second == [UserConnected("t", "u")] * 2 + [UserDisconnected("t", "u")]


async def test_a_leaving_member_gets_no_ephemeral_events_and_cannot_type() -> None:
    """Their last event waits for an earlier one, which another node has committed."""
    hub = Hub()
    session, other = Session("1", "u"), Session("2", "v")
    for one in (session, other):
        attach(hub, one, ("c", 1))
    await hub.subscriptions.deliver("t", "c", news(3, on_delivered=hub.memberships.remove_after("t", "c", ["u"], 3)))
    assert hub.subscriptions.gaps.since
    await hub.subscriptions.deliver("t", "c", news(ephemeral=True))
    assert (len(session.frames), len(other.frames), hub.subscriptions.is_subscribed("1", "c")) == (0, 1, False)
    await hub.subscriptions.deliver("t", "c", news(2))
    assert (len(session.frames), len(other.frames)) == (2, 3)
    await hub.subscriptions.deliver("t", "c", news(4))
    assert (len(session.frames), len(other.frames)) == (2, 4)


async def test_a_member_who_rejoins_before_the_end_is_delivered_stays() -> None:
    hub = Hub()
    session = Session("1", "u")
    attach(hub, session, ("c", 1))
    await hub.subscriptions.deliver("t", "c", news(3, on_delivered=hub.memberships.remove_after("t", "c", ["u"], 3)))
    hub.memberships.add("t", "c", ["u"], 3)
    await hub.subscriptions.deliver("t", "c", news(4))
    await hub.subscriptions.deliver("t", "c", news(2))
    assert hub.subscriptions.is_subscribed("1", "c")
    await hub.subscriptions.deliver("t", "c", news(ephemeral=True))
    assert len(session.frames) == 4


async def test_a_join_before_the_end_that_arrives_after_it_does_not_stay() -> None:
    """Two users add and remove the member at once: the control message of the first may arrive second."""
    hub = Hub()
    session, other = Session("1", "u"), Session("2", "v")
    attach(hub, session)
    attach(hub, other, ("c", 1))
    await hub.subscriptions.deliver("t", "c", news(3, on_delivered=hub.memberships.remove_after("t", "c", ["u"], 3)))
    hub.memberships.add("t", "c", ["u"], 1, is_new_member=True)
    await hub.subscriptions.deliver("t", "c", news(ephemeral=True))
    assert (session.frames, hub.subscriptions.is_subscribed("1", "c")) == ([], False)
    for rev in (2, 4):
        await hub.subscriptions.deliver("t", "c", news(rev))
    assert (len(session.frames), len(other.frames)) == (2, 4)
    await hub.subscriptions.deliver("t", "c", news(ephemeral=True))
    assert len(session.frames) == 2


async def test_a_pending_session_gets_no_events_from_before_it_joined() -> None:
    hub = Hub()
    one, late = Session("1", "u"), Session("2", "v")
    attach(hub, one, ("c", 1))
    pending = hub.connections.pending.begin("t", "v")
    hub.memberships.add("t", "c", ["v"], 3, is_new_member=True)
    hub.register(late, pending)
    for rev in (2, 3, 4):
        await hub.subscriptions.deliver("t", "c", news(rev))
    assert (len(one.frames), len(late.frames)) == (3, 2)
    assert b'"behind"' in late.frames[0]


async def test_a_new_member_gets_no_earlier_events() -> None:
    """Events of nodes arrive in any order. At the rev where they joined, new members get `behind`."""
    hub = Hub()
    one, late = Session("1", "u"), Session("2", "v")
    attach(hub, one, ("c", 1))
    attach(hub, late)
    hub.memberships.add("t", "c", ["v"], 3, is_new_member=True)
    for rev in (2, 3, 4):
        await hub.subscriptions.deliver("t", "c", news(rev))
    assert (len(one.frames), len(late.frames)) == (3, 2)
    assert b'"behind"' in late.frames[0]
    assert b'"rev":3' in late.frames[0]


async def test_a_second_subscription_loses_nothing() -> None:
    hub = Hub()
    one = Session("1", "u")
    attach(hub, one, ("c", 1))
    hub.memberships.add("t", "c", ["u"], 3)
    for rev in (2, 3):
        await hub.subscriptions.deliver("t", "c", news(rev))
    assert len(one.frames) == 2


async def test_events_from_before_the_subscription_are_announced() -> None:
    """A member sends here before the control message with the subscription arrives from another node."""
    hub = Hub()
    sender, other = Session("1", "u"), Session("2", "v")
    for one in (sender, other):
        attach(hub, one)
    await hub.subscriptions.deliver("t", "c", news(7, exclude_session="1"))
    hub.memberships.add("t", "c", ["u", "v"], 3, is_new_member=True)
    for one in (sender, other):
        assert [b'"behind"' in frame and b'"rev":7' in frame for frame in one.frames] == [True]
    for rev in (4, 5, 6, 7):
        await hub.subscriptions.deliver("t", "c", news(rev))
    assert (len(sender.frames), len(other.frames)) == (1, 1)
    await hub.subscriptions.deliver("t", "c", news(8))
    assert (len(sender.frames), len(other.frames)) == (2, 2)


async def test_only_the_latest_unheard_revs_are_kept() -> None:
    hub = Hub()
    session = Session("1", "u")
    attach(hub, session)
    for number in range(MAX_TOPICS + 1):
        await hub.subscriptions.deliver("t", str(number), news(7))
    for conversation in ("0", "1"):
        hub.memberships.add("t", conversation, ["u"], 3)
    assert len(session.frames) == 1
    pending = hub.connections.pending.begin("t", "v")
    for number in range(MAX_TOPICS + 1):
        await hub.subscriptions.deliver("t", f"again {number}", news(7))
    pending.topics.append(("again 0", 3))
    late = Session("2", "v")
    hub.register(late, pending)
    await hub.subscriptions.deliver("t", "again 0", news(8))
    assert len(late.frames) == 1


async def test_unheard_revs_are_bounded_while_sessions_keep_connecting() -> None:
    """Revs since the oldest pending session began are kept, otherwise only MAX_TOPICS."""
    hub = Hub()
    all_pending = deque([hub.connections.pending.begin("t", "u")])
    for number in range(3 * MAX_TOPICS):
        if number % 1000 == 0:
            await trio.sleep(0.001)  # A later moment.
            all_pending.append(hub.connections.pending.begin("t", "u"))
            all_pending.popleft()
            gc.collect()
        await hub.subscriptions.deliver("t", str(number), news(7))
    assert hub.connections.pending
    assert MAX_TOPICS <= len(hub.subscriptions.unheard._revs) <= MAX_TOPICS + 2 * SLACK


async def test_the_member_count_is_valid_until_a_change() -> None:
    hub = Hub()
    hub.memberships.note_members("t", "c", Members(3, {}))
    assert hub.memberships.members_of("t", "c") is None
    attach(hub, Session("1", "u"), ("c", 1))
    for change in (
        hub.memberships.add,
        lambda tenant, id_, users, _: hub.memberships.remove(tenant, id_, users),
    ):
        hub.memberships.note_members("t", "c", Members(3, {}))
        assert hub.memberships.members_of("t", "c") == Members(3, {})
        change("t", "c", ["a user elsewhere"], 1)
        assert hub.memberships.members_of("t", "c") is None


async def test_signals_of_connections_come_once_per_change() -> None:
    hub = Hub()
    signals: list[object] = []
    for _ in range(2):
        hub.signals.on_sync(UserConnected, signals.append)
        hub.signals.on_sync(UserDisconnected, signals.append)
    hub.signals.on_sync(SessionRemoved, lambda signal: signals.append(signal.session.id))
    sessions = [Session("1", "u"), Session("2", "u")]
    for session in sessions:
        attach(hub, session)
    assert signals == [UserConnected("t", "u")] * 4
    del signals[:]
    for session in (*sessions, *sessions):
        hub.unregister(session)
    assert signals == ["1", UserDisconnected("t", "u"), UserDisconnected("t", "u"), "2"]
