"""Blocking: what a blocked user can no longer do, and that the block is not disclosed."""

from contextlib import suppress
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from chatd.app.registry import Guard
from chatd.client import Refused, sign_up
from chatd.conversations.settings import ConversationLimits
from chatd.core.config import Config, PostgresSection
from chatd.db.postgres import open_postgres
from chatd.matching.matches import Matches
from chatd.subsystems import load_registry
from chatd.wire.reference.examples import example_body
from tests.cluster.test_two_nodes import nodes
from tests.conversations.test_groups import group
from tests.reply import Reply
from tests.support import NOBODY, PATIENCE, Daemon, Person, covers, running, shared

daemon = shared


@covers("user.block")
@covers("user.unblock")
@covers("block.list")
@covers("message.send", "blocked")
@covers("conversation.open", "blocked")
async def test_blocked_user_cannot_write_type_or_open(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.connected(bob.account) as tablet:
        await alice.send(conversation, "before")
        for _ in range(2):
            await bob.call("user.block", user=alice.user)
        await tablet.event("session.behind")
        assert [one["user"] for one in (await tablet.call("block.list"))["items"]] == [alice.user]
        before = len(bob.log)
        refused = await alice.refused("message.send", conversation=conversation, client_id="x", text="hello?")
        assert refused.code == "blocked"
        assert (
            await bob.refused("message.send", conversation=conversation, client_id="y", text="no")
        ).code == "blocked"
        await alice.call("typing.start", conversation=conversation)
        assert (await alice.refused("conversation.open", user=bob.user)).code == "blocked"
        assert (await bob.call("conversation.open", user=alice.user))["created"] is False
        await bob.is_served()
        assert not [body for kind, body in list(bob.log)[before:] if kind == "event" and body["t"] != "session.behind"]
        assert (await alice.call("message.history", conversation=conversation))["items"][0]["text"] == "before"
        await bob.call("user.unblock", user=alice.user)
        await alice.send(conversation, "again")
        await alice.call("typing.start", conversation=conversation)
        await bob.event("typing.start")


@covers("user.block", "not_found")
@covers("user.unblock", "not_found")
async def test_block_is_refused(daemon: Daemon) -> None:
    async with daemon.people(2) as (alice, bob):
        assert (await alice.refused("user.block", user=NOBODY)).code == "not_found"
        assert (await alice.refused("user.block", user=alice.user)).code == "bad_request"
        assert (await alice.refused("user.unblock", user=bob.user)).code == "not_found"


async def test_mutual_block_ends_when_both_unblock(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        await alice.call("user.block", user=bob.user)
        await bob.call("user.block", user=alice.user)
        await alice.call("user.unblock", user=bob.user)
        assert (
            await alice.refused("message.send", conversation=conversation, client_id="x", text="hi")
        ).code == "blocked"
        await bob.call("user.unblock", user=alice.user)
        await alice.send(conversation, "friends")


@covers("conversation.create", "blocked")
@covers("member.add", "blocked")
async def test_blocked_user_cannot_add_the_blocker_to_a_group(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, eve)):
        await ben.call("user.block", user=ann.user)
        await ann.send(id_, "still heard")
        assert (await ben.event("message.new"))["message"]["text"] == "still heard"
        # Each sees of the other what every member sees: what is missing would reveal the block.
        for one, other in ((ann, ben), (ben, ann)):
            await one.call("typing.start", conversation=id_)
            assert (await other.event("typing.start"))["user"] == one.user
            sent = await other.send(id_)
            await one.call("receipt.read", conversation=id_, seq=sent["seq"])
            assert (await other.event("message.read"))["user"] == one.user
        assert (await ann.refused("conversation.create", members=[ben.user, eve.user])).code == "blocked"
        other = (await ann.call("conversation.create", members=[eve.user])).conversation.id
        assert (await ann.refused("member.add", conversation=other, users=[ben.user])).code == "blocked"


async def test_a_block_by_alias_ends_the_match_of_the_two(own_daemon: Daemon) -> None:
    async with own_daemon.people(2) as (alice, bob):
        for person in (alice, bob):
            await person.call("match.find")
        await alice.event("match.found")
        found = await bob.event("match.found")
        await bob.call("user.block", user=found["partner"]["id"])
        assert (await alice.event("match.ended"))["reason"] == "left"


async def test_typing_stays_blocked_after_a_reconnection(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        await bob.call("user.block", user=alice.user)
        async with daemon.connected(bob.account) as tablet, daemon.connected(alice.account) as phone:
            await phone.call("typing.start", conversation=conversation)
            await tablet.is_served()
            assert not [event for event in tablet.events if event["t"] == "typing.start"]


async def test_block_applies_although_the_match_cannot_be_ended_yet(
    own_daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with own_daemon.pair() as (alice, bob, conversation):

        async def fail(*_: object) -> None:
            raise Refused("unavailable")

        with monkeypatch.context() as patch:
            patch.setattr(Matches, "active", fail)
            assert (await bob.refused("user.block", user=alice.user)).code == "unavailable"
        await alice.call("typing.start", conversation=conversation)
        await bob.call("user.block", user=alice.user)
        assert not [event for event in bob.events if event["t"] == "typing.start"]


@covers("message.edit", "blocked")
@covers("reaction.add", "blocked")
@covers("message.pin", "blocked")
@covers("conversation.edit", "blocked")
async def test_blocked_user_can_delete_but_not_edit_earlier_messages(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        fields = {"conversation": conversation, "message": (await alice.send(conversation)).message}
        await bob.call("reaction.add", emoji="👍", **fields)
        await bob.call("user.block", user=alice.user)
        assert (await alice.refused("message.edit", text="and another thing", **fields)).code == "blocked"
        assert (await alice.refused("reaction.add", emoji="👎", **fields)).code == "blocked"
        assert (await alice.refused("message.pin", **fields)).code == "blocked"
        assert (await alice.refused("conversation.edit", conversation=conversation, disappear=5)).code == "blocked"
        await bob.call("reaction.remove", emoji="👍", **fields)
        await alice.call("message.delete", **fields)


async def test_simultaneous_block_and_unblock_leave_a_consistent_state(own_daemon: Daemon) -> None:
    async with (
        own_daemon.pair() as (alice, bob, conversation),
        open_postgres(own_daemon.config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db,
    ):
        for number in range(12):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(try_it, alice, "user.block" if number % 2 else "user.unblock", bob.user)
                nursery.start_soon(try_it, bob, "user.unblock" if number % 3 else "user.block", alice.user)
            blocks = await db.value("select count(*) from blocks")
            assert await db.value("select blocked from conversations where id = $1", conversation) == (blocks > 0)


async def try_it(person: Person, command: str, user: str) -> None:
    with suppress(Refused):
        await person.call(command, user=user)


async def test_user_blocked_while_searching_is_not_matched(own_daemon: Daemon) -> None:
    async with own_daemon.people(3) as (alice, bob, eve):
        await alice.call("match.find", tags=["tea"])
        await alice.call("user.block", user=bob.user)
        await bob.call("match.find", tags=["tea"])
        await eve.call("match.find", tags=["tea"])
        await alice.found(eve)
        await eve.call("match.leave")
        await alice.event("match.ended")
        await alice.call("match.find")
        assert (await bob.call("match.status"))["waiting"] >= 1
        assert not [event for event in bob.events if event["t"] == "match.found"]


# What the blocked one can ask of the conversation and the people in it, with the answers that must not change.
QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("conversation.get", {}),
    ("member.list", {}),
    ("message.history", {}),
    ("conversation.sync", {"rev": 0}),
    ("presence.count", {}),
]


async def all_answers(
    person: Person, daemon: Daemon, conversation: str, other: str, messages: list[str], place: Reply
) -> list[Any]:
    """All answers about a conversation and its other member: over WebSocket, REST, sync and export."""
    found: list[Any] = [
        await person.call(command, conversation=conversation, **fields) for command, fields in QUESTIONS
    ]
    found += [await person.call("message.receipts", conversation=conversation, message=message) for message in messages]
    found.append((await person.call("conversation.list"))["items"])
    found.append(await person.call("conversation.sync", conversation=conversation, rev=place["rev"]))
    found.append((await person.call("presence.query", users=[other]))["items"])
    found.append(await person.call("unread.total"))
    state = await person.call("session.sync")
    found.append((state["conversations"], state["gone"], state["marks"]))
    for path in (f"/v1/conversations/{conversation}", f"/v1/conversations/{conversation}/members"):
        found.append((await daemon.rest("GET", path, token=person.account.access_token)).body)
    return found


@pytest.mark.parametrize("by_blocked", [False, True])
async def test_receipts_are_private_during_a_block(config: Config, by_blocked: bool) -> None:
    """Whichever of the two blocks, neither sees how far the other has read, on any node and by any command."""
    async with nodes(config) as (one, two), one.person("reader") as reader, two.person("asker", "msgpack") as asker:
        conversation = (await asker.call("conversation.open", user=reader.user))["conversation"]["id"]
        messages = [(await asker.send(conversation, f"{number}"))["message"] for number in range(4)]
        await reader.call("receipt.read", conversation=conversation, seq=1)
        await reader.call("receipt.delivered", conversation=conversation, seq=2)
        while (await asker.event("message.delivered"))["seq"] < 2:
            pass
        blocker, blocked = (asker, reader) if by_blocked else (reader, asker)
        await blocker.call("user.block", user=blocked.user)
        place = (await asker.call("conversation.get", conversation=conversation))["conversation"]
        before = await all_answers(asker, two, conversation, reader.user, messages, place)
        seen_before = len(asker.log)
        async with one.connected(reader.account) as tablet:
            for kind, seq in (("delivered", 3), ("read", 2), ("read", 4)):
                await reader.call(f"receipt.{kind}", conversation=conversation, seq=seq)
            await reader.call("presence.set", status="away")
            await tablet.event("conversation.update")
            mine = (await tablet.call("conversation.get", conversation=conversation))["conversation"]
            assert (mine["read_seq"], mine["unread"]) == (4, 0)
            own = next(
                one
                for one in (await tablet.call("member.list", conversation=conversation))["items"]
                if one["user"] == reader.user
            )
            assert (own["read_seq"], own["delivered_seq"]) == (4, 4)
        assert await all_answers(asker, two, conversation, reader.user, messages, place) == before
        assert not [body for kind, body in list(asker.log)[seen_before:] if kind == "event"]
        await blocker.call("user.unblock", user=blocked.user)
        assert (await member_of(asker, conversation, reader))["read_seq"] == 1
        await asker.send(conversation, "friends")
        await reader.event("message.new")
        await reader.call("receipt.read", conversation=conversation, seq=5)
        assert (await asker.event("message.read"))["seq"] == 5
        assert (await member_of(asker, conversation, reader))["read_seq"] == 5


async def member_of(asker: Person, conversation: str, member: Person) -> dict[str, Any]:
    items = (await asker.call("member.list", conversation=conversation))["items"]
    return next(one for one in items if one["user"] == member.user)


async def test_blocked_and_unknown_conversations_look_the_same_to_non_members(daemon: Daemon) -> None:
    """With every command that names a conversation."""
    async with daemon.pair() as (alice, bob, conversation), daemon.person("eve") as eve:
        message = (await alice.send(conversation))["message"]
        await alice.call("user.block", user=bob.user)
        commands = [row.command for row in load_registry().commands.values() if row.guard in (Guard.USER, Guard.MEMBER)]
        asked = [kind for kind in commands if "conversation" in kind.__struct_fields__]
        assert len(asked) > 30
        for kind in asked:
            body = example_body(kind)
            body |= {name: message for name in ("message", "reply_to") if name in body}
            answers = []
            for id_ in (conversation, NOBODY):
                try:
                    answers.append(await eve.link.call({**body, "conversation": id_}))
                except Refused as refused:
                    answers.append((refused.code, refused.message))
            assert answers[0] == answers[1], body["t"]
        joined = [(await eve.refused("conversation.join", conversation=id_)).code for id_ in (conversation, NOBODY)]
        assert joined == ["not_found", "not_found"]


@covers("user.block", "too_large")
async def test_blocks_of_a_user_are_bounded(config: Config) -> None:
    async with (
        running(config.using(replace(config.get(ConversationLimits), blocks_per_user=2))) as daemon,
        daemon.person() as alice,
    ):
        others = [(await sign_up(daemon.addresses.http)).user for _ in range(4)]
        refused: list[str] = []

        async def block(user: str) -> None:
            answer = await daemon.rest("PUT", f"/v1/blocks/{user}", token=alice.account.access_token)
            if answer.status != 200:
                refused.append(answer.body["code"])

        async with trio.open_nursery() as nursery:
            for user in others:
                nursery.start_soon(block, user)
        assert refused == ["too_large"] * 2
        blocked = [item["user"] for item in (await alice.call("block.list"))["items"]]
        assert len(blocked) == 2
        await alice.call("user.block", user=blocked[0])
        await alice.call("user.unblock", user=blocked[0])
        await alice.call("user.block", user=next(user for user in others if user not in blocked))
