"""Long answers do not block the event loop."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from itertools import product
from typing import Any

import msgspec
import pytest

from chatd.client import Refused
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.filters.settings import FilterSettings
from chatd.wire.frames import BINARY, TEXT
from tests.abuse.lag import Probe, probed
from tests.abuse.test_event_loop import LIMIT_S, no_collections
from tests.abuse.test_linear import DENSE, DIFFERENT, NEAR_MISSES, longest_text
from tests.support import Daemon, Person, running
from tests.wire_client import Raw

__all__ = ["no_collections"]
PAGE = 200
MEMBERS = 5_000
WRITTEN = """
with updated as (update conversations set seq = $5::int, rev = $5::int + 1 where id = $1)
insert into messages (tenant, conversation, seq, rev, id, sender, client_id, text, created_at)
select 'default', $1, number, number + 1, gen_random_uuid(), $2, 'c' || number, $3, $4
from generate_series(1, $5::int) number
"""
JOINED = """
with made as (
    insert into users (tenant, id, name, created_at)
    select 'default', gen_random_uuid(), 'name', 0 from generate_series(1, $2::int) returning id
), updated as (update conversations set members = members + $2::int where id = $1)
insert into members (tenant, conversation, user_id, joined_at, rev)
select 'default', $1, id, 0, 1 from made returning user_id
"""
Work = Callable[[], Awaitable[object]]
WORST = [longest_text(pump) for pump in (*NEAR_MISSES[::6], *DENSE, *DIFFERENT)]


async def longest(probe: Probe, work: Work, limit_s: float) -> tuple[float, str]:
    """The longest step of the work. The first attempt may fill caches: one good attempt suffices."""
    found = []
    for _ in range(3):
        probe.reset()
        await work()
        found.append((probe.worst_s, probe.task))
        if probe.worst_s < limit_s:
            break
    return min(found)


class Measured:
    """Pieces of work, and those that blocked the loop."""

    def __init__(self) -> None:
        self.slow: list[tuple[str, float, str]] = []

    async def check(self, name: str, work: Work) -> None:
        with probed() as probe:
            took, task = await longest(probe, work, LIMIT_S)
        if took >= LIMIT_S:
            self.slow.append((name, took, task))


@pytest.mark.usefixtures("no_collections")
async def test_pages_do_not_hold_the_event_loop(config: Config, store: Postgres) -> None:
    async with running(config) as daemon, daemon.pair() as (alice, _, room):
        measured = Measured()
        for text in ("\u3400" * 5461, '"\\' * 8192):
            await store.run("delete from messages where conversation = $1", room)
            await store.run(WRITTEN, room, alice.user, text, 1_700_000_000_000, PAGE)
            await pages(measured, daemon, alice, room, text[:6])
        assert measured.slow == []


async def pages(measured: Measured, daemon: Daemon, alice: Person, room: str, name: str) -> None:
    token = alice.account.access_token
    before: dict[str, Any] = {"t": "message.history", "conversation": room, "limit": PAGE}
    commands = [
        before,
        {**before, "t": "conversation.sync", "rev": 0},
        {"t": "session.sync"},
        {"t": "message.search", "query": name, "limit": 50},
    ]

    async def rest() -> None:
        answer = await daemon.rest("GET", f"/v1/conversations/{room}/messages?limit={PAGE}", token=token)
        assert len(answer.body["items"]) == PAGE

    async def export() -> None:
        assert (await daemon.rest("GET", "/v1/me/export", token=token)).status in (200, 429)

    await measured.check(f"rest {name}", rest)
    for codec, command in product(("json", "msgpack"), commands):
        await measured.check(f"{codec} {command['t']} {name}", partial(ask, daemon, codec, alice.user, command))
    await measured.check(f"export {name}", export)


async def ask(daemon: Daemon, codec: str, user: str, command: dict[str, Any]) -> None:
    """Ask over a separate socket that accepts answers of any size."""
    format_: Any = getattr(msgspec, codec)
    async with Raw.session(daemon, codec, user) as raw:
        await raw.send(Raw.frame_of(format_.encode([7, command]), TEXT if codec == "json" else BINARY))
        answered = 0
        while answered != 7:
            answered, body = format_.decode((await raw.frame())[1])
        assert "code" not in body


@pytest.mark.usefixtures("no_collections")
async def test_filters_do_not_hold_the_event_loop(config: Config) -> None:
    words = ["spam", "ham and eggs", "- - -", "\u0e01\u0e02", *("a" * length for length in range(3, 100))]
    filters = FilterSettings(words=words, action="mask", links="listed", link_hosts=["example.org"])
    async with running(config.using(filters)) as daemon, daemon.pair() as (alice, bob, room):
        measured = Measured()
        meta = {f"k{number}": "a.b" for number in range(500)}
        for text in WORST:
            await measured.check(f"send {text[:6]!r}", partial(say, alice, room, text, meta))
            await measured.check(f"search {text[:6]!r}", partial(bob.call, "message.search", query=text[:500]))
        assert measured.slow == []


async def say(person: Person, room: str, text: str, meta: dict[str, Any]) -> None:
    """Send a message, refused or not."""
    with suppress(Refused):
        await person.send(room, text, meta=meta)


@pytest.mark.usefixtures("no_collections")
async def test_large_groups_do_not_hold_the_event_loop(config: Config, store: Postgres) -> None:
    async with running(config) as daemon, daemon.person("alice") as alice, daemon.person("bob", "msgpack") as bob:
        measured = Measured()
        made = await alice.call("conversation.create", members=[bob.user])
        room = made.conversation.id
        users = [row["user_id"] for row in await store.all(JOINED, room, MEMBERS)]
        for person in (alice, bob):
            for command, fields in (
                ("presence.watch", {"users": users[:100]}),
                ("presence.query", {"users": users[:100]}),
                ("presence.count", {"conversation": room}),
                ("member.list", {"conversation": room, "limit": 200}),
                ("conversation.get", {"conversation": room}),
                ("message.history", {"conversation": room}),
                ("session.sync", {}),
            ):
                await measured.check(command, partial(person.call, command, **fields))
        await measured.check("member.add", partial(alice.call, "member.add", conversation=room, users=users[:100]))
        await measured.check("message.send", partial(alice.send, room, everybody=True, mentions=users[:50]))
        await measured.check("receipt.read", partial(bob.call, "receipt.read", conversation=room, seq=1))
        await measured.check(
            "conversation.edit", partial(alice.call, "conversation.edit", conversation=room, title="x")
        )
        assert measured.slow == []
