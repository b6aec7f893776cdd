"""A command of an admin on one node is carried out on the others."""

import trio

from chatd.core.config import Config
from tests.admins import administered, done, order, status_of
from tests.cluster.test_two_nodes import nodes
from tests.support import PATIENCE


async def test_a_ban_closes_sockets_on_the_other_node(config: Config) -> None:
    async with nodes(administered(config)) as (one, two), two.person() as person, two.person() as other:
        await done(one, "ban", user=person.user, reason="spam", lasts=60)
        with trio.fail_after(PATIENCE):
            assert (await person.ended()).code == 4403
        assert await status_of(two, person) == 403
        assert await other.is_served()


async def test_a_kick_and_a_revocation_apply_on_the_other_node(config: Config) -> None:
    async with nodes(administered(config)) as (one, two), two.person() as ann, two.person() as ben:
        await done(one, "kick", user=ann.user)
        await done(one, "revoke", user=ben.user)
        assert ((await ann.ended()).code, (await ben.ended()).code) == (1001, 4404)
        assert (await status_of(one, ann), await status_of(one, ben)) == (200, 401)


async def test_strikes_and_resolutions_apply_on_the_other_node(config: Config) -> None:
    async with nodes(administered(config)) as (one, two), two.person() as ann, two.person() as ben:
        for _ in range(3):
            await done(one, "strike", user=ann.user, reason="spam")
        assert (await ann.ended()).code == 4403
        async with one.person() as reporter:
            await reporter.call("conversation.open", user=ben.user)
            report = (await reporter.call("report.create", user=ben.user, reason="abuse"))["report"]
            await done(two, "report.resolve", report=report, outcome="upheld", ban={})
        assert (await ben.ended()).code == 4403


async def test_strikes_on_both_nodes_at_once_are_counted_one_after_the_other(config: Config) -> None:
    async with nodes(administered(config)) as (one, two), one.person() as person:
        found: list[int] = []

        async def strike(number: int) -> None:
            node = (one, two)[number % 2]
            found.append((await done(node, "strike", user=person.user, reason="spam"))["count"])

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(strike, number)
        assert sorted(found) == list(range(1, 11))


async def test_maintenance_and_drain_apply_to_all_nodes(config: Config) -> None:
    async with nodes(administered(config)) as (one, two), one.person() as ann, two.person() as ben:
        await done(one, "maintenance", on=True, message="back at noon")
        for person in (ann, ben):
            assert (await person.event("maintenance.mode"))["message"] == "back at noon"
        assert (await order(two, "drain", over=0)).status == 200
        assert [(await person.ended()).code for person in (ann, ben)] == [1001, 1001]
