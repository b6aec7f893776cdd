"""Title, description, picture and rules of a conversation."""

from tests.conversations.test_groups import group
from tests.support import NOBODY, Daemon, covers, shared

daemon = shared


@covers("conversation.edit")
async def test_new_title_reaches_online_and_offline_members(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, _)):
        rev = (await ben.call("conversation.sync", conversation=id_, rev=0))["rev"]
        answer = await ann.call("conversation.edit", conversation=id_, title="We", description="All of us")
        assert (answer.conversation.title, answer.conversation.description) == ("We", "All of us")
        update = await ben.event("conversation.update")
        assert (update["conversation"]["title"], update["rev"], "unread" in update["conversation"]) == (
            "We",
            rev + 1,
            False,
        )
        assert (await ben.event("message.new"))["message"]["system"] == {"act": "conversation.edited", "title": "We"}
        changes = await ben.call("conversation.sync", conversation=id_, rev=rev)
        assert (changes["info"]["title"], changes["info"]["member_count"]) == ("We", 3)
        assert "info" not in await ben.call("conversation.sync", conversation=id_, rev=changes["rev"])
        emptied = await ann.call("conversation.edit", conversation=id_, description="")
        assert (emptied.conversation.title, emptied.conversation.description) == ("We", None)


@covers("conversation.edit", "not_found")
@covers("conversation.edit", "forbidden")
async def test_group_settings_are_refused_without_permission(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, _)), daemon.person() as eve:
        await ann.call("member.role", conversation=id_, user=ben.user, role="moderator")
        assert (await ben.refused("conversation.edit", conversation=id_, title="Mine")).code == "forbidden"
        assert (await eve.refused("conversation.edit", conversation=id_, title="Mine")).code == "not_found"
        assert (await ann.refused("conversation.edit", conversation=id_, picture=NOBODY)).code == "not_found"
        assert (await ann.refused("conversation.edit", conversation=id_)).code == "bad_request"
        for wrong in ({"title": "x" * 101}, {"history": "some"}, {"disappear": -1}, {"joining": "maybe"}):
            assert (await ann.refused("conversation.edit", conversation=id_, **wrong)).code == "bad_request"


async def test_retention_is_shown_to_all_members(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, id_):
        rev = (await bob.call("conversation.sync", conversation=id_, rev=0))["rev"]
        assert (await alice.call("conversation.edit", conversation=id_, keep_days=7)).conversation["keep_days"] == 7
        while "rev" not in (event := await bob.event("conversation.update")):
            pass
        assert event["conversation"]["keep_days"] == 7
        assert (await bob.event("message.new"))["message"]["system"] == {"act": "conversation.edited", "keep_days": 7}
        assert (await bob.call("conversation.sync", conversation=id_, rev=rev))["info"]["keep_days"] == 7
        (state,) = (await bob.call("session.sync"))["conversations"]
        assert (
            state["keep_days"] == (await bob.call("conversation.get", conversation=id_)).conversation["keep_days"] == 7
        )
        assert (await bob.call("conversation.edit", conversation=id_, keep_days=0)).conversation["keep_days"] is None


async def test_both_members_set_the_rules_of_a_direct_conversation(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, id_):
        assert (await bob.call("conversation.edit", conversation=id_, disappear=60)).conversation.disappear == 60
        message = await alice.send(id_, "soon gone")
        history = await bob.call("message.history", conversation=id_)
        assert history["items"][-1]["expires_at"] == message.created_at + 60_000
        for wrong in ({"title": "Us"}, {"announce": True}, {"joining": "open"}):
            assert (await alice.refused("conversation.edit", conversation=id_, **wrong)).code == "forbidden"
