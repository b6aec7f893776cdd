"""Typing indicators."""

from msgspec.structs import replace

from chatd.conversations.settings import PresenceDefaults
from chatd.core.config import Config
from tests.conversations.test_groups import group
from tests.support import NOBODY, Daemon, covers, running, shared

daemon = shared


@covers("typing.start")
@covers("typing.stop")
async def test_typing_is_sent_to_other_members(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        await alice.call("typing.start", conversation=conversation)
        event = await bob.event("typing.start")
        assert (event["user"], event["conversation"], event["expires_in"] > 0) == (alice.user, conversation, True)
        await alice.call("typing.stop", conversation=conversation)
        await bob.event("typing.stop")
        assert not alice.events


@covers("typing.start", "not_found")
@covers("typing.stop", "not_found")
async def test_typing_is_refused_for_non_members(daemon: Daemon) -> None:
    async with daemon.pair() as (_, _, conversation), daemon.person() as stranger:
        for command in ("typing.start", "typing.stop"):
            for id_ in (conversation, NOBODY):
                assert (await stranger.refused(command, conversation=id_)).code == "not_found"


async def test_typing_works_over_rest(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        path = f"/v1/conversations/{conversation}/typing"
        assert (await daemon.rest("POST", path, {}, alice.account.access_token)).status == 200
        await bob.event("typing.start")
        assert (await daemon.rest("DELETE", path, None, alice.account.access_token)).status == 200
        await bob.event("typing.stop")


async def test_typing_is_not_sent_in_a_large_group(config: Config) -> None:
    few = config.using(replace(config.get(PresenceDefaults), typing_members=3))
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


async def test_typing_ends_when_the_session_disconnects(daemon: Daemon) -> None:
    """However the connection ends; typing that was stopped before is not stopped again."""
    async with daemon.pair() as (alice, bob, conversation):
        group_ = (await alice.call("conversation.create", title="t", members=[bob.user]))["conversation"]["id"]
        other = (await alice.call("conversation.create", title="u", members=[bob.user]))["conversation"]["id"]
        for ending in ("close", "cut"):
            async with daemon.connected(alice.account) as phone:
                for place in (conversation, group_, other):
                    await phone.call("typing.start", conversation=place)
                    await bob.event("typing.start")
                await phone.call("typing.stop", conversation=other)
                await bob.event("typing.stop")
                if ending == "close":
                    await phone.connection.aclose()
            stopped = {(await bob.event("typing.stop"))["conversation"] for _ in range(2)}
            assert stopped == {conversation, group_}
        before = len(bob.log)
        async with daemon.connected(alice.account):
            pass
        await bob.call("ping", ts=1)
        assert not [body for _, body in bob.log[before:] if body["t"].startswith("typing")]


async def test_removed_member_who_was_typing_causes_no_event_at_disconnect(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, _), daemon.person() as eve:
        room = (await alice.call("conversation.create", title="t", members=[bob.user, eve.user]))["conversation"]["id"]
        await eve.call("typing.start", conversation=room)
        await bob.event("typing.start")
        await alice.call("member.remove", conversation=room, user=eve.user)
        await eve.connection.aclose()
        await eve.ended()
        await alice.send(room, "last")
        await bob.event("message.new")
        assert not [body for _, body in bob.log if body["t"] == "typing.stop"]
