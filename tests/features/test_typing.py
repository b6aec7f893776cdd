"""Typing, which nobody keeps."""

from msgspec.structs import replace

from chatd.config import Config
from tests.features.test_groups import group
from tests.support import NOBODY, Daemon, covers, running


@covers("typing.start")
@covers("typing.stop")
async def test_the_others_are_told(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        await alice.call("typing.start", conversation=conversation)
        told = await bob.event("typing.start")
        assert (told["user"], told["conversation"], told["expires_in"] > 0) == (alice.user, conversation, True)
        await alice.call("typing.stop", conversation=conversation)
        await bob.event("typing.stop")
        assert not alice.events


@covers("typing.start", "not_found")
@covers("typing.stop", "not_found")
async def test_only_members_type(daemon: Daemon) -> None:
    async with daemon.pair() as (_, _, conversation), daemon.person() as stranger:
        for command in ("typing.start", "typing.stop"):
            for id_ in (conversation, NOBODY):
                assert (await stranger.refused(command, conversation=id_)).code == "not_found"


async def test_over_rest_too(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        path = f"/v1/conversations/{conversation}/typing"
        assert (await daemon.rest("POST", path, {}, alice.account.access_token)).status == 200
        await bob.event("typing.start")
        assert (await daemon.rest("DELETE", path, None, alice.account.access_token)).status == 200
        await bob.event("typing.stop")


async def test_in_a_large_group_nobody_is_told(config: Config) -> None:
    few = replace(config, presence=replace(config.presence, typing_members=3))
    async with running(few) as daemon, group(daemon) as (id_, (ann, ben, eve)), daemon.person() as one_more:
        await ann.call("typing.start", conversation=id_)
        await ben.event("typing.start")
        await ann.call("member.add", conversation=id_, users=[one_more.user])
        for command in ("typing.start", "typing.stop"):
            assert (await ann.call(command, conversation=id_))["t"] == "ok"
        await ann.call("member.remove", conversation=id_, user=eve.user)
        assert (await ben.event("member.left"))["departure"]["user"] == eve.user
        await one_more.is_served()
        assert not [event for event in one_more.events if event["t"].startswith("typing")]
        await ann.call("typing.start", conversation=id_)
        await one_more.event("typing.start")
