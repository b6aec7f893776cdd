"""Typing, which nobody keeps."""

from tests.support import NOBODY, Daemon, covers


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
