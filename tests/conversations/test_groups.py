"""Groups: membership and permissions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from chatd.client import Refused
from chatd.conversations import effects
from chatd.conversations.commands.joining import MAX_OWN_REQUESTS
from chatd.conversations.effects import AnnounceMembers
from chatd.conversations.settings import ConversationLimits
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from tests.reply import Reply
from tests.support import NOBODY, Daemon, Person, covers, running, shared

daemon = shared


@asynccontextmanager
async def group(daemon: Daemon, count: int = 3, **fields: object) -> AsyncIterator[tuple[str, list[Person]]]:
    """A group of this size; the first user is the owner."""
    async with daemon.people(count) as people:
        made = await people[0].call("conversation.create", title="Us", members=[other.user for other in people[1:]])
        if fields:
            await people[0].call("conversation.edit", conversation=made.conversation.id, **fields)
        for person in people[1:]:
            await person.event("conversation.update")
        yield made.conversation.id, people


async def members(person: Person, conversation: str) -> dict[str, str]:
    """Roles by user."""
    found = await person.call("member.list", conversation=conversation)
    return {member["user"]: member["role"] for member in found["items"]}


async def synced(person: Person, conversation: str, rev: int = 0) -> Reply:
    return await person.call("conversation.sync", conversation=conversation, rev=rev, limit=200)


@covers("member.add")
@covers("member.list")
async def test_added_member_gets_all_later_events(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, _)), daemon.person("eve") as eve:
        await ann.send(id_, "before")
        added = await ann.call("member.add", conversation=id_, users=[eve.user, ben.user])
        assert [(one["user"], one["role"]) for one in added["items"]] == [(eve.user, "member")]
        assert (await eve.event("conversation.update"))["conversation"]["id"] == id_
        assert (await ben.event("member.update"))["member"]["user"] == eve.user
        message = (await ben.event("message.new"))["message"]
        assert message["system"] == {"act": "member.added", "users": [eve.user], "count": 1}
        await ben.send(id_, "hello eve")
        while (await eve.event("message.new"))["message"]["text"] != "hello eve":
            pass
        history = await eve.call("message.history", conversation=id_)
        assert [item["text"] for item in history["items"]] == ["before", None, "hello eve"]
        assert (await members(eve, id_))[ann.user] == "owner"
        state = (await eve.call("conversation.get", conversation=id_)).conversation
        assert (state["unread"], state["member_count"]) == (1, 4)


@covers("member.add", "not_found")
@covers("member.add", "forbidden")
@covers("member.list", "not_found")
async def test_adding_members_is_refused_without_permission(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, _)), daemon.person() as eve:
        assert (await ben.refused("member.add", conversation=id_, users=[eve.user])).code == "forbidden"
        assert (await eve.refused("member.add", conversation=id_, users=[eve.user])).code == "not_found"
        assert (await ann.refused("member.add", conversation=id_, users=[eve.user, NOBODY])).code == "not_found"
        assert (await eve.refused("member.list", conversation=id_)).code == "not_found"
        assert eve.user not in await members(ann, id_)


@covers("member.add", "too_large")
@covers("conversation.join", "too_large")
@covers("join.decide", "too_large")
async def test_full_group_refuses_new_members(config: Config) -> None:
    small = config.using(replace(config.get(ConversationLimits), members=3))
    async with (
        running(small) as daemon,
        group(daemon, joining="open") as (id_, (ann, *_)),
        daemon.people(2) as (eve, sam),
    ):
        assert (await ann.refused("member.add", conversation=id_, users=[eve.user])).code == "too_large"
        assert (await eve.refused("conversation.join", conversation=id_)).code == "too_large"
        await ann.call("conversation.edit", conversation=id_, joining="request")
        secret = (await ann.call("invite.create", conversation=id_))["secret"]
        await sam.call("conversation.join", secret=secret)
        decided = await ann.refused("join.decide", conversation=id_, user=sam.user, approve=True)
        assert (decided.code, len(await members(ann, id_))) == ("too_large", 3)
        assert len((await ann.call("join.list", conversation=id_))["items"]) == 1


@covers("member.remove")
@covers("member.remove", "not_found")
@covers("member.remove", "forbidden")
async def test_removed_member_gets_no_more_events(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, eve)):
        cursor = (await eve.call("session.sync"))["cursor"]
        rev = (await synced(ben, id_))["rev"]
        assert (await ben.refused("member.remove", conversation=id_, user=eve.user)).code == "forbidden"
        assert (await ann.refused("member.remove", conversation=id_, user=NOBODY)).code == "not_found"
        await ann.call("member.remove", conversation=id_, user=eve.user)
        left = await eve.event("member.left")
        assert (left["departure"]["user"], left["departure"]["actor"]) == (eve.user, ann.user)
        await ann.send(id_, "about eve")
        for command in ("message.history", "typing.start", "conversation.get"):
            assert (await eve.refused(command, conversation=id_)).code == "not_found"
        assert (await eve.refused("message.send", conversation=id_, client_id="x", text="hi")).code == "not_found"
        assert not [event for event in eve.events if event["t"] == "message.new"]
        assert (await eve.call("session.sync", cursor=cursor))["gone"] == [id_]
        changes = await synced(ben, id_, rev)
        assert [one["user"] for one in changes["departures"]] == [eve.user]
        assert (await ann.refused("member.remove", conversation=id_, user=ann.user)).code == "forbidden"


async def test_member_removed_during_the_delivery_of_the_addition_is_unsubscribed(
    own_daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with group(own_daemon) as (id_, (ann, ben, _)), own_daemon.people(2) as (eve, sam):
        deliver = AnnounceMembers.deliver

        async def after_the_removal(announce: AnnounceMembers, ctx: Any) -> None:
            await ben.call("member.remove", conversation=announce.conversation, user=eve.user)
            await deliver(announce, ctx)

        await ann.call("member.role", conversation=id_, user=ben.user, role="moderator")
        monkeypatch.setattr(AnnounceMembers, "deliver", after_the_removal)
        first, second = sorted((eve, sam), key=lambda person: person.user)
        added = await ann.call("member.add", conversation=id_, users=[first.user, second.user])
        assert {one["user"] for one in added["items"]} == {eve.user, sam.user}
        await eve.event("member.left")
        for person in (ben, sam):
            while (await person.event("message.new"))["message"]["system"]["act"] != "member.removed":
                pass
        await ann.send(id_, "among us")
        await ann.call("typing.start", conversation=id_)
        for person in (ben, sam):
            assert (await person.event("message.new"))["message"]["text"] == "among us"
        assert await eve.is_served()
        assert not [event["t"] for event in eve.events if "rev" in event or event["t"] == "typing.start"]
        assert (await eve.refused("typing.start", conversation=id_)).code == "not_found"


async def test_members_are_subscribed_although_the_event_cannot_be_read(
    own_daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database fails between the commit and the delivery of the event."""
    async with group(own_daemon) as (id_, (ann, ben, _)), own_daemon.person() as eve:

        async def fail(*_: Any) -> Any:
            raise Refused("unavailable")

        with monkeypatch.context() as patch:
            patch.setattr(effects, "conversations_of", fail)
            assert (await ann.refused("member.add", conversation=id_, users=[eve.user])).code == "unavailable"
            assert (await ann.refused("conversation.edit", conversation=id_, title="We")).code == "unavailable"
        top = (await synced(ann, id_))["rev"]
        for person in (ben, eve):
            while (await person.event("behind"))["rev"] < top:
                pass
        await ann.send(id_, "welcome")
        assert (await eve.event("message.new"))["message"]["text"] == "welcome"


@covers("conversation.leave")
@covers("conversation.leave", "not_found")
@covers("conversation.leave", "forbidden")
async def test_another_member_becomes_owner_when_the_owner_leaves(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, eve)):
        await ann.call("member.role", conversation=id_, user=eve.user, role="moderator")
        direct = (await ann.call("conversation.open", user=ben.user)).conversation.id
        assert (await ann.refused("conversation.leave", conversation=direct)).code == "forbidden"
        await ann.call("conversation.leave", conversation=id_)
        assert (await ben.event("member.left"))["departure"]["user"] == ann.user
        assert (
            await members(ben, id_) == {ben.user: "owner", eve.user: "moderator"}
            or (await members(ben, id_))[eve.user] == "owner"
        )
        assert (await ann.refused("conversation.leave", conversation=id_)).code == "not_found"


@covers("member.role")
@covers("member.role", "not_found")
@covers("member.role", "forbidden")
async def test_roles_are_changed_only_by_higher_roles(daemon: Daemon) -> None:
    async with group(daemon, 4) as (id_, (ann, ben, eve, sam)):
        made = await ann.call("member.role", conversation=id_, user=ben.user, role="admin")
        assert made["member"]["role"] == "admin"
        assert (await sam.event("member.update"))["member"]["role"] == "admin"
        await ben.call("member.role", conversation=id_, user=eve.user, role="moderator")
        for person, user, role in (
            (ben, eve, "admin"),
            (ben, ann, "member"),
            (eve, sam, "moderator"),
            (sam, sam, "admin"),
        ):
            refused = await person.refused("member.role", conversation=id_, user=user.user, role=role)
            assert refused.code == "forbidden"
        assert (await ann.refused("member.role", conversation=id_, user=NOBODY, role="admin")).code == "not_found"
        assert (await members(sam, id_))[eve.user] == "moderator"
        await eve.call("member.remove", conversation=id_, user=sam.user)
        assert (await eve.refused("member.remove", conversation=id_, user=ben.user)).code == "forbidden"


@covers("conversation.transfer")
@covers("conversation.transfer", "not_found")
@covers("conversation.transfer", "forbidden")
async def test_group_ownership_is_transferred(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, eve)):
        assert (await ben.refused("conversation.transfer", conversation=id_, user=eve.user)).code == "forbidden"
        assert (await ann.refused("conversation.transfer", conversation=id_, user=NOBODY)).code == "not_found"
        assert (await ann.refused("conversation.transfer", conversation=id_, user=ann.user)).code == "bad_request"
        await ann.call("conversation.transfer", conversation=id_, user=ben.user)
        assert await members(eve, id_) == {ann.user: "admin", ben.user: "owner", eve.user: "member"}


@covers("conversation.dissolve")
@covers("conversation.dissolve", "not_found")
@covers("conversation.dissolve", "forbidden")
async def test_dissolved_group_is_removed_for_all_members(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, eve)):
        cursor = (await eve.call("session.sync"))["cursor"]
        assert (await ben.refused("conversation.dissolve", conversation=id_)).code == "forbidden"
        await ann.call("conversation.dissolve", conversation=id_)
        assert (await ben.event("conversation.gone"))["conversation"] == id_
        for person in (ann, ben, eve):
            assert (await person.refused("conversation.get", conversation=id_)).code == "not_found"
        assert (await ann.refused("conversation.dissolve", conversation=id_)).code == "not_found"
        assert (await eve.call("session.sync", cursor=cursor))["gone"] == [id_]


@covers("message.send", "forbidden")
async def test_announcements_require_the_permission(daemon: Daemon) -> None:
    async with group(daemon, announce=True) as (id_, (ann, ben, eve)):
        assert (await ben.refused("message.send", conversation=id_, client_id="x", text="hi")).code == "forbidden"
        await ann.send(id_, "heard")
        await ann.call("member.role", conversation=id_, user=eve.user, role="moderator")
        await eve.send(id_, "and this")
        await ann.call("conversation.edit", conversation=id_, announce=False)
        await ben.send(id_, "at last")


async def test_new_member_sees_history_as_configured(daemon: Daemon) -> None:
    async with group(daemon, history="joined") as (id_, (ann, *_)), daemon.person() as eve:
        first = await ann.send(id_, "private")
        await ann.call("member.add", conversation=id_, users=[eve.user])
        await ann.send(id_, "public")
        history = await eve.call("message.history", conversation=id_)
        assert "private" not in [item["text"] for item in history["items"]]
        assert history["items"][-1]["text"] == "public"
        texts = [message["text"] for message in (await synced(eve, id_))["messages"]]
        assert ("private" in texts, "public" in texts) == (False, True)
        refused = await eve.refused("message.send", conversation=id_, client_id="x", text="?", reply_to=first.message)
        assert refused.code == "not_found"


async def test_new_member_gets_no_changes_of_earlier_messages(daemon: Daemon) -> None:
    async with group(daemon, history="joined") as (id_, (ann, ben, _)), daemon.person() as eve:
        first = await ann.send(id_, "private")
        await ann.call("member.add", conversation=id_, users=[eve.user])
        await ben.send(id_, "an answer", reply_to=first.message)
        await ann.call("message.edit", conversation=id_, message=first.message, text="still private")
        await ann.call("reaction.add", conversation=id_, message=first.message, emoji="👍")
        last = await ann.send(id_, "the end")
        while (await eve.event("message.new"))["message"]["id"] != last.message:
            pass
        assert "private" not in str(eve.log)
        history = (await eve.call("message.history", conversation=id_))["items"]
        assert [("quote" in item, item["text"]) for item in history if item["text"]] == [
            (False, "an answer"),
            (False, "the end"),
        ]
        answer = next(
            item for item in (await ben.call("message.history", conversation=id_))["items"] if item["reply_to"]
        )
        assert answer["quote"]["text"] == "still private"


async def test_dissolved_or_empty_group_cannot_be_joined(daemon: Daemon) -> None:
    async with group(daemon, joining="open") as (one, (ann, *_)), group(daemon, 2, joining="open") as (two, people):
        secrets = [(await ann.call("invite.create", conversation=one))["secret"]]
        secrets += [(await people[0].call("invite.create", conversation=two))["secret"]]
        await ann.call("conversation.dissolve", conversation=one)
        for person in people:
            await person.call("conversation.leave", conversation=two)
        async with daemon.person() as eve:
            for id_ in (one, two):
                assert (await eve.refused("conversation.join", conversation=id_)).code == "not_found"
            for secret in secrets:
                assert (await eve.refused("conversation.join", secret=secret)).code == "not_found"
        assert (await ann.refused("conversation.join", conversation=one)).code == "not_found"


async def test_members_leave_at_the_same_time_or_twice(daemon: Daemon) -> None:
    async with group(daemon, 4) as (id_, (ann, ben, eve, sam)), daemon.connected(ann.account) as tablet:

        async def leave(person: Person) -> None:
            with suppress(Refused):
                await person.call("conversation.leave", conversation=id_)

        async with trio.open_nursery() as nursery:
            for person in (ann, tablet, ben):
                nursery.start_soon(leave, person)
        state = (await eve.call("conversation.get", conversation=id_)).conversation
        assert state["member_count"] == 2
        assert sorted((await members(sam, id_)).values()) == ["member", "owner"]


@covers("conversation.open", "too_large")
@covers("conversation.create", "too_large")
@covers("conversation.join", "too_large")
@covers("join.decide", "too_large")
async def test_user_cannot_be_added_beyond_the_limit_of_conversations(config: Config) -> None:
    limited = config.using(replace(config.get(ConversationLimits), conversations_per_user=2))
    async with running(limited) as daemon, daemon.people(4) as (ann, ben, eve, sam):
        groups = [(await ben.call("conversation.create", members=[ann.user]))["conversation"]["id"]]
        groups.append((await eve.call("conversation.create", members=[ann.user]))["conversation"]["id"])
        asked = (await sam.call("conversation.create", members=[]))["conversation"]["id"]
        await sam.call("conversation.edit", conversation=asked, joining="open")
        for person, command, fields in (
            (ann, "conversation.create", {"members": []}),
            (ben, "conversation.create", {"members": [ann.user]}),
            (ann, "conversation.open", {"user": sam.user}),
            (sam, "conversation.open", {"user": ann.user}),
            (sam, "member.add", {"conversation": asked, "users": [ann.user]}),
            (ann, "conversation.join", {"conversation": asked}),
        ):
            assert (await person.refused(command, **fields)).code == "too_large"
        await sam.call("conversation.edit", conversation=asked, joining="request")
        secret = (await sam.call("invite.create", conversation=asked))["secret"]
        await ann.call("conversation.join", secret=secret)
        decision = {"conversation": asked, "user": ann.user, "approve": True}
        assert (await sam.refused("join.decide", **decision)).code == "too_large"
        await ann.call("conversation.leave", conversation=groups[0])
        await sam.call("join.decide", **decision)


REQUESTS = """
with made as (
    insert into conversations (tenant, id, kind, members, created_at, active_at)
    select 'default', gen_random_uuid(), 'group', 1, 0, 0 from generate_series(1, $2::int) returning id
)
insert into join_requests (tenant, conversation, user_id, created_at) select 'default', id, $1, 0 from made
"""


async def test_join_requests_of_one_user_are_bounded(own_daemon: Daemon, store: Postgres) -> None:
    async with own_daemon.people(2) as (ann, ben):
        await store.run(REQUESTS, ben.user, MAX_OWN_REQUESTS - 1)
        secrets = []
        for _ in range(2):
            id_ = (await ann.call("conversation.create", members=[]))["conversation"]["id"]
            await ann.call("conversation.edit", conversation=id_, joining="request")
            secrets.append((await ann.call("invite.create", conversation=id_))["secret"])
        for _ in range(2):
            await ben.call("conversation.join", secret=secrets[0])
        assert (await ben.refused("conversation.join", secret=secrets[1])).code == "too_large"
