"""Requests: who is asked, what each side sees before the answer, and what each answer does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import uuid4

import pytest
import trio

from chatd.client import Refused
from tests.reply import Reply
from tests.support import NOBODY, Daemon, Person, covers, shared

daemon = shared


async def requests(person: Person, **fields: object) -> list[Reply]:
    return list((await person.call("request.list", **fields))["items"])


@asynccontextmanager
async def request(daemon: Daemon, **settings: str) -> AsyncIterator[tuple[Person, Person, str]]:
    """Ann has asked Ben, who lets only contacts write first."""
    async with daemon.people(2) as (ann, ben):
        await ben.call("user.settings", **(settings or {"allow_messages": "contacts"}))
        yield ann, ben, (await ann.call("conversation.open", user=ben.user)).conversation.id


@covers("request.list")
@covers("request.accept")
async def test_a_first_message_waits_for_acceptance(daemon: Daemon) -> None:
    async with request(daemon) as (ann, ben, id_):
        asked = await ben.event("request.new")
        assert (asked["conversation"], asked["kind"], asked["user"]) == (id_, "direct", ann.user)
        await ann.send(id_, "hello", mentions=[ben.user])
        opened = (await ann.call("conversation.get", conversation=id_)).conversation
        assert (opened["requested"], opened["member_count"], len(opened["members"])) == (ben.user, 1, 1)
        # Nothing of it is in the lists of the recipient.
        assert (await ben.call("conversation.list"))["items"] == []
        assert (await ben.call("session.sync"))["conversations"] == []
        assert (await ben.call("unread.total"))["total"]["unread"] == 0
        assert (await ben.refused("conversation.get", conversation=id_)).code == "not_found"
        [found] = await requests(ben)
        assert (found["user"], [one["text"] for one in found["messages"]]) == (ann.user, ["hello"])

        accepted = (await ben.call("request.accept", conversation=id_)).conversation
        assert (accepted["requested"], accepted["member_count"], accepted["unread"]) == (None, 2, 1)
        assert accepted["mentions"] == 1
        assert (await ann.event("member.update"))["member"]["user"] == ben.user
        assert (await ann.event("conversation.update"))["conversation"]["requested"] is None
        await ben.send(id_, "hello too")
        assert (await ann.event("message.new"))["message"]["text"] == "hello too"
        assert await requests(ben) == []
        again = await ben.call("request.accept", conversation=id_)
        assert (again.conversation.id, again.conversation["member_count"]) == (id_, 2)


async def test_only_some_messages_are_accepted_before_the_answer(daemon: Daemon) -> None:
    async with request(daemon) as (ann, ben, id_):
        first = str(uuid4())
        sent = await ann.call("message.send", conversation=id_, client_id=first, text="1")
        async with trio.open_nursery() as nursery:
            for number in range(2, 4):
                nursery.start_soon(ann.send, id_, str(number))
        refused = await ann.refused("message.send", conversation=id_, client_id=str(uuid4()), text="4")
        assert (refused.code, "accepted" in refused.message) == ("forbidden", True)
        # A retry is answered as before.
        assert (await ann.call("message.send", conversation=id_, client_id=first, text="1"))["seq"] == sent["seq"]
        # Neither are system messages.
        assert (await ann.refused("conversation.edit", conversation=id_, disappear=60)).code == "forbidden"
        assert len((await requests(ben))[0]["messages"]) == 3
        await ben.call("request.accept", conversation=id_)
        assert (await ann.send(id_, "4"))["seq"] == 4


@covers("request.decline")
async def test_a_decline_looks_like_silence(daemon: Daemon) -> None:
    async with request(daemon) as (ann, ben, id_), daemon.people(1) as (eve,):
        await eve.call("user.settings", allow_messages="nobody")
        silent = (await ann.call("conversation.open", user=eve.user)).conversation.id
        cursor = (await ann.call("session.sync"))["cursor"]
        for _ in range(2):
            assert (await ben.call("request.decline", conversation=id_))["t"] == "ok"
        synced = await ann.call("session.sync", cursor=cursor)
        assert (synced["conversations"], synced["own"]) == ([], False)
        assert await requests(ben) == []
        assert [one["conversation"] for one in await requests(ben, declined=True)] == [id_]

        async def seen(conversation: str, user: str) -> list[object]:
            await ann.send(conversation, "are you there?")
            opened = await ann.call("conversation.open", user=user)
            view = opened.conversation
            names = ("kind", "member_count", "seq", "rev", "info_rev", "unread", "mentions", "joining")
            refusals = [
                (await ann.refused("member.remove", conversation=conversation, user=user)).code,
                (await ann.refused("report.create", conversation=conversation, user=user, reason="spam")).code,
            ]
            return [view["requested"] == user, opened["created"], *(view.get(name) for name in names), *refusals]

        assert await seen(id_, ben.user) == await seen(silent, eve.user)
        # The recipient may think better of it.
        assert (await ben.call("request.accept", conversation=id_)).conversation["seq"] == 1


@covers("request.block")
async def test_a_block_does_not_show_either(daemon: Daemon) -> None:
    async with request(daemon) as (ann, ben, id_):
        await ann.send(id_, "hello")
        cursor = (await ann.call("session.sync"))["cursor"]
        await ben.call("request.block", conversation=id_)
        synced = await ann.call("session.sync", cursor=cursor)
        assert (synced["conversations"], synced["own"]) == ([], False)
        assert [one["user"] for one in (await ben.call("block.list"))["items"]] == [ann.user]
        assert (await ann.send(id_, "hello?"))["seq"] == 2
        assert (await ann.call("conversation.open", user=ben.user)).conversation["requested"] == ben.user
        assert await requests(ben) == await requests(ben, declined=True) == []
        assert (await ben.refused("request.accept", conversation=id_)).code == "blocked"


async def test_a_request_of_a_blocked_user_is_not_shown(daemon: Daemon) -> None:
    async with daemon.people(3) as (ann, ben, eve):
        await ben.call("user.settings", allow_messages="contacts", allow_groups="contacts")
        await ben.call("user.block", user=ann.user)
        opened = await ann.call("conversation.open", user=ben.user)
        assert (opened["created"], opened.conversation["requested"]) == (True, ben.user)
        made = await ann.call("conversation.create", members=[ben.user, eve.user])
        assert made["invited"] == [ben.user]
        assert await requests(ben) == []
        with trio.move_on_after(0.5):
            raise AssertionError(await ben.event("request.new"))
        # Where no request is needed, a block is refused as ever.
        assert (await ann.refused("conversation.open", user=NOBODY)).code == "not_found"
        await ben.call("user.settings", allow_messages="everybody", allow_groups="everybody")
        assert (await ann.refused("member.add", conversation=made.conversation.id, users=[ben.user])).code == "blocked"


@covers("request.accept", "not_found", "blocked")
@covers("request.decline", "not_found")
@covers("request.block", "not_found")
@covers("request.withdraw", "not_found")
async def test_requests_of_others_cannot_be_answered(daemon: Daemon) -> None:
    async with request(daemon) as (ann, ben, id_), daemon.people(1) as (eve,):
        for command in ("request.accept", "request.decline", "request.block"):
            assert (await eve.refused(command, conversation=id_)).code == "not_found"
            assert (await eve.refused(command, conversation=NOBODY)).code == "not_found"
        for command in ("request.decline", "request.block"):
            assert (await ann.refused(command, conversation=id_)).code == "not_found"
        for person in (ben, eve):
            assert (await person.refused("request.withdraw", conversation=id_, user=ben.user)).code == "not_found"
        assert (await ann.refused("request.withdraw", conversation=id_, user=eve.user)).code == "not_found"
        await ben.call("user.block", user=ann.user)
        assert (await ben.refused("request.accept", conversation=id_)).code == "blocked"


@covers("request.withdraw")
async def test_a_request_is_withdrawn_and_sent_again(daemon: Daemon) -> None:
    async with request(daemon) as (ann, ben, id_):
        await ben.event("request.new")
        for _ in range(2):
            await ann.call("request.withdraw", conversation=id_, user=ben.user)
        assert await requests(ben) == []
        assert (await ben.refused("request.accept", conversation=id_)).code == "not_found"
        assert (await ben.refused("request.decline", conversation=id_)).code == "not_found"
        assert not (await ann.call("conversation.open", user=ben.user))["created"]
        await ben.event("request.new")
        await ben.call("request.decline", conversation=id_)
        # Withdrawn and sent again, it stays declined.
        await ann.call("request.withdraw", conversation=id_, user=ben.user)
        await ann.call("conversation.open", user=ben.user)
        assert await requests(ben) == []


async def test_to_open_the_conversation_accepts_the_request(daemon: Daemon) -> None:
    async with request(daemon) as (ann, ben, id_):
        await ann.call("user.settings", allow_messages="nobody")
        opened = await ben.call("conversation.open", user=ann.user)
        assert (opened.conversation.id, opened.conversation["requested"]) == (id_, None)
        await ann.event("member.update")


@pytest.mark.parametrize("answers", [("accept", "accept"), ("accept", "decline"), ("decline", "decline")])
async def test_answers_of_two_devices_at_once(daemon: Daemon, answers: tuple[str, str]) -> None:
    async with request(daemon) as (ann, ben, id_), daemon.connected(ben.account) as phone:
        outcomes: list[str] = []

        async def answer(person: Person, name: str) -> None:
            try:
                await person.call(f"request.{name}", conversation=id_)
                outcomes.append("ok")
            except Refused as refused:
                outcomes.append(refused.code)

        async with trio.open_nursery() as nursery:
            for person, name in zip((ben, phone), answers, strict=True):
                nursery.start_soon(answer, person, name)
        members = (await ann.call("conversation.get", conversation=id_)).conversation["member_count"]
        assert members == (2 if "accept" in answers else 1)
        assert sorted(outcomes) in [["ok", "ok"], ["not_found", "ok"]]


async def test_two_users_who_ask_each_other_at_once(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben):
        for person in (ann, ben):
            await person.call("user.settings", allow_messages="nobody")
        opened: list[Reply] = []

        async def open_with(one: Person, other: Person) -> None:
            opened.append(await one.call("conversation.open", user=other.user))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_with, ann, ben)
            nursery.start_soon(open_with, ben, ann)
        assert opened[0].conversation.id == opened[1].conversation.id
        view = (await ann.call("conversation.get", conversation=opened[0].conversation.id)).conversation
        assert (view["requested"], view["member_count"]) == (None, 2)


async def test_a_block_and_an_acceptance_at_the_same_time(daemon: Daemon) -> None:
    """Whatever the order of the two, nobody writes past the block."""
    for _ in range(5):
        async with request(daemon) as (ann, ben, id_), daemon.connected(ben.account) as phone:
            codes: list[str] = []

            async def accept(person: Person, conversation: str, codes: list[str]) -> None:
                try:
                    await person.call("request.accept", conversation=conversation)
                    codes.append("ok")
                except Refused as refused:
                    codes.append(refused.code)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(accept, phone, id_, codes)
                nursery.start_soon(partial(ben.call, "user.block", user=ann.user))
            if codes == ["ok"]:
                assert (await ann.refused("message.send", **message(id_))).code == "blocked"
            else:
                assert codes == ["blocked"]
                assert (await ann.send(id_))["seq"] == 1


def message(conversation: str) -> dict[str, str]:
    return {"conversation": conversation, "client_id": str(uuid4()), "text": "hello"}


async def test_requests_are_listed_in_pages(daemon: Daemon) -> None:
    async with daemon.people(4) as (ben, *others):
        await ben.call("user.settings", allow_messages="nobody")
        ids = [(await one.call("conversation.open", user=ben.user)).conversation.id for one in others]
        found, cursor = [], None
        for _ in range(3):
            page = await ben.call("request.list", limit=1, **({"cursor": cursor} if cursor else {}))
            found, cursor = [*found, *(one["conversation"] for one in page["items"])], page["cursor"]
        assert (found, cursor) == (sorted(ids, reverse=True), None)
