"""Repeated `typing.start` and needless `typing.stop` are dropped, and the recipients see the same."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from chatd.app.context import Ctx
from chatd.app.effects import ToConversation, deliver
from chatd.cluster.cluster import Cluster
from chatd.conversations.entities import Message
from chatd.conversations.events import MessageNew
from chatd.conversations.messages import typing
from chatd.conversations.messages.typing import EXPIRES_IN_S, MAX_CONVERSATIONS, REPEAT_AFTER_S, TypingSessions
from chatd.core.config import ClusterTimes, Config
from chatd.core.identity import Principal
from chatd.core.services import Services
from chatd.realtime.feeds import Members
from chatd.realtime.hub import Hub
from tests.realtime.test_hub import Session, attach, body_of

ROOM, MATCH = "room", "match"
ALIASES = {MATCH: {"ann": "alias of ann", "ben": "alias of ben"}}
EPSILON_S = 0.001
# An indicator that a client repeats at least this often is always shown.
SURE_S = 6.0


@dataclass(eq=False)
class Watcher(Session):
    """A session that remembers what it was sent, and when."""

    received: list[tuple[float, Any]] = field(default_factory=list)

    def send_nowait(self, frame: bytes, event: Any = None, /) -> bool:
        self.received.append((trio.current_time(), body_of(frame)))
        return True

    def starts(self) -> int:
        return sum(body["t"] == "typing.start" for _, body in self.received)

    def stops(self) -> int:
        return sum(body["t"] == "typing.stop" for _, body in self.received)

    def spans(self, conversation: str, user: str) -> list[tuple[float, float]]:
        """From when until when a client with this session shows the user as typing."""
        found = list[tuple[float, float]]()
        for at, body in self.received:
            who = body["message"]["sender"] if body["t"] == "message.new" else body["user"]
            if (body["conversation"], who) == (conversation, user):
                if found and found[-1][1] > at:
                    found[-1] = (found[-1][0], at)
                found.append((at, at + body.get("expires_in", 0)))
        return found

    def shows(self, conversation: str, user: str, now: float) -> bool:
        return is_in(self.spans(conversation, user), now)


def is_in(spans: list[tuple[float, float]], now: float) -> bool:
    return any(begin <= now < end for begin, end in spans)


class Sent(TypingSessions):
    """Everything is sent."""

    def start(self, tenant: str, session: str, conversation: str, shown_as: str, members: Members) -> bool:
        self.stop(session, conversation)
        return super().start(tenant, session, conversation, shown_as, members) or True

    def is_stop_needed(self, ctx: Ctx, conversation: str) -> bool:
        return True


class World:
    """A node of one process without a database, on which Ann and Ben type, and Eve watches."""

    def __init__(self, kind: type[TypingSessions] = TypingSessions) -> None:
        self.hub = Hub()
        services = Services()
        node: Any = SimpleNamespace(hub=self.hub, get=services.get, signals=self.hub.signals)
        # What `open_typing` adds is of this kind.
        node.services = SimpleNamespace(add=lambda _: services.add(kind(self.hub), TypingSessions))
        bus: Any = SimpleNamespace(is_single_node=True, times=ClusterTimes())
        database: Any = None
        node.config, node.clock, node.cluster = Config(), lambda: 0, Cluster(self.hub, bus, database)
        self.node = node
        self.sessions = dict[str, Watcher]()
        self.eve = self.connect("eve", "eve")
        typing.open_typing(node)
        self.enter()

    def enter(self) -> None:
        """Note the members, as after a look-up in the database."""
        for conversation in (ROOM, MATCH):
            self.hub.memberships.note_members("t", conversation, Members(3, ALIASES.get(conversation, {})))

    def connect(self, id_: str, user: str) -> Watcher:
        session = Watcher(id_, user)
        attach(self.hub, session, (ROOM, 0), (MATCH, 0))
        self.sessions[id_] = session
        return session

    def context(self, user: str, session: str) -> Ctx:
        me = Principal("t", user, token_id="", login="", scope="", expires_at=0)
        return Ctx(self.node, me, session, "", 0, lambda _: None)

    async def run(self, session: str, command: typing.TypingStart | typing.TypingStop) -> None:
        ctx = self.context(self.sessions[session].user, session)
        handler: Any = typing.typing_start if isinstance(command, typing.TypingStart) else typing.typing_stop
        await deliver(ctx, await handler(ctx, command))

    async def start(self, session: str, conversation: str = ROOM) -> None:
        await self.run(session, typing.TypingStart(conversation=conversation))

    async def stop(self, session: str, conversation: str = ROOM) -> None:
        await self.run(session, typing.TypingStop(conversation=conversation))

    async def say(self, user: str, conversation: str = ROOM) -> None:
        """A message of the user, which this node commits."""
        sender = ALIASES.get(conversation, {}).get(user, user)
        message = Message(id="m", seq=1, rev=0, sender=sender, client_id="c", text="t", attachments=[], reply_to=None,
                          created_at=0, meta=None)  # fmt: skip
        event = MessageNew(conversation=conversation, rev=0, message=message)
        await deliver(self.context(user, ""), [ToConversation(conversation, event)])

    async def disconnect(self, session: str) -> None:
        await self.hub.end(self.sessions.pop(session))


async def test_repetitions_are_dropped_for_two_seconds_after_the_last_event_sent(mock_clock: MockClock) -> None:
    world = World()
    world.connect("a", "ann")
    for after, sent in ((0.0, 1), (REPEAT_AFTER_S - EPSILON_S, 1), (EPSILON_S, 2), (1.0, 2), (1.0, 3), (1.999, 3)):
        mock_clock.jump(after)
        await world.start("a")
        assert world.eve.starts() == sent


async def test_an_indicator_does_not_expire_between_repetitions(mock_clock: MockClock) -> None:
    """Of a client that repeats it every 3, 4 or 5 seconds, and of one that repeats it all the time."""
    for interval in (0.1, 1.0, 1.9, 3.0, 4.0, 5.0):
        world = World()
        world.connect("a", "ann")
        for _ in range(200 if interval < 1 else 20):
            await world.start("a")
            mock_clock.jump(interval)
            assert world.eve.shows(ROOM, "ann", trio.current_time() - EPSILON_S)
        assert world.eve.starts() <= 1 + (200 if interval < 1 else 20) * interval / REPEAT_AFTER_S


async def test_a_start_after_the_end_of_an_indicator_is_sent(mock_clock: MockClock) -> None:
    """A stop, a message, the end of another connection, or a stop there, of the same user; with an alias, too."""
    for conversation in (ROOM, MATCH):
        for what in ("stop", "message", "other stop", "other ends", "REST"):
            world = World()
            world.connect("a", "ann")
            world.connect("b", "ann")
            await world.start("a", conversation)
            mock_clock.jump(0.5)
            if what == "stop":
                await world.stop("a", conversation)
            elif what == "message":
                await world.say("ann", conversation)
            elif what == "REST":
                world.sessions[""] = Watcher("", "ann")
                await world.stop("", conversation)
            else:
                await world.start("b", conversation)
                await (world.stop("b", conversation) if what == "other stop" else world.disconnect("b"))
            before = world.eve.starts()
            await world.start("a", conversation)
            assert world.eve.starts() == before + 1, what
            await world.say("ben", conversation)
            await world.start("a", conversation)
            assert world.eve.starts() == before + 1, "a message of another user changes nothing"


async def test_conversations_and_sessions_are_tracked_separately(mock_clock: MockClock) -> None:
    world = World()
    for session, user in (("a", "ann"), ("a2", "ann"), ("b", "ben")):
        world.connect(session, user)
        for conversation in (ROOM, MATCH):
            await world.start(session, conversation)
            await world.start(session, conversation)
    assert world.eve.starts() == 6


async def test_a_member_who_joins_gets_the_next_repetition(mock_clock: MockClock) -> None:
    world = World()
    world.connect("a", "ann")
    await world.start("a")
    world.hub.memberships.add("t", ROOM, ["fay"], 0, is_new_member=True)
    assert world.hub.memberships.members_of("t", ROOM) is None
    world.enter()
    fay = world.connect("f", "fay")
    mock_clock.jump(0.5)
    await world.start("a")
    assert fay.shows(ROOM, "ann", trio.current_time())


async def test_a_session_that_connects_in_between_gets_the_next_event_that_is_sent(mock_clock: MockClock) -> None:
    world = World()
    world.connect("a", "ann")
    await world.start("a")
    late = world.connect("f", "eve")
    for after, shown in ((1.0, False), (1.0, True)):
        mock_clock.jump(after)
        await world.start("a")
        assert late.shows(ROOM, "ann", trio.current_time()) is shown


async def test_a_stop_of_a_user_who_is_not_typing_is_dropped(mock_clock: MockClock) -> None:
    world = World()
    world.connect("a", "ann")
    world.connect("b", "ann")
    await world.stop("a")
    assert world.eve.stops() == 0
    await world.start("a")
    mock_clock.jump(EXPIRES_IN_S - EPSILON_S)
    await world.stop("b")
    assert world.eve.stops() == 1, "the user is typing on another device"
    await world.stop("a")
    assert world.eve.stops() == 1
    await world.start("a")
    mock_clock.jump(EXPIRES_IN_S)
    await world.stop("a")
    assert world.eve.stops() == 1, "it has expired"
    await world.start("a")
    await world.say("ann")
    await world.stop("a")
    assert world.eve.stops() == 1, "the message has ended it"


async def test_typing_suppressed_by_a_block_counts_as_not_sent(mock_clock: MockClock) -> None:
    world = World()
    world.connect("a", "ann")
    suppress = world.hub.memberships.suppress_ephemeral
    suppress("t", ROOM, True)
    await world.start("a")
    suppress("t", ROOM, False)
    await world.start("a")
    assert world.eve.starts() == 1
    suppress("t", ROOM, True)
    await world.stop("a")
    assert world.eve.stops() == 0
    suppress("t", ROOM, False)
    await world.stop("a")
    assert world.eve.stops() == 1


async def test_nothing_is_dropped_over_rest(mock_clock: MockClock) -> None:
    world = World()
    world.sessions[""] = Watcher("", "ann")
    for count in range(1, 4):
        await world.start("")
        await world.stop("")
        assert (world.eve.starts(), world.eve.stops()) == (count, count)


async def test_nothing_is_dropped_in_conversations_beyond_the_remembered_ones(mock_clock: MockClock) -> None:
    """More than MAX_CONVERSATIONS at once; those that have expired give way."""
    world = World()
    names = [f"c{number}" for number in range(MAX_CONVERSATIONS + 1)]
    session = world.connect("a", "ann")
    for name in names:
        for watcher in (session, world.eve):
            world.hub.subscriptions.subscribe(watcher, name, 0)
        world.hub.memberships.note_members("t", name, Members(2, {}))
        await world.start("a", name)
    for name, starts, stops in ((names[-1], 1, 1), (names[0], 0, 1)):
        before = world.eve.starts(), world.eve.stops()
        await world.start("a", name)
        await world.stop("a", name)
        assert (world.eve.starts() - before[0], world.eve.stops() - before[1]) == (starts, stops)
    mock_clock.jump(EXPIRES_IN_S)
    for _ in range(2):
        before = world.eve.starts(), world.eve.stops()
        await world.start("a", names[-1])
    assert world.eve.starts() == before[0]
    await world.stop("a", names[5])
    assert world.eve.stops() == before[1]


TIMES_S = st.sampled_from((0.0, 0.1, 0.5, 0.5, 1.0, 1.0, 1.5, 1.9, 2.0, 3.0, 4.0, 5.9, 6.1))
SESSIONS = {"a1": "ann", "a2": "ann", "b": "ben"}
Steps = list[tuple[float, tuple[str, str, str]]]
WHO, PLACES = st.sampled_from(("a1", "a1", "a2", "b")), st.sampled_from((ROOM, ROOM, MATCH))
STEPS = st.one_of(
    st.tuples(st.just("start"), WHO, PLACES),
    st.tuples(st.sampled_from(("start", "stop")), WHO, PLACES),
    st.tuples(st.just("say"), st.sampled_from(("ann", "ben")), PLACES),
    st.tuples(st.sampled_from(("reconnect", "cut")), WHO, PLACES),
    st.tuples(st.sampled_from(("block", "unblock", "join", "start")), st.just(""), PLACES),
)


async def act(world: World, what: str, who: str, conversation: str) -> None:
    match what:
        case "start" | "stop" if who in world.sessions:
            await (world.start(who, conversation) if what == "start" else world.stop(who, conversation))
        case "say":
            await world.say(who, conversation)
        case "cut" if who in world.sessions:
            await world.disconnect(who)
        case "reconnect" if who not in world.sessions:
            world.connect(who, SESSIONS[who])
        case "block" | "unblock":
            world.hub.memberships.suppress_ephemeral("t", conversation, what == "block")
        case "join":
            world.hub.memberships.add("t", conversation, ["fay"], 0, is_new_member=True)
            world.enter()


async def play(kind: type[TypingSessions], steps: Steps) -> World:
    world = World(kind)
    world.sessions[""] = Watcher("", "ben")
    for session, user in SESSIONS.items():
        world.connect(session, user)
    for after, step in steps:
        await trio.sleep(after)
        await act(world, *step)
    return world


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(TIMES_S, STEPS), min_size=8, max_size=40))
def test_recipients_see_the_same_as_if_everything_was_sent(steps: Steps) -> None:
    """Only an indicator that is not repeated within SURE_S may end earlier: it ends EXPIRES_IN_S after the last one that
    was sent.

    REST is without a session: a stop on a socket does not end what was started over REST.
    """
    if any(step[:2] == ("start", "") for _, step in steps):
        steps = [(after, step) for after, step in steps if step[:2] != ("stop", "b")]
    few, every = (trio.run(play, kind, steps, clock=MockClock(autojump_threshold=0)) for kind in (TypingSessions, Sent))
    for conversation in (ROOM, MATCH):
        for name in ("ann", "ben"):
            user = ALIASES.get(conversation, {}).get(name, name)
            spans, all_spans = few.eve.spans(conversation, user), every.eve.spans(conversation, user)
            edges = {at + shift for span in (*spans, *all_spans) for at in span for shift in (0, SURE_S - EXPIRES_IN_S)}
            for now in (edge + shift for edge in edges for shift in (-EPSILON_S, EPSILON_S)):
                shown, shown_by_all = is_in(spans, now), is_in(all_spans, now)
                assert shown <= shown_by_all
                assert shown or not shown_by_all or is_older(all_spans, now, SURE_S)
    assert few.eve.starts() <= every.eve.starts()
    assert few.eve.stops() <= every.eve.stops()


def is_older(spans: list[tuple[float, float]], now: float, seconds: float) -> bool:
    """Whether what is shown now was last sent more than these seconds ago."""
    return all(now - begin > seconds for begin, end in spans if begin <= now < end)
