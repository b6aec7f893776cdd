"""Receipts that advance no position are answered without the database, and change nothing else."""

from types import SimpleNamespace
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from chatd.app.context import Ctx
from chatd.app.effects import deliver
from chatd.cluster.cluster import Cluster
from chatd.conversations.log.entries import Advanced, Publish, Receipt
from chatd.conversations.log.writer import MessageLog
from chatd.conversations.messages.receipts import (
    ReceiptDelivered,
    ReceiptRead,
    moves_nothing,
    receipt_delivered,
    receipt_read,
)
from chatd.conversations.unread_counters import RefreshUnread, UnreadCounters
from chatd.core.config import ClusterTimes, Config
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.services import Services
from chatd.core.settlement import Settled
from chatd.realtime.hub import Hub
from chatd.wire.base import Result
from tests.realtime.test_hub import Session, attach, body_of

ROOM, MATCH = "room", "match"
USERS = ("ann", "ben", "eve")


class Database:
    """Conversations of three users, as `advance_receipts` sees them. In a match, users have aliases."""

    def __init__(self) -> None:
        self.seq = {ROOM: 0, MATCH: 0}
        self.rev = {ROOM: 0, MATCH: 0}
        self.positions = {(room, user): (0, 0) for room in self.seq for user in USERS}
        self.statements = 0
        self.is_available = True

    def append(self, item: Receipt, publish: Publish, began: float, settled: Settled) -> None:
        """Like `MessageLog.append`."""
        self.statements += 1
        if not self.is_available:
            raise Refused("unavailable")
        trio.lowlevel.spawn_system_task(self._commit, item, publish, settled)

    async def _commit(self, item: Receipt, publish: Publish, settled: Settled) -> None:
        room, key = item.conversation, (item.conversation, item.user)
        seq = max(item.delivered, item.read)
        if key not in self.positions or seq > self.seq[room]:
            settled(None, Refused("not_found"))
            return
        old = self.positions[key]
        new = self.positions[key] = max(old[0], seq), max(old[1], item.read)
        self.rev[room] += new != old
        unread = self.seq[room] - new[1] if new[1] > old[1] else None
        alias = f"alias of {item.user}" if room == MATCH else None
        rev = self.rev[room] if new != old else None
        done = Advanced(*new, rev, self.seq[room], unread, unread and 0, alias)
        await publish(done)
        settled(done, None)

    def join(self, room: str, user: str) -> None:
        self.positions[room, user] = (self.seq[room], self.seq[room])

    def leave(self, room: str, user: str) -> None:
        self.positions.pop((room, user), None)


class World:
    """A node of one process, two of whose users have two sessions. `is_checked`: as usual, or everything is stored."""

    def __init__(self, *, is_checked: bool = True) -> None:
        self.hub, self.db, self.refreshed, services = Hub(), Database(), list[RefreshUnread](), Services()
        services.by_class[MessageLog] = self.db
        services.by_class[UnreadCounters] = self
        bus: Any = SimpleNamespace(is_single_node=True, times=ClusterTimes())
        database: Any = None
        cluster = Cluster(self.hub, bus, database, services=services)
        self.node: Any = SimpleNamespace(
            hub=self.hub, services=services, get=services.get, config=Config(), clock=lambda: 0, cluster=cluster
        )
        if not is_checked:
            memberships: Any = self.hub.memberships
            memberships.positions_of = lambda *_: None
        self.sessions = dict[str, Session]()
        for id_ in ("ann 1", "ann 2", "ben 1", "eve 1"):
            self.connect(id_)
        self.backup = self.copy()

    async def add(self, refresh: RefreshUnread) -> None:
        """Like `UnreadCounters.add`."""
        self.refreshed.append(refresh)

    def connect(self, id_: str) -> None:
        session = self.sessions[id_] = Session(id_, id_[:3])
        rooms = [(room, self.db.rev[room]) for room in (ROOM, MATCH) if (room, id_[:3]) in self.db.positions]
        attach(self.hub, session, *rooms)

    async def disconnect(self, id_: str) -> None:
        await self.hub.end(self.sessions.pop(id_))

    def copy(self) -> Any:
        return self.db.seq.copy(), self.db.rev.copy(), self.db.positions.copy()

    async def restore(self) -> None:
        """The database is restored from the backup: all sessions end."""
        self.db.seq, self.db.rev, self.db.positions = self.backup
        self.backup = self.copy()
        await self.hub.reset()
        for id_ in tuple(self.sessions):
            await self.disconnect(id_)
            self.connect(id_)

    def leave(self, room: str, user: str) -> None:
        self.db.leave(room, user)
        self.hub.memberships.remove("t", room, [user])

    def join(self, room: str, user: str) -> None:
        self.db.join(room, user)
        self.hub.memberships.add("t", room, [user], self.db.rev[room], is_new_member=True)

    async def send(self, session: str, room: str, what: str, seq: int) -> str:
        """A receipt, by a session or over REST. Returns the answer: "ok", or the code of the refusal."""
        answers = list[Result]()
        me = Principal("t", session[:3], token_id="", login="", scope="", expires_at=0)
        ctx = Ctx(self.node, me, session if session in self.sessions else "", "", 0, answers.append)
        handler: Any = receipt_read if what == "read" else receipt_delivered
        command = (ReceiptRead if what == "read" else ReceiptDelivered)(conversation=room, seq=seq)
        is_known, before = moves_nothing(ctx, command), self.db.statements
        try:
            await deliver(ctx, await handler(ctx, command))
        except Refused as refused:
            return refused.code
        assert is_known == (self.db.statements == before)
        assert len(answers) == 1
        return "ok"

    def received(self) -> dict[str, list[Any]]:
        return {id_: [body_of(frame) for frame in one.frames] for id_, one in self.sessions.items()}


async def test_a_receipt_at_or_below_the_last_one_needs_no_statement() -> None:
    world = World()
    world.db.seq[ROOM] = 9
    for what, seq, statements in (
        *(("delivered", 5, 1), ("delivered", 5, 1), ("delivered", 4, 1), ("read", 4, 2), ("read", 4, 2)),
        *(("read", 5, 3), ("delivered", 5, 3), ("delivered", 6, 4), ("read", 6, 5), ("delivered", 6, 5)),
    ):
        assert await world.send("ann 1", ROOM, what, seq) == "ok"
        assert world.db.statements == statements, (what, seq)
    assert [body["t"] for body in world.received()["eve 1"]] == [
        *("message.delivered", "message.read", "message.read"),
        *("message.delivered", "message.read"),
    ]


async def test_another_device_and_another_conversation_have_positions_of_their_own() -> None:
    world = World()
    world.db.seq = {ROOM: 9, MATCH: 9}
    await world.send("ann 1", ROOM, "read", 5)
    for session, room in (("ann 2", ROOM), ("ben 1", ROOM), ("ann 1", MATCH), ("", ROOM)):
        before = world.db.statements
        await world.send(session or "ann 3", room, "read", 5)
        assert world.db.statements == before + 1
    before = world.db.statements
    await world.send("ann 3", ROOM, "read", 5)
    assert world.db.statements == before + 1, "over REST there is no session to remember it for"


async def test_another_device_learns_the_position_of_the_user_with_its_first_receipt() -> None:
    world = World()
    world.db.seq[ROOM] = 9
    await world.send("ann 1", ROOM, "read", 7)
    await world.send("ann 2", ROOM, "read", 3)
    before = world.db.statements
    await world.send("ann 2", ROOM, "read", 7)
    assert world.db.statements == before


async def test_a_refused_receipt_is_not_remembered() -> None:
    world = World()
    world.db.seq[ROOM] = 4
    assert await world.send("ann 1", ROOM, "read", 5) == "not_found"
    world.db.is_available = False
    assert await world.send("ann 1", ROOM, "read", 4) == "unavailable"
    world.db.is_available = True
    before = world.db.statements
    assert await world.send("ann 1", ROOM, "read", 4) == "ok"
    assert await world.send("ann 1", ROOM, "read", 5) == "not_found"
    assert world.db.statements == before + 2


async def test_a_former_member_is_refused() -> None:
    """Also while the end of the membership waits for earlier events."""
    world = World()
    world.db.seq[ROOM] = 4
    for is_late in (False, True):
        await world.send("ann 1", ROOM, "read", 4)
        assert await world.send("ann 1", ROOM, "read", 4) == "ok"
        if is_late:
            world.db.leave(ROOM, "ann")
            world.hub.memberships.remove_after("t", ROOM, ["ann"], world.db.rev[ROOM] + 2)
        else:
            world.leave(ROOM, "ann")
        assert await world.send("ann 1", ROOM, "read", 4) == "not_found"
        world.join(ROOM, "ann")
        assert is_late or world.hub.memberships.positions_of("ann 1", ROOM) is None


async def test_positions_are_forgotten_with_the_session_and_after_a_restore() -> None:
    world = World()
    world.db.seq[ROOM] = 4
    world.backup = world.copy()
    for renew in (lambda: world.restore(), lambda: world.disconnect("ann 1")):
        await world.send("ann 1", ROOM, "read", 4)
        await renew()
        if "ann 1" not in world.sessions:
            world.connect("ann 1")
        before = world.db.statements
        assert await world.send("ann 1", ROOM, "read", 4) == "ok"
        assert world.db.statements == before + 1


WHO, PLACES = st.sampled_from(("ann 1", "ann 1", "ann 2", "ben 1")), st.sampled_from((ROOM, ROOM, MATCH))
RECEIPTS = st.tuples(st.sampled_from(("read", "delivered")), WHO, PLACES, st.integers(-2, 1))
CHANGES = ("say", "leave", "join", "rejoin unseen", "cut", "reconnect", "back up", "restore", "fail", "recover")
STEPS = st.one_of(RECEIPTS, RECEIPTS, RECEIPTS, st.tuples(st.sampled_from(("say", *CHANGES)), WHO, PLACES, st.just(0)))


async def act(world: World, what: str, who: str, room: str, offset: int) -> str:
    match what:
        case "read" | "delivered":
            return await world.send(who, room, what, max(1, world.db.seq[room] + offset))
        case "say":
            world.db.seq[room] += 1
        case "leave":
            world.leave(room, who[:3])
        case "join" if (room, who[:3]) not in world.db.positions:
            world.join(room, who[:3])
        case "rejoin unseen" if (room, who[:3]) in world.db.positions:
            # Other nodes removed and added the user, and the beginning became known first.
            world.db.join(room, who[:3])
        case "cut" if who in world.sessions:
            await world.disconnect(who)
        case "reconnect" if who not in world.sessions:
            world.connect(who)
        case "back up":
            world.backup = world.copy()
        case "restore":
            await world.restore()
        case "fail" | "recover":
            world.db.is_available = what == "recover"
    return ""


async def compare(steps: list[tuple[str, str, str, int]]) -> None:
    few, every = World(), World(is_checked=False)
    for step in steps:
        is_moot = not few.db.is_available
        answers = [await act(world, *step) for world in (few, every)]
        # What needs no database is answered without it.
        assert answers[0] == answers[1] or (is_moot and answers == ["ok", "unavailable"])
        assert few.copy() == every.copy()
        assert (few.received(), few.refreshed) == (every.received(), every.refreshed)
    assert few.db.statements <= every.db.statements


@settings(deadline=None, max_examples=200)
@given(st.lists(STEPS, min_size=5, max_size=40))
def test_clients_see_the_same_as_if_every_receipt_was_stored(steps: list[tuple[str, str, str, int]]) -> None:
    trio.run(compare, steps)
