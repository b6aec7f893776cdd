"""Sending and reading messages."""

from time import time
from typing import Any
from uuid import uuid4

import pytest

from chatd.core.clock import now_ms
from chatd.db.postgres import Postgres
from tests.conversations.test_groups import group
from tests.files import picture, stored
from tests.support import NOBODY, Daemon, covers, poll_until, shared

daemon = shared


@covers("message.send")
@covers("message.history")
async def test_message_is_acked_delivered_and_stored(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        ack = await alice.send(conversation, "hi", client_id="one", meta={"mood": 1.5})
        event = await bob.event("message.new")
        assert (ack.status, ack.duplicate, ack.seq, ack.client_id) == ("sent", False, 1, "one")
        assert event["rev"] == ack.rev == event["message"]["rev"]
        assert event["message"] == {
            "id": ack.message, "seq": 1, "rev": ack.rev, "sender": alice.user, "client_id": "one", "text": "hi",
            "attachments": [], "reply_to": None, "created_at": ack.created_at, "meta": {"mood": 1.5},
        }  # fmt: skip
        history = await bob.call("message.history", conversation=conversation)
        assert history["items"] == [event["message"]]
        assert history["more"] is False


async def test_sender_gets_an_ack_and_the_other_device_an_event(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, conversation), daemon.connected(alice.account) as tablet:
        await alice.send(conversation)
        assert (await tablet.event("message.new"))["message"]["sender"] == alice.user
        await alice.is_served()
        assert [event["t"] for event in alice.events] == []


async def test_repeated_send_returns_the_same_ack(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        first = await alice.send(conversation, "hi", client_id="one")
        again = await alice.send(conversation, "hi", client_id="one")
        assert again == {**first, "duplicate": True}
        over_rest = await daemon.rest(
            "POST",
            f"/v1/conversations/{conversation}/messages",
            {"client_id": "one", "text": "hi"},
            alice.account.access_token,
        )
        assert over_rest.body == again
        await alice.send(conversation, "next")
        assert [(await bob.event("message.new"))["message"]["seq"] for _ in range(2)] == [1, 2]
        assert len((await bob.call("message.history", conversation=conversation))["items"]) == 2


async def test_repeated_send_is_acked_although_its_references_are_deleted(
    daemon: Daemon,
) -> None:
    """A client that has lost the ack and gets `not_found` would assume that the message was never sent."""
    async with group(daemon) as (id_, (ann, ben, eve)):
        token = ben.account.access_token
        upload = (await stored(daemon, token, picture()))["id"]
        quoted = (await ann.send(id_, "first")).message
        direct = (await ben.call("conversation.open", user=eve.user)).conversation.id
        commands: list[tuple[str, dict[str, Any]]] = [
            ("message.send", {"conversation": id_, "client_id": "r", "text": "yes", "reply_to": quoted}),
            (
                "message.send",
                {"conversation": id_, "client_id": "u", "text": "look", "attachments": [{"upload": upload}]},
            ),
            ("message.forward", {"conversation": direct, "client_id": "f", "source": id_, "message": quoted}),
        ]
        first = [await ben.call(name, **fields) for name, fields in commands]
        await ann.call("message.delete", conversation=id_, message=quoted)
        assert (await ben.call(commands[2][0], **commands[2][1])) == {**first[2], "duplicate": True}
        await ann.call("member.remove", conversation=id_, user=ben.user)
        assert (await daemon.rest("DELETE", f"/v1/uploads/{upload}", token=token)).status == 200
        again = [await ben.call(name, **fields) for name, fields in commands]
        assert again == [{**ack, "duplicate": True} for ack in first]
        for name, fields in commands:
            assert (await ben.refused(name, **{**fields, "client_id": "new"})).code == "not_found"


@covers("message.send", "conflict")
async def test_client_id_is_valid_in_one_conversation(daemon: Daemon) -> None:
    async with daemon.people(3) as (alice, bob, carol):
        one = (await alice.call("conversation.open", user=bob.user)).conversation.id
        two = (await alice.call("conversation.open", user=carol.user)).conversation.id
        await alice.send(one, client_id="x")
        assert (await alice.refused("message.send", conversation=two, client_id="x", text="hi")).code == "conflict"
        assert (await bob.send(one, client_id="x")).duplicate is False


@covers("message.send", "not_found")
@covers("message.history", "not_found")
async def test_non_member_gets_not_found(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, conversation), daemon.person() as stranger:
        await alice.send(conversation)
        for id_ in (conversation, NOBODY):
            send = await stranger.refused("message.send", conversation=id_, client_id="x", text="hi")
            read = await stranger.refused("message.history", conversation=id_)
            assert (send.code, read.code) == ("not_found", "not_found")
        reply = await alice.refused(
            "message.send", conversation=conversation, client_id="y", text="hi", reply_to=NOBODY
        )
        assert reply.code == "not_found"


@covers("message.send", "too_large")
async def test_empty_and_too_long_messages_are_refused(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, conversation):
        empty = await alice.refused("message.send", conversation=conversation, client_id="x")
        long = await alice.refused("message.send", conversation=conversation, client_id="x", text="é" * 8193)
        assert (empty.code, long.code) == ("bad_request", "too_large")
        assert (await alice.send(conversation, "é" * 8192)).seq == 1


LINK = {"type": "link", "url": "https://x.example/" + "y" * 900}


@covers("message.schedule", "too_large")
@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"meta": {"x": "x" * 8184}}, True),
        ({"meta": {"x": "x" * 8185}}, False),
        ({"meta": {"x": "é" * 4093}}, False),
        ({"meta": {str(number): "x" * 100 for number in range(80)}}, False),
        ({"meta": {"x": "x" * 4200}, "attachments": [LINK] * 5}, False),
        ({"attachments": [LINK] * 10}, False),
    ],
)
async def test_meta_and_attachments_are_bounded_together(daemon: Daemon, fields: dict[str, Any], fits: bool) -> None:
    """For sent and scheduled messages; in both codecs the size as JSON counts."""
    async with daemon.pair() as (alice, bob, conversation):
        for person in (alice, bob):
            if fits:
                await person.send(conversation, **fields)
                continue
            message = {"conversation": conversation, "client_id": str(uuid4()), "text": "x", **fields}
            assert (await person.refused("message.send", **message)).code == "too_large"
            assert (await person.refused("message.schedule", at=now_ms() + 60_000, **message)).code == "too_large"


async def test_reply_requires_a_message_of_the_same_conversation(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        first = await alice.send(conversation)
        await bob.send(conversation, "yes", reply_to=first.message)
        await alice.event("message.new")
        items = (await alice.call("message.history", conversation=conversation))["items"]
        assert items[1]["reply_to"] == first.message


NOBODY_MAY_SAY = """
create or replace function send_refusal(p_role text, p_kind text, p_announce boolean, p_blocked boolean, p_everybody boolean)
returns text language sql immutable parallel safe as $$ select 'forbidden' $$
"""


async def test_permission_to_write_is_decided_in_the_database(own_daemon: Daemon, db: Postgres) -> None:
    """All commands that publish new text use the one SQL function, within their own transactions."""
    async with own_daemon.pair() as (alice, _, conversation):
        place = {"conversation": conversation, "message": (await alice.send(conversation, "before"))["message"]}
        await db.run(NOBODY_MAY_SAY)
        forward = {"source": conversation, "message": place["message"], "client_id": "2"}
        for command, fields in {
            "message.send": {"conversation": conversation, "client_id": "1", "text": "after"},
            "message.forward": {"conversation": conversation, **forward},
            "message.edit": {**place, "text": "after"},
        }.items():
            assert (await alice.refused(command, **fields)).code == "forbidden", command
        soon = round(time() * 1000) + 100
        await alice.call("message.schedule", conversation=conversation, client_id="3", text="after", at=soon)
        await poll_until(lambda: alice.call("schedule.list"), lambda found: found["items"][0].get("failed"))
        history = (await alice.call("message.history", conversation=conversation))["items"]
        assert [one["text"] for one in history] == ["before"]


async def test_history_is_paged_in_both_directions(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, conversation):
        for number in range(7):
            await alice.send(conversation, str(number))

        async def page(**fields: int) -> tuple[list[int], bool]:
            found = await alice.call("message.history", conversation=conversation, limit=3, **fields)
            return [item["seq"] for item in found["items"]], found["more"]

        assert await page() == ([5, 6, 7], True)
        assert await page(before=5) == ([2, 3, 4], True)
        assert await page(before=2) == ([1], False)
        assert await page(after=0) == ([1, 2, 3], True)
        assert await page(after=6) == ([7], False)
        assert (
            await alice.refused("message.history", conversation=conversation, before=3, after=1)
        ).code == "bad_request"


async def test_text_in_any_script_is_returned_unchanged(daemon: Daemon) -> None:
    texts = ["👩‍👩‍👧‍👦", "\u202eRTL", "e" + "\u0301" * 500, "\ud55c\uae00 ไทย \u200d", "a\nb\tc\x07"]
    async with daemon.pair() as (alice, bob, conversation):
        for text in texts:
            await alice.send(conversation, text)
            assert (await bob.event("message.new"))["message"]["text"] == text
        items = (await bob.call("message.history", conversation=conversation))["items"]
        assert [item["text"] for item in items] == texts
