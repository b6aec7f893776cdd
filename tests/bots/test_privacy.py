"""A bot in a group with `reads = "commands"` learns nothing of what does not concern it, on any path.

The commands are those of the registry that bots may use, so a new one fails here until it is tried; every event is
judged in `chatd/bots/visibility.py`.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import to_builtins

import chatd
from chatd.bots.rules import ALLOWED, READING, WRITING
from chatd.bots.visibility import EVENTS, Judgement, judgement_of, placeholder, places_in, shown
from chatd.client import Refused
from chatd.conversations.entities import Message
from chatd.core.ids import NIL
from chatd.db.postgres import Postgres
from chatd.subsystems import load_registry
from chatd.wire.reference.examples import example
from tests.bots.world import WEATHER, bots_of, group_of
from tests.examples import examples
from tests.files import PDF, fetched, stored
from tests.support import Daemon, Person, shared

daemon = shared
SECRET = "xylophone"


@dataclass
class Room:
    """A group with a bot, and messages that do not concern the bot."""

    alice: Person
    bob: Person
    bot: Person
    group: str
    hidden: list[Any] = field(default_factory=list)
    poll: str = ""
    thread: str = ""
    own: str = ""
    file: str = ""

    @property
    def messages(self) -> list[str]:
        return [one["message"] for one in self.hidden]


async def furnish(room: Room) -> None:
    """Send messages of every kind that do not concern the bot."""
    alice, bob, group = room.alice, room.bob, room.group
    room.own = (await room.bot.send(group, "I am a bot"))["message"]
    first = await alice.send(group, f"{SECRET} one", meta={"note": SECRET})
    reply = await bob.send(group, f"{SECRET} two", reply_to=first["message"])
    in_thread = await bob.send(group, f"{SECRET} three", thread=first["message"])
    named = await alice.send(group, f"{SECRET} four", mentions=[bob.user], everybody=True)
    link = await alice.send(group, None, attachments=[{"type": "link", "url": f"https://{SECRET}.example"}])
    poll = await alice.call(
        "poll.create", conversation=group, client_id=str(uuid4()), question=f"{SECRET}?", options=[SECRET, "no"]
    )
    pinned = await alice.send(group, f"{SECRET} five")
    await alice.call("message.pin", conversation=group, message=pinned["message"])
    await bob.call("reaction.add", conversation=group, message=first["message"], emoji="\U0001f98a")
    await bob.call("poll.vote", conversation=group, message=poll["message"], options=[0])
    await alice.call("message.edit", conversation=group, message=pinned["message"], text=f"{SECRET} six")
    gone = await alice.send(group, f"{SECRET} seven")
    await alice.call("message.delete", conversation=group, message=gone["message"])
    unknown = await alice.send(group, f"/unknown {SECRET}")
    attached = await alice.send(group, None, attachments=[{"type": "file", "upload": room.file}])
    room.hidden = [first, reply, in_thread, named, link, poll, pinned, unknown, attached]
    room.poll, room.thread = poll["message"], first["message"]


Attempt = Callable[[Room], Awaitable[list[dict[str, Any]]]]


async def each(room: Room, command: str, **fields: Any) -> list[dict[str, Any]]:
    """A command about each of the hidden messages."""
    return [{"t": command, "conversation": room.group, "message": one, **fields} for one in room.messages]


def once(command: str, **fields: Any) -> Attempt:
    async def attempt(room: Room) -> list[dict[str, Any]]:
        return [{"t": command, **fields}]

    return attempt


def here(command: str, **fields: Any) -> Attempt:
    async def attempt(room: Room) -> list[dict[str, Any]]:
        return [{"t": command, "conversation": room.group, **fields}]

    return attempt


def of_each(command: str, **fields: Any) -> Attempt:
    return lambda room: each(room, command, **fields)


def sending(**more: str) -> Attempt:
    """Messages that refer to a hidden one."""

    async def attempt(room: Room) -> list[dict[str, Any]]:
        common = {"t": "message.send", "conversation": room.group, "text": "x"}
        return [
            {**common, "client_id": str(uuid4()), name: message}
            for message in room.messages
            for name in ("reply_to", "thread")
        ]

    return attempt


def of_file(command: str, name: str) -> Attempt:
    """A command about the file in a hidden message."""

    async def attempt(room: Room) -> list[dict[str, Any]]:
        return [{"t": command, name: [room.file] if name == "uploads" else room.file}]

    return attempt


async def threads(room: Room) -> list[dict[str, Any]]:
    return [{"t": "thread.history", "conversation": room.group, "thread": one} for one in room.messages]


async def users(room: Room) -> list[dict[str, Any]]:
    return [{"t": "user.get", "user": room.alice.user}, {"t": "user.query", "users": [room.alice.user]}]


# By the command, what a bot tries. Refused or answered, no answer has the secret.
ATTEMPTS: dict[str, Attempt] = {
    "session.sync": once("session.sync"),
    "conversation.sync": here("conversation.sync", rev=0),
    "conversation.get": here("conversation.get"),
    "conversation.list": once("conversation.list"),
    "conversation.open": once("conversation.open", user=NIL),
    "message.history": here("message.history"),
    "thread.history": threads,
    "message.pins": here("message.pins"),
    "reaction.list": of_each("reaction.list"),
    "message.receipts": of_each("message.receipts"),
    "poll.voters": of_each("poll.voters", option=0),
    "member.list": here("member.list"),
    "me.get": once("me.get"),
    "user.get": users,
    "user.query": users,
    "upload.info": of_file("upload.info", "upload"),
    "upload.sign": of_file("upload.sign", "uploads"),
    "bot.commands.get": once("bot.commands.get"),
    "message.send": sending(),
    "message.edit": of_each("message.edit", text="x"),
    "message.delete": of_each("message.delete"),
    "message.pin": of_each("message.pin"),
    "message.unpin": of_each("message.unpin"),
    "reaction.add": of_each("reaction.add", emoji="\U0001f44d"),
    "reaction.remove": of_each("reaction.remove", emoji="\U0001f44d"),
    "poll.create": here("poll.create", client_id="p", question="q?", options=["a", "b"]),
    "poll.close": of_each("poll.close"),
    "receipt.delivered": here("receipt.delivered", seq=1),
    "receipt.read": here("receipt.read", seq=1),
    "typing.start": here("typing.start"),
    "typing.stop": here("typing.stop"),
    "conversation.edit": here("conversation.edit", title="x"),
    "member.remove": here("member.remove", user=NIL),
    "user.update": once("user.update", status_text="here"),
    "upload.delete": once("upload.delete", upload=NIL),
    "auth.refresh": once("auth.refresh", token="x"),
    "ping": once("ping", ts=1),
    "bot.commands.set": once("bot.commands.set", commands=[]),
    "bot.actions": once("bot.actions"),
    "bot.notify": once("bot.notify", action=NIL, text="x"),
    "bot.ack": once("bot.ack", actions=[NIL]),
    # At the end: the bot is no member afterwards.
    "conversation.leave": here("conversation.leave"),
}
# Commands about a hidden message are refused, as if there was none.
BLIND = {
    *("reaction.list", "message.receipts", "poll.voters", "message.edit", "reaction.add", "reaction.remove"),
    *("poll.close", "thread.history", "message.send", "upload.info"),
}


def test_every_command_that_bots_may_use_is_tried() -> None:
    tags = {row.tag for row in load_registry().commands.values()}
    assert set(ATTEMPTS) == ALLOWED
    assert not READING & WRITING
    assert tags >= ALLOWED


def test_every_event_is_judged() -> None:
    events = set(load_registry().events)
    assert events - set(EVENTS) == set(), "judge the event in chatd/bots/visibility.py"
    assert set(EVENTS) <= events


async def test_no_path_shows_what_does_not_concern_a_bot(daemon: Daemon) -> None:
    bots = await bots_of(daemon)
    async with daemon.pair() as (alice, bob, _), bots.connected(WEATHER) as bot:
        room = Room(alice, bob, bot, await group_of(alice, bob, bot))
        await alice.call("member.role", conversation=room.group, user=bot.user, role="admin")
        uploaded = await stored(daemon, alice.account.access_token, PDF, name=f"{SECRET}.pdf")
        room.file = uploaded["id"]
        await furnish(room)
        for command, attempt in ATTEMPTS.items():
            for body in await attempt(room):
                try:
                    answer = await bot.call(body.pop("t"), **body)
                except Refused as refused:
                    assert refused.code != "internal"
                    answer = refused.message
                else:
                    assert command not in BLIND
                assert SECRET not in json.dumps(answer), command
            if command == "conversation.edit":
                for token, status in ((bob.account.access_token, 200), (bot.account.access_token, 404)):
                    assert (await fetched(daemon, token, room.file)).status == status
        assert (await alice.send(room.group, f"{SECRET} last"))["seq"]
        for event in bot.events:
            assert SECRET not in json.dumps(event), event["t"]


async def test_other_commands_are_refused_to_bots(daemon: Daemon) -> None:
    bots = await bots_of(daemon)
    registry = load_registry()
    async with bots.connected() as bot:
        for tag in ("message.search", "match.find", "message.forward", "me.erase", "message.star", "thread.list"):
            assert any(row.tag == tag for row in registry.commands.values())
            assert tag not in ALLOWED
        for tag, fields in (("message.search", {"query": "x"}), ("match.find", {}), ("label.list", {})):
            assert (await bot.refused(tag, **fields)).code == "forbidden"
        assert (await bot.call("ping", ts=1))["ts"] == 1
        answer = await daemon.rest("GET", "/v1/search?query=x", token=bot.account.access_token)
        assert (answer.status, answer.body["code"]) == (403, "forbidden")


async def test_every_kind_of_session_decides_about_bots(daemon: Daemon) -> None:
    """A module that registers sessions filters those of bots, or refuses them."""
    package = Path(chatd.__file__).parent
    sources = {path: path.read_text(encoding="utf8") for path in package.rglob("*.py")}
    registering = {path.relative_to(package).as_posix() for path, text in sources.items() if "hub.register(" in text}
    assert registering == {"gateway/endpoint.py", "event_streams/service.py"}
    assert all("is_bot" in sources[package / name] for name in registering)
    account = await (await bots_of(daemon)).add()
    answer = await daemon.rest("GET", "/v1/events?wait=1", token=account.access_token)
    assert (answer.status, answer.body["code"]) == (403, "forbidden")


async def test_the_order_has_no_gaps_and_the_same_messages_live_as_read(daemon: Daemon) -> None:
    """What a bot receives and what it reads is the same, and complete in `seq` and `rev`."""
    bots = await bots_of(daemon)
    async with daemon.pair() as (alice, bob, _), bots.connected(WEATHER) as bot:
        group = await group_of(alice, bob, bot)
        await bot.event("conversation.update")
        for number in range(30):
            await (alice, bob)[number % 2].send(group, "/weather Porto" if number % 3 == 0 else f"{SECRET} {number}")
        await alice.send(group, "the end", mentions=[bot.user])
        live: list[Any] = []
        while not live or live[-1]["text"] != "the end":
            live.append((await bot.event("message.new"))["message"])
        assert [one["seq"] for one in live] == list(range(live[0]["seq"], live[0]["seq"] + 31))
        assert len({one["rev"] for one in live}) == 31
        read = (await bot.call("message.history", conversation=group, after=live[0]["seq"] - 1))["items"]
        assert [{**one, "mine": None} for one in read] == [{**one, "mine": None} for one in live]
        assert sum(one.get("concealed", False) for one in live) == 20


async def test_what_concerns_a_bot(daemon: Daemon) -> None:
    """Commands, mentions, replies and threads of its messages; not of other bots, and not after an edit."""
    bots = await bots_of(daemon)
    async with daemon.pair() as (alice, bob, _), bots.connected(WEATHER) as bot, bots.connected() as other:
        group = await group_of(alice, bob, bot, other)

        async def sees(message: str) -> bool:
            items = (await bot.call("message.history", conversation=group))["items"]
            return next(one for one in items if one["id"] == message).get("concealed") is None

        own = (await bot.send(group, "a question"))["message"]
        asked = (await alice.send(group, "not for the bot"))["message"]
        assert await sees((await alice.send(group, "/weather Porto"))["message"])
        assert await sees((await bob.send(group, "an answer", reply_to=own))["message"])
        assert await sees((await bob.send(group, "in its thread", thread=own))["message"])
        named = (await bob.send(group, "hey bot", mentions=[bot.user]))["message"]
        assert await sees(named)
        quoting = (await bob.send(group, "hey bot", reply_to=asked, mentions=[bot.user]))["message"]
        items = (await bot.call("message.history", conversation=group))["items"]
        assert "quote" not in next(one for one in items if one["id"] == quoting)
        assert not await sees((await bob.send(group, "hey all", everybody=False, mentions=[alice.user]))["message"])
        assert not await sees((await bob.send(group, "an answer", reply_to=asked))["message"])
        assert not await sees((await other.send(group, "hey bot", mentions=[bot.user]))["message"])
        assert not await sees((await other.send(group, "/weather Porto"))["message"])
        await bob.call("message.edit", conversation=group, message=named, text="never mind", mentions=[])
        assert not await sees(named)
        await alice.call("message.edit", conversation=group, message=asked, text="hey bot", mentions=[bot.user])
        assert await sees(asked)
        update = await bot.event("message.update")
        while update["message"]["id"] != asked:
            update = await bot.event("message.update")
        assert update["message"]["text"] == "hey bot"


async def test_a_bot_that_reads_all_and_one_in_a_direct_conversation(daemon: Daemon) -> None:
    bots = await bots_of(daemon)
    async with daemon.pair() as (alice, bob, _), bots.connected(reads="all") as bot, bots.connected() as other:
        group = await group_of(alice, bob, bot, other)
        await alice.send(group, "for all")
        assert (await bot.event("message.new"))["message"]["text"] == "for all"
        await other.send(group, "from a bot")
        assert (await bot.event("message.new"))["message"]["text"] == "from a bot"
        direct = (await alice.call("conversation.open", user=other.user)).conversation.id
        await alice.send(direct, "just us")
        while (message := (await other.event("message.new"))["message"])["text"] != "just us":
            assert message["concealed"]
        await bots.backend.done("PATCH", f"/bots/{bot.user}", {"reads": "commands"})
        await alice.send(group, "not any more")
        assert (await bot.event("message.new"))["message"]["concealed"]


async def test_every_part_of_a_concealed_message_is_empty(daemon: Daemon, store: Postgres) -> None:
    """Also those that are added to messages later: in the database, and in an event."""
    whole = to_builtins(example(Message))
    left = placeholder(whole)
    kept = {"id", "seq", "rev", "created_at", "deleted_at", "sender", "client_id", "concealed"}
    assert {name for name, value in left.items() if value not in (None, [])} <= kept
    assert (left["sender"], left["client_id"]) == (NIL, whole["id"])
    event = {"t": "message.new", "conversation": NIL, "rev": 1, "message": whole, "more": SECRET}
    assert shown(event, Judgement.MESSAGE, [True, True]) == {
        **{"t": "message.new", "conversation": NIL, "rev": 1},
        "message": left,
    }


ANY = st.recursive(st.integers() | st.text(max_size=5), lambda inner: st.dictionaries(st.text(max_size=5), inner))


@given(st.dictionaries(st.text(max_size=8), ANY), st.dictionaries(st.text(max_size=8), ANY))
@settings(max_examples=examples(100), deadline=None)
def test_unknown_fields_of_a_concealed_message_are_removed(more: dict[str, Any], outer: dict[str, Any]) -> None:
    message = {**more, "id": "i", "seq": 3, "rev": 4, "created_at": 5}
    event = {**outer, "t": "message.update", "conversation": "c", "rev": 4, "change": "edit", "message": message}
    judgement = judgement_of(event)
    assert judgement is Judgement.MESSAGE
    found = shown(
        event, judgement, [True for _ in places_in({**event, "message": {**message, "quote": None}}, judgement)]
    )
    assert set(found) == {"t", "conversation", "rev", "change", "message"}
    assert found["message"] == placeholder({"id": "i", "seq": 3, "rev": 4, "created_at": 5, **_deleted(more)})


def _deleted(more: dict[str, Any]) -> dict[str, Any]:
    return {"deleted_at": more["deleted_at"]} if "deleted_at" in more else {}


@pytest.mark.parametrize("tag", ["message.history", "conversation.sync"])
async def test_a_bot_that_was_away_reads_no_more(daemon: Daemon, tag: str) -> None:
    bots = await bots_of(daemon)
    account = await bots.add()
    async with daemon.pair() as (alice, bob, _):
        made = await alice.call("conversation.create", members=[bob.user, account.user])
        group = made.conversation.id
        await alice.send(group, f"{SECRET} one")
        async with daemon.connected(account) as bot:
            fields = {"rev": 0} if tag == "conversation.sync" else {}
            answer = await bot.call(tag, conversation=group, **fields)
            assert SECRET not in json.dumps(answer)
            assert any(one.get("concealed") for one in answer.get("items") or answer["messages"])
            await trio.lowlevel.checkpoint()
