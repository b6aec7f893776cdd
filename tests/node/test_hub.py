"""The hub, with sessions that only note what they get."""

from dataclasses import dataclass, field

from chatd.node.hub import WRITES_PER_TURN, Hub
from chatd.wire.codec import Codec, codecs
from chatd.wire.events import Behind

JSON = codecs([])["chatd.v1.json"]
MSGPACK = codecs([])["chatd.v1.msgpack"]
EVENT = Behind(conversation="c", rev=1)


@dataclass(eq=False)
class Session:
    id: str
    user: str
    tenant: str = "t"
    login: str = "l"
    codec: Codec = JSON
    room: bool = True
    frames: list[bytes] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def send_nowait(self, frame: bytes, volatile: bool = False, /) -> bool:
        if self.room:
            self.frames.append(frame)
        return self.room

    def close_soon(self, close: str, reason: str = "") -> None:
        self.closed.append(close)


async def test_each_codec_is_encoded_once_and_the_bytes_are_shared() -> None:
    hub = Hub()
    people = [Session(str(n), "u", codec=(JSON, MSGPACK)[n % 2]) for n in range(4)]
    for session in people:
        hub.attach(session, ["c"])
    await hub.tell_conversation("t", "c", EVENT, but="3")
    assert [len(session.frames) for session in people] == [1, 1, 1, 0]
    assert people[0].frames[0] is people[2].frames[0]
    assert people[0].frames[0] != people[1].frames[0]


async def test_tenants_do_not_hear_each_other() -> None:
    hub = Hub()
    ours, theirs = Session("1", "u"), Session("2", "u", tenant="other")
    hub.attach(ours, ["c"])
    hub.attach(theirs, ["c"])
    await hub.tell_conversation("t", "c", EVENT)
    await hub.tell_user("t", "u", EVENT)
    hub.close_sessions("t", "u", "banned")
    assert (len(ours.frames), ours.closed, theirs.frames, theirs.closed) == (2, ["banned"], [], [])


async def test_a_slow_reader_is_closed_unless_it_was_volatile() -> None:
    hub = Hub()
    slow, fast = Session("1", "u", room=False), Session("2", "v")
    for session in (slow, fast):
        hub.attach(session, ["c"])
    await hub.tell_conversation("t", "c", EVENT, volatile=True)
    assert slow.closed == []
    await hub.tell_conversation("t", "c", EVENT)
    assert (slow.closed, len(fast.frames)) == (["slow"], 2)


async def test_whoever_joins_while_connecting_misses_nothing() -> None:
    hub = Hub()
    arrival = hub.expect("t", "u")
    hub.join("t", "c", ["u"])
    session = Session("1", "u")
    hub.attach(session, arrival.conversations)
    assert hub.is_member("1", "c")
    await hub.tell_conversation("t", "c", EVENT)
    assert len(session.frames) == 1


async def test_a_huge_audience_may_leave_in_the_middle_of_it() -> None:
    hub = Hub()
    people = [Session(str(n), str(n)) for n in range(2 * WRITES_PER_TURN + 1)]
    for session in people:
        hub.attach(session, ["c"])
    people[0].send_nowait = lambda frame, volatile=False: hub.detach(people[1]) or True  # type: ignore[method-assign, func-returns-value]
    await hub.tell_conversation("t", "c", EVENT)
    assert sum(len(session.frames) for session in people) == len(people) - 1


async def test_nothing_is_left_of_who_has_gone() -> None:
    hub = Hub()
    session = Session("1", "u")
    hub.attach(session, ["a", "b", "a"])
    hub.join("t", "c", ["u"])
    hub.detach(session)
    hub.detach(session)
    assert hub.statistics() == {"sessions": 0, "users": 0, "conversations": 0}
    assert not hub.is_member("1", "a")
