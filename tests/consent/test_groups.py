"""Groups: users who do not let everybody add them are invited."""

import trio

from chatd.core.config import Config
from chatd.db.postgres import Postgres
from tests.consent.test_requests import requests
from tests.support import Daemon, Person, covers, running, shared

daemon = shared


async def reserve(*people: Person) -> None:
    for person in people:
        await person.call("user.settings", allow_groups="contacts")


async def test_a_group_is_created_with_members_and_invited_users(daemon: Daemon) -> None:
    async with daemon.people(3) as (ann, ben, eve):
        await reserve(ben)
        made = await ann.call("conversation.create", members=[ben.user, eve.user], title="Us")
        id_ = made.conversation.id
        assert (made["invited"], made.conversation["member_count"]) == ([ben.user], 2)
        asked = await ben.event("request.new")
        assert (asked["conversation"], asked["kind"], asked["user"]) == (id_, "group", ann.user)
        await ann.send(id_, "a secret of the group")
        assert (await ben.call("conversation.list"))["items"] == []
        [found] = await requests(ben)
        assert (found["title"], found["member_count"], found["messages"]) == ("Us", 2, [])
        joined = (await ben.call("request.accept", conversation=id_)).conversation
        assert (joined["member_count"], joined["role"]) == (3, "member")
        assert (await eve.event("member.update"))["member"]["user"] == ben.user
        assert await requests(ben) == []
        assert (await ben.call("request.accept", conversation=id_)).conversation["member_count"] == 3


async def test_users_are_added_or_invited(daemon: Daemon) -> None:
    async with daemon.people(3) as (ann, ben, eve):
        await reserve(ben)
        id_ = (await ann.call("conversation.create", members=[])).conversation.id
        for expected in ([eve.user], []):
            added = await ann.call("member.add", conversation=id_, users=[ben.user, eve.user])
            assert ([one["user"] for one in added["items"]], added["invited"]) == (expected, [ben.user])
        await ben.event("request.new")
        with trio.move_on_after(0.3):
            raise AssertionError(await ben.event("request.new"))
        await ben.call("request.accept", conversation=id_)
        again = await ann.call("member.add", conversation=id_, users=[ben.user])
        assert (again["items"], "invited" in again) == ([], False)


async def test_an_invitation_ends_with_another_way_into_the_group_or_with_the_group(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben):
        await reserve(ben)
        joined, dissolved = [
            (await ann.call("conversation.create", members=[ben.user])).conversation.id for _ in range(2)
        ]
        await ann.call("conversation.edit", conversation=joined, joining="open")
        await ben.call("conversation.join", conversation=joined)
        await ann.call("conversation.dissolve", conversation=dissolved)
        assert await requests(ben) == []
        assert (await ben.refused("request.accept", conversation=dissolved)).code == "not_found"


@covers("request.withdraw", "forbidden")
async def test_only_those_who_may_add_members_withdraw_an_invitation(daemon: Daemon) -> None:
    async with daemon.people(3) as (ann, ben, eve):
        await reserve(ben)
        id_ = (await ann.call("conversation.create", members=[ben.user, eve.user])).conversation.id
        assert (await eve.refused("request.withdraw", conversation=id_, user=ben.user)).code == "forbidden"
        await ben.event("request.new")
        await ann.call("request.withdraw", conversation=id_, user=ben.user)
        await ben.event("session.behind")
        assert await requests(ben) == []
        await ann.call("member.add", conversation=id_, users=[ben.user])
        await ben.event("request.new")


@covers("request.invited")
@covers("request.invited", "not_found", "forbidden")
async def test_invited_users_are_listed_for_those_who_may_invite(daemon: Daemon) -> None:
    async with daemon.people(5) as (ann, ben, eve, sam, mallory):
        await reserve(ben, eve)
        made = await ann.call("conversation.create", members=[ben.user, sam.user])
        id_ = made.conversation.id
        await ann.call("member.add", conversation=id_, users=[eve.user])
        await ben.call("request.decline", conversation=id_)
        found, cursor = [], None
        while found == [] or cursor is not None:
            page = await ann.call("request.invited", conversation=id_, limit=1, cursor=cursor)
            found, cursor = [*found, *page["items"]], page["cursor"]
        assert [item["user"] for item in found] == sorted([ben.user, eve.user])
        assert {item["by"] for item in found} == {ann.user}
        assert (await sam.refused("request.invited", conversation=id_)).code == "forbidden"
        for stranger in (mallory, ben):
            assert (await stranger.refused("request.invited", conversation=id_)).code == "not_found"
        await ann.call("request.withdraw", conversation=id_, user=ben.user)
        await eve.call("request.accept", conversation=id_)
        assert (await ann.call("request.invited", conversation=id_))["items"] == []


async def test_an_invitation_can_be_reported(config: Config, store: Postgres) -> None:
    """The user who has invited, and nobody else of the group; and no message of it is in the report."""
    async with running(config) as daemon, daemon.people(3) as (ann, ben, sam):
        await reserve(ben)
        made = await ann.call("conversation.create", members=[ben.user, sam.user], title="Buy my pills")
        id_ = made.conversation.id
        sent = await ann.send(id_, "a secret of the group")
        report = {"conversation": id_, "reason": "spam"}
        for wrong in ({"user": sam.user}, {"message": sent.message}, {"user": ann.user, "message": sent.message}):
            assert (await ben.refused("report.create", **report, **wrong)).code == "not_found"
        assert "report" in await ben.call("report.create", **report, user=ann.user)
        row = await store.one("select target::text, conversation::text, message, transcript from reports")
        assert row is not None
        assert (row["target"], row["conversation"], row["message"], row["transcript"]) == (ann.user, id_, None, [])
        # A member reports with the messages.
        await ben.call("request.accept", conversation=id_)
        await store.run("delete from report_uploads")
        await store.run("delete from reports")
        await ben.call("report.create", **report, user=ann.user)
        transcript = await store.value("select transcript from reports")
        assert "a secret of the group" in [one["text"] for one in transcript]
