"""Absent users: banned, on a killed node, on a draining node; and users who are connected twice."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

import pytest
import trio

from chatd.client import Refused
from chatd.cluster import control_messages
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.matching.service import MatchingService
from chatd.matching.settings import MatchSettings, QueueSettings
from chatd.matching.subsystem import MATCHING, open_matching
from chatd.matching.tunables import MatchTunables
from tests.cluster.conftest import QUICK
from tests.cluster.test_bans import ban, moderator
from tests.cluster.test_maintenance import order
from tests.cluster.test_strangers import meet, mortal, own_the_pool
from tests.cluster.test_two_nodes import nodes, own_redis
from tests.examples import examples
from tests.support import PATIENCE, Daemon, Person, altered, running

__all__ = ["moderator", "own_redis"]
USER_OF = """
select user_id::text from members where alias = $1 union all select user_id::text from former_members where alias = $1
"""
LONG_GRACE = MatchSettings(relax=0.3, grace=60.0)


@pytest.fixture
def patient(config: Config) -> Config:
    """A long grace period, so that earlier events have another cause."""
    return config.using(LONG_GRACE).using_named(QueueSettings, {"asking": QueueSettings(confirm=60.0)})


async def reasons(db: Postgres) -> list[str]:
    return [row["reason"] for row in await db.all("select reason from matches where reason is not null")]


@pytest.mark.parametrize("where", [0, 1])
async def test_ban_ends_the_match_at_once_without_naming_the_ban(
    patient: Config, moderator: Postgres, where: int
) -> None:
    """Whether or not the banned user is connected to the owner of the pool."""
    async with nodes(patient) as there:
        await own_the_pool(there[0])
        async with there[where].person() as ann, there[1 - where].person() as ben:
            conversation = await meet(ann, ben)
            await ban(moderator, patient, ann)
            assert (await ben.event("match.ended"))["reason"] == "left"
            assert (await ann.ended()).code == 4403
            assert (await ben.refused("typing.start", conversation=conversation)).code == "not_found"
            assert "banned" not in str(ben.log)
            await ben.call("match.find")
        assert set(await reasons(moderator)) <= {"left", "disconnected"}


async def test_a_ban_takes_the_banned_out_of_the_queue(patient: Config, moderator: Postgres) -> None:
    async with nodes(patient) as (one, two), two.person() as eve, one.person() as sam, two.person() as tom:
        await own_the_pool(one)
        await eve.call("match.find", tags=["waiting"])
        await trio.sleep(0.3)
        await ban(moderator, patient, eve)
        await eve.ended()
        await sam.call("match.find", tags=["waiting"])
        await tom.call("match.find", tags=["waiting"])
        await sam.found(tom)


async def test_a_ban_of_a_user_who_just_disconnected_counts(patient: Config, moderator: Postgres) -> None:
    """No node has a connection of the user: neither the ticket nor the match waits for the grace period."""
    async with nodes(patient) as (one, two), two.person() as ben, one.person() as sam:
        await own_the_pool(one)
        async with two.person() as ann, two.person() as eve:
            await meet(ann, ben)
            await eve.call("match.find", tags=["waiting"])
        await trio.sleep(0.3)
        await ban(moderator, patient, ann)
        await ban(moderator, patient, eve)
        assert (await ben.event("match.ended"))["reason"] == "left"
        await sam.call("match.find", tags=["waiting"])
        await ben.call("match.find", tags=["waiting"])
        await sam.found(ben)


async def test_a_proposal_is_withdrawn_without_mention_of_the_ban(patient: Config, moderator: Postgres) -> None:
    """The partner gets the same event as if the user had cancelled."""
    async with nodes(patient) as (one, two), two.person() as ben:
        for banned in (False, True):
            async with one.person() as ann:
                for person in (ann, ben):
                    await person.call("match.find", queue="asking", tags=[str(banned)])
                await ann.event("match.proposed", PATIENCE)
                await (ban(moderator, patient, ann) if banned else ann.call("match.cancel"))
                assert (await ben.event("match.requeued"))["reason"] == "cancelled"


async def test_a_ban_without_a_control_message_ends_the_match(patient: Config, moderator: Postgres) -> None:
    """The node that checks bans finds it; it need not be the owner of the pool."""
    async with nodes(patient) as (one, two), one.person() as ben, two.person() as ann:
        await own_the_pool(one)
        await meet(ann, ben)
        await moderator.run(
            "insert into bans (tenant, id, user_id, reason, actor, created_at) values ('default', $1, $1, 'spam', 'me', 0)",
            ann.user,
        )
        assert (await ben.event("match.ended", 2 * PATIENCE))["reason"] == "left"


@pytest.mark.parametrize("owner_dies", [True, False])
async def test_matches_of_a_node_that_never_returns_are_ended(config: Config, owner_dies: bool) -> None:
    """The node is killed, and no other node knew which users were connected to it."""
    quick = config.using(MatchSettings(relax=0.3, grace=0.5))
    async with trio.open_nursery() as nursery:
        if owner_dies:
            dying, scope = await nursery.start(killable, quick)
            await own_the_pool(dying)
        async with running(quick) as staying, staying.person("ben") as ben, staying.person("tom") as tom:
            if not owner_dies:
                await own_the_pool(staying)
                dying, scope = await nursery.start(killable, quick)
            async with dying.person("ann") as ann, staying.person("sam") as sam:
                conversation = await meet(ann, ben)
                await meet(sam, tom)
                scope.cancel()
                assert (await ben.event("match.ended", 0.5 + PATIENCE))["reason"] == "disconnected"
                assert (await ben.refused("typing.start", conversation=conversation)).code == "not_found"
                assert (await sam.refused("match.find")).code == "conflict"


async def killable(config: Config, task_status: trio.TaskStatus[tuple[Daemon, trio.CancelScope]]) -> None:
    await mortal(config, task_status)


async def test_a_user_connected_to_another_node_keeps_the_match(config: Config) -> None:
    """After many checks no match has ended."""
    matching = replace(MATCHING, open=partial(open_matching, tunables=MatchTunables(disconnected_beats=1)))
    async with (
        nodes(config.using(MatchSettings(grace=0.5)), 3, altered(matching)) as (_, two, three),
        two.person() as ann,
        three.person() as ben,
    ):
        conversation = await meet(ann, ben)
        await trio.sleep(8 * QUICK.heartbeat)
        await ann.send(conversation, "still here")
        await ben.event("message.new")


@asynccontextmanager
async def spying(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[MatchingService]]:
    """The match services of the started nodes, in order: the name of a node is only in its log."""
    found: list[MatchingService] = []
    begin = MatchingService.__init__

    def note(self: MatchingService, *given: object) -> None:
        begin(self, *given)  # type: ignore[arg-type]
        found.append(self)

    monkeypatch.setattr(MatchingService, "__init__", note)
    yield found


@pytest.mark.parametrize("drains", [0, 1])
async def test_leaving_node_transfers_its_tickets(config: Config, monkeypatch: pytest.MonkeyPatch, drains: int) -> None:
    patient = config.using(MatchSettings(relax=0.3, grace=20.0))
    async with spying(monkeypatch) as matchers, nodes(patient) as there:
        await own_the_pool(there[0])
        leaving, staying = there[drains], there[1 - drains]
        async with staying.person("sam") as sam, leaving.person("eve") as eve:
            await eve.call("match.find", tags=["waiting"])
            started = trio.current_time()
            await trio.sleep(0.5)
            name = matchers[drains]._cluster.name
            await order(config, control_messages.StartDrain(name, 1.0), "leave")
            assert (await eve.ended()).reason == "retry_in_ms=0"
            await gone(leaving)
            async with staying.connected(eve.account) as back:
                waited = (trio.current_time() - started) * 1000
                await sam.call("match.find", tags=["waiting"])
                found = await back.found(sam)
                assert waited - 200 <= found["waited_ms"]


async def gone(daemon: Daemon) -> None:
    """Wait until no process listens there any more."""
    host, _, port = daemon.addresses.http.removeprefix("http://").partition(":")
    with trio.fail_after(2 * PATIENCE):
        while True:
            try:
                async with await trio.open_tcp_stream(host, int(port)):
                    await trio.sleep(0.05)
            except OSError:
                return


@pytest.mark.parametrize("owner", [0, 1])
async def test_a_second_connection_keeps_the_user_waiting(patient: Config, owner: int) -> None:
    async with nodes(patient) as (one, two), one.person("sam") as sam:
        await own_the_pool((one, two)[owner])
        async with one.person("eve") as eve, two.connected(eve.account) as also_eve:
            await eve.call("match.find", tags=["waiting"])
            await trio.sleep(0.3)
            await eve.link.close()
            await trio.sleep(0.5)
            await sam.call("match.find", tags=["waiting"])
            await also_eve.found(sam)


async def test_the_later_request_counts_on_any_node(patient: Config) -> None:
    """The ticket that another node still holds for the user is not their current one."""
    async with nodes(patient) as (one, two), two.person("sam") as sam:
        await own_the_pool(two)
        async with one.person("eve") as eve:
            await eve.call("match.find", tags=["early"])
        async with two.connected(eve.account) as there:
            await trio.sleep(0.3)
            late = (await there.call("match.find", tags=["late"]))["ticket"]
            async with one.connected(eve.account) as back:
                await trio.sleep(0.5)
                assert (await back.call("match.status"))["ticket"] == late
                await sam.call("match.find", tags=["late"])
                assert (await back.event("match.found"))["relaxed"] == []


async def test_a_skip_on_another_node_searches_for_the_same(config: Config) -> None:
    quick = config.using(MatchSettings(relax=60.0))
    async with nodes(quick) as (one, two), one.person("ann") as ann, two.person("ben") as ben:
        await own_the_pool(one)
        await ann.call("match.find", tags=["tea"], attributes={"size": 1}, accept={"must_not": {"size": {"min": 7}}})
        await ben.call("match.find", tags=["tea"])
        await ann.event("match.found")
        async with two.connected(ann.account) as also_ann, two.person("big") as big, one.person("small") as small:
            await also_ann.call("match.skip")
            assert (await ben.event("match.ended"))["reason"] == "skipped"
            await big.call("match.find", tags=["tea"], attributes={"size": 9})
            await small.call("match.find", tags=["tea"], accept={"must": {"size": 1}})
            await ann.found(small)
            assert (await small.event("match.found"))["partner"]["attributes"] == {"size": 1}


ROUNDS = examples(15)


async def test_a_user_who_searches_on_two_nodes_is_in_one_pair(config: Config, moderator: Postgres) -> None:
    """Six times in each round, with two possible partners at any moment."""
    quick = config.using(MatchSettings(relax=0.01))
    async with AsyncExitStack() as stack:
        one, two = await stack.enter_async_context(nodes(quick))
        ann, ben, eve = [await stack.enter_async_context(node.person()) for node in (one, one, two)]
        also_ann = await stack.enter_async_context(two.connected(ann.account))
        for person in (ben, eve):
            await person.call("match.find", accept={"must": {"wanted": True}})
        seen: set[str] = set()
        for _ in range(ROUNDS):
            async with trio.open_nursery() as nursery:
                for person in (ann, also_ann) * 3:
                    nursery.start_soon(ask, person)
            partner = await one_partner(moderator, ann, (ben, eve), seen)
            await partner.call("match.leave")
            await partner.call("match.find", accept={"must": {"wanted": True}})


async def one_partner(db: Postgres, ann: Person, others: Sequence[Person], seen: set[str]) -> Person:
    """The partner that was announced, perhaps more than once: the two can talk, and there is no other."""
    found = await ann.event("match.found")
    while found["match"] in seen:
        found = await ann.event("match.found")
    user = await db.value(USER_OF, found["partner"]["id"])
    partner = next(person for person in others if person.user == user)
    await partner.send(found["conversation"], "hello")
    await ann.event("message.new")
    with trio.fail_after(PATIENCE):
        while await active_matches(db) != {ann.user: 1, partner.user: 1}:
            await trio.sleep(0.02)
    seen.add(found["match"])
    return partner


async def ask(person: Person) -> None:
    with suppress(Refused):
        await person.call("match.find", attributes={"wanted": True})


async def active_matches(db: Postgres) -> dict[str, int]:
    rows = await db.all(
        "select user_id::text as user, count(*) from match_members where ended_at is null group by user_id"
    )
    return {row["user"]: row["count"] for row in rows}
