"""Masks come in time: each order that lets somebody hear a match, or tells of one, brings them by itself."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from msgspec import Raw, msgpack

from chatd.app.command_metrics import Meters
from chatd.app.effects import Reply, ToUser
from chatd.cluster import control_messages
from chatd.cluster.bus import Bus
from chatd.cluster.cluster import Cluster
from chatd.core.config import Config, Data, RedisSection
from chatd.core.errors import Refused
from chatd.db.postgres import Postgres
from chatd.db.redis import open_redis
from chatd.matching.aliases import middleware
from chatd.matching.aliases.alias_store import Veils
from chatd.matching.aliases.aliases import Mask
from chatd.matching.announcements import Announcements, announcement
from chatd.matching.events import MatchEnded
from chatd.operations.ping import Pong
from chatd.presence.commands import PresenceStates
from chatd.realtime.hub import Hub
from chatd.subsystems import load_registry
from chatd.wire.base import Error, Ok
from chatd.wire.codec import Codec, codecs
from chatd.wire.connection_events import SessionBehind
from tests.conftest import Servers
from tests.reconciling import reconciler_of

JSON = codecs([])["chatd.v1.json"]
ALICE, BOB, TALK = (f"0190a3c4-7f00-7000-8000-00000000000{number}" for number in range(3))
HIDDEN = {ALICE: [BOB], BOB: [ALICE]}


@dataclass(eq=False)
class Session:
    """Notes what it gets, as it looks behind its mask."""

    user: str
    id: str = "1"
    tenant: str = "t"
    login: str = "l"
    codec: Codec = JSON
    mask: Mask = field(default_factory=Mask)
    frames: list[bytes] = field(default_factory=list)

    def send_nowait(self, frame: bytes, event: Any = None, /) -> bool:
        self.frames.append(self.mask.outward(frame))
        return True

    def close_soon(self, close: str, reason: str = "") -> None:
        raise AssertionError

    def statistics(self) -> Any:
        raise AssertionError


@pytest.fixture
def hub(db: Postgres) -> Hub:
    return Hub(veils=Veils(Config(data=Data(secret="x" * 32)), db))


@pytest.fixture
async def cluster(hub: Hub, servers: Servers, db: Postgres) -> AsyncIterator[Cluster]:
    async with open_redis(RedisSection(), servers.redis) as redis:
        yield Cluster(hub, Bus(redis, "here"), db, lambda: 0)


@pytest.fixture
def alice(hub: Hub) -> Session:
    session = Session(ALICE)
    hub.attach(session, hub.expect("t", ALICE))
    return session


def alias(hub: Hub) -> str:
    assert hub.veils is not None
    return hub.veils.pseudonym("t", TALK, BOB)


def event_of(user: str) -> Raw:
    return Raw(msgpack.encode(MatchEnded(match=user, reason="left")))


async def test_who_is_let_hear_a_match_is_masked(cluster: Cluster, hub: Hub, alice: Session) -> None:
    cluster.broadcast(control_messages.Joined("t", TALK, [ALICE, BOB], 2, hidden=HIDDEN))
    await cluster.tell_conversation("t", TALK, MatchEnded(match=BOB, reason="left"))
    assert alias(hub).encode() in alice.frames[-1]
    assert BOB.encode() not in alice.frames[-1]


async def test_and_by_the_order_of_another_node(cluster: Cluster, hub: Hub, alice: Session) -> None:
    await cluster.obey(control_messages.encode_order(control_messages.Joined("t", TALK, [ALICE, BOB], 2, hidden=HIDDEN)))
    await cluster.obey(control_messages.encode_order(control_messages.TellConversation("t", TALK, 0, None, False, event_of(BOB))))
    assert alias(hub).encode() in alice.frames[-1]


@pytest.mark.parametrize("here", [True, False])
async def test_who_is_told_of_a_match_is_masked(cluster: Cluster, db: Postgres, hub: Hub, alice: Session, here: bool) -> None:
    """Also when the order that lets them hear it was lost."""
    announcements = Announcements(db, hub, cluster)
    message = announcement("t", ALICE, TALK, MatchEnded(match=BOB, reason="left"), began=True, conversation=TALK, hidden=(BOB,))
    if here:
        await announcements.announce(message)
    else:
        await announcements.deliver(message)
    assert alias(hub).encode() in alice.frames[-1]


async def test_who_is_just_coming_in_is_masked_and_not_those_of_others(cluster: Cluster, hub: Hub) -> None:
    coming, other, elsewhere = hub.expect("t", ALICE), hub.expect("t", TALK), hub.expect("u", ALICE)
    cluster.broadcast(control_messages.Joined("t", TALK, [ALICE, BOB], 2, hidden=HIDDEN))
    assert [bool(arrival.mask) for arrival in (coming, other, elsewhere)] == [True, False, False]
    await cluster.obey(control_messages.encode_order(control_messages.Acquainted("t", [ALICE, BOB])))
    assert not coming.mask


async def test_without_the_option_orders_of_others_hide_nobody(servers: Servers, db: Postgres) -> None:
    hub, alice = Hub(), Session(ALICE)
    async with open_redis(RedisSection(), servers.redis) as redis:
        cluster = Cluster(hub, Bus(redis, "here"), db, lambda: 0)
        arrival = hub.expect("t", ALICE)
        assert arrival.mask is None
        hub.attach(alice, arrival)
        await cluster.obey(control_messages.encode_order(control_messages.Joined("t", TALK, [ALICE, BOB], 2, hidden=HIDDEN)))
    assert not alice.mask


async def test_what_changes_while_the_database_is_asked_is_asked_again(db: Postgres) -> None:
    """An answer from before an order does not undo it."""
    mask, asked = Mask(), list[int]()

    class Slow:
        async def all(self, *_: Any) -> list[dict[str, Any]]:
            asked.append(1)
            if len(asked) == 1:
                mask.reveal([BOB])
                return [{"conversation": TALK, "user": BOB, "known": False}]
            return [{"conversation": TALK, "user": BOB, "known": True}]

    slow: Any = Slow()
    await Veils(Config(data=Data(secret="x" * 32)), slow).refresh("t", ALICE, mask, 0)
    assert (len(asked), bool(mask)) == (2, False)


async def test_while_nobody_can_say_who_is_hidden_there_is_no_answer(cluster: Cluster) -> None:
    """What is committed is told all the same."""

    async def refresh(*_: Any) -> None:
        raise Refused("unavailable")

    veils, meters = SimpleNamespace(refresh=refresh), Meters()
    node = SimpleNamespace(hub=SimpleNamespace(veils=veils), get=lambda kind: meters)
    ctx: Any = SimpleNamespace(node=node, tenant="t", user=ALICE, now=0)
    news = ToUser(ALICE, SessionBehind())
    answer, told = await middleware.hidden_in(ctx, Mask(), [Reply(PresenceStates(items=[])), news])
    assert isinstance(answer, Reply)
    assert isinstance(answer.result, Error)
    assert (answer.result.code, told, meters.refusals) == ("unavailable", news, {"unavailable": 1})
    for result in (Ok(), Pong(ts=1, server_time=1)):
        assert await middleware.hidden_in(ctx, Mask(), [Reply(result), news]) == [Reply(result), news]


def test_only_numbers_need_not_be_looked_after() -> None:
    """An answer with anything else, but for a ticket, may hold the id of a user."""
    silent = {row.result.__name__ for row in load_registry().commands.values() if not middleware.can_name(row.result)}
    assert silent == {"AuthRefreshed", "Erased", "MatchQueued", "Ok", "Pong", "PresenceCount", "Resolved", "Ticket"}


async def test_whoever_is_in_doubt_hears_nothing_until_it_is_known_who_is_hidden(hub: Hub, alice: Session) -> None:
    """The database goes away between two questions: it stays in doubt, and is asked again."""
    asked = list[str]()

    class Flaky:
        async def one(self, *_: Any) -> dict[str, Any]:
            return {"tenant": "t", "id": TALK, "kind": "match", "rev": 2, "blocked": False, "users": [ALICE]}

        async def all(self, _: str, tenant: str, talk: str, users: list[str]) -> list[dict[str, str]]:
            asked.append(talk)
            if len(asked) == 1:
                raise Refused("unavailable")
            return [{"viewer": ALICE, "user": BOB}]

    flaky: Any = Flaky()
    hub.veils = Veils(Config(data=Data(secret="x" * 32)), flaky)
    reconciler = reconciler_of(hub, flaky)
    reconciler.doubt("t", TALK)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reconciler.mend)
        with trio.fail_after(10):
            while not alice.frames:
                assert len(asked) < 2 or alice.mask
                assert alice.mask or not hub.audience_of("t", TALK)
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert (len(asked), bool(alice.mask), hub.audience_of("t", TALK)) == (2, True, {ALICE})


async def test_while_the_database_is_away_all_are_strangers() -> None:
    class Away:
        async def all(self, *_: Any) -> list[Any]:
            raise Refused("unavailable")

    away: Any = Away()
    veils = Veils(Config(data=Data(secret="x" * 32)), away)
    assert await veils.strangers_or_all("t", TALK, [ALICE, BOB]) == HIDDEN
