"""Members of a match know each other by aliases, and nothing that they get has the user id of another one.

Every byte that a user gets is checked, in both codecs and on two nodes: see `Tapped`.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.request import Request, urlopen

import msgspec
import pytest
import trio
from msgspec.structs import replace

from chatd.client import connect
from chatd.client.link import Link
from chatd.client.types import MessageNew
from chatd.conversations.settings import PresenceDefaults
from chatd.core.config import Config
from chatd.core.ids import is_uuid, uuid7
from chatd.db import queries
from chatd.db.embedded import redis
from chatd.db.postgres import Postgres
from chatd.matching.settings import MatchSettings, QueueSettings
from tests.cluster.test_two_nodes import nodes, own_redis
from tests.files import fetched, picture, stored
from tests.reply import Reply
from tests.support import NOBODY, PATIENCE, Daemon, Person, poll_until, running

__all__ = ["own_redis"]

SQL = queries.load("matching/matches")
DAY = 86_400_000


class Tapped:
    """The payloads of all frames that each link has received, as bytes."""

    def __init__(self) -> None:
        self.frames: dict[Link, list[bytes]] = {}

    async def receive(self, link: Link) -> tuple[int, Reply]:
        data = await link._connection.get_message()
        raw = data.encode() if isinstance(data, str) else data
        self.frames.setdefault(link, []).append(raw)
        frame_id, body = msgspec.json.decode(data) if isinstance(data, str) else msgspec.msgpack.decode(data)
        link._received_at = trio.current_time()
        return frame_id, Reply(body)

    def never_named(self, person: Person, *others: Person) -> None:
        """Nothing that this person got contains the user id of another one."""
        frames = self.frames[person.link]
        assert len(frames) > 1
        assert not [frame for frame in frames if b"127.0.0.1" in frame]
        for other in others:
            assert not [frame for frame in frames if other.user.encode() in frame]
            assert not [entry for entry in person.log if other.user in json.dumps(entry)]


@pytest.fixture
def tap(monkeypatch: pytest.MonkeyPatch) -> Tapped:
    tapped = Tapped()
    monkeypatch.setattr(Link, "receive", lambda link: tapped.receive(link))
    return tapped


@pytest.fixture
def quick(config: Config) -> Config:
    settings = (MatchSettings(relax=0.3, grace=2.0, recent=0), PresenceDefaults(shown_to="everybody"))
    return config.using(*settings).using_named(QueueSettings, {"trio": QueueSettings(size=3)})


@pytest.fixture
async def server(quick: Config) -> AsyncIterator[Daemon]:
    # Files have the address of the server, which is not that of a person: tests run both on one.
    async with running(replace(quick, http=replace(quick.http, public_url="https://files.test"))) as daemon:
        yield daemon


async def meet(one: Person, two: Person) -> tuple[Reply, Reply]:
    """Both search and are matched. Returns what each of them gets."""
    await one.call("match.find")
    await two.call("match.find")
    return await one.event("match.found"), await two.event("match.found")


@asynccontextmanager
async def met(daemon: Daemon) -> AsyncIterator[tuple[Person, Person, str, str, str]]:
    """Two in a match, the alias of the second one, that of the first one, and their conversation."""
    async with daemon.person("alice") as alice, daemon.person("bob", "msgpack") as bob:
        of_bob, of_alice = await meet(alice, bob)
        yield alice, bob, of_bob["partner"]["id"], of_alice["partner"]["id"], of_bob["conversation"]


async def rest(daemon: Daemon, person: Person, method: str, path: str, body: Any = None) -> tuple[int, str]:
    answer = await daemon.rest(method, path, body, person.account.access_token)
    return answer.status, answer.body.decode() if isinstance(answer.body, bytes) else json.dumps(answer.body)


async def exported(daemon: Daemon, person: Person) -> str:
    headers = {"Authorization": f"Bearer {person.account.access_token}"}
    wanted = Request(f"{daemon.addresses.http}/v1/me/export", headers=headers)
    with trio.fail_after(PATIENCE):
        return str(await trio.to_thread.run_sync(lambda: urlopen(wanted).read().decode()))


async def test_events_and_answers_of_a_match_contain_no_user_id(quick: Config, tap: Tapped, db: Postgres) -> None:
    """The users match, write, read, query, reconnect, leave, report and block; on two nodes, by both codecs and REST."""
    async with nodes(quick) as (one, two), one.person("alice") as alice, two.person("bob", "msgpack") as bob:
        of_bob, of_alice = await meet(alice, bob)
        talk, bobs, alices = of_bob["conversation"], of_bob["partner"]["id"], of_alice["partner"]["id"]
        assert is_uuid(bobs)
        assert bobs not in (bob.user, alices)
        assert (of_bob["alias"], of_alice["alias"]) == (alices, bobs)
        assert (of_bob["partners"][0]["id"], of_bob["partner"]["name"]) == (bobs, "bob")
        first = await alice.send(talk, "hello stranger")
        message = (await bob.event("message.new"))["message"]
        assert message["sender"] == alices
        await everything_is_said(alice, bob, bobs, talk, first["message"])
        async with one.connected(bob.account, "json") as back:
            await everything_is_asked(back, bobs, alices, talk, first["message"])
            await everything_is_asked(alice, alices, bobs, talk, first["message"])
            await alice.send(talk, "again")
            assert (await back.event("message.new"))["message"]["sender"] == alices
            await over_rest(two, alice, bob.user, bobs, talk)
            await bob.call("match.leave")
            assert (await alice.event("match.ended"))["reason"] == "left"
            await after_the_end(one, alice, bob, bobs, db)
            for person in (bob, back):
                tap.never_named(person, alice)
        tap.never_named(alice, bob)


async def everything_is_said(alice: Person, bob: Person, bobs: str, talk: str, message: str) -> None:
    """All events that a member of a match can cause."""
    await bob.call("typing.start", conversation=talk)
    assert (await alice.event("typing.start"))["user"] == bobs
    await bob.call("receipt.delivered", conversation=talk, seq=1)
    assert (await alice.event("message.delivered"))["user"] == bobs
    await bob.call("receipt.read", conversation=talk, seq=1)
    assert (await alice.event("message.read"))["user"] == bobs
    await bob.call("reaction.add", conversation=talk, message=message, emoji="👍")
    assert (await alice.event("message.update"))["by"] == bobs
    answer = await bob.send(
        talk, "who are you?", reply_to=message, mentions=[await alice.alias(talk), alice.user, NOBODY]
    )
    sent = (await alice.event("message.new"))["message"]
    alices = await alice.alias(talk)
    assert (sent["sender"], sent["quote"]["sender"], sent["mentions"]) == (bobs, alices, [alices])
    assert (await alice.call("conversation.get", conversation=talk))["conversation"]["mentions"] == 1
    await bob.call("message.edit", conversation=talk, message=answer["message"], text="nobody")
    assert (await alice.event("message.update"))["message"]["mentions"] == [alices]
    await bob.call("message.pin", conversation=talk, message=answer["message"])
    assert (await alice.event("message.new"))["message"]["sender"] == bobs
    await bob.call("message.forward", conversation=talk, source=talk, message=answer["message"], client_id="f")
    assert (await alice.event("message.new"))["message"]["forwarded"]["sender"] == bobs
    await bob.call("message.delete", conversation=talk, message=answer["message"])
    assert (await alice.event("message.update"))["message"]["sender"] == bobs
    for command in ("typing.start", "typing.stop"):
        await bob.call(command, conversation=talk)
        assert (await alice.event(command))["user"] == bobs


async def everything_is_asked(me: Person, mine: str, other: str, talk: str, message: str) -> None:
    """All commands whose answer can name the other."""
    both = sorted([mine, other])
    members = await me.call("member.list", conversation=talk, limit=1)
    rest = await me.call("member.list", conversation=talk, cursor=members["cursor"])
    assert [member["user"] for member in members["items"] + rest["items"]] == both
    changes = await me.call("conversation.sync", conversation=talk, rev=0)
    assert sorted(member["user"] for member in changes["members"]) == both
    history = await me.call("message.history", conversation=talk)
    assert {message["sender"] for message in history["items"]} == {mine, other}
    states = await me.call("session.sync")
    assert [state["alias"] for state in states["conversations"] if state["id"] == talk] == [mine]
    listed = await me.call("conversation.list")
    assert [member["user"] for member in listed["items"][0]["members"]] == both
    found = await me.call("conversation.get", conversation=talk)
    assert found["conversation"]["alias"] == mine
    reactions = await me.call("reaction.list", conversation=talk, message=message, limit=1)
    assert {item["user"] for item in reactions["items"]} <= {mine, other}
    receipts = await me.call("message.receipts", conversation=talk, message=message)
    assert {item["user"] for item in receipts["read"] + receipts["delivered"]} <= {mine, other}
    await me.call("message.star", conversation=talk, message=message)
    assert {item["message"]["sender"] for item in (await me.call("message.starred"))["items"]} <= {mine, other}
    await me.call("message.pins", conversation=talk)
    await me.call("unread.total")
    await me.refused("match.status")
    watched = await me.call("presence.watch", users=[other])
    assert [(state["user"], state["status"]) for state in watched["items"]] == [(other, "online")]
    assert (await me.call("presence.query", users=[other]))["items"] == watched["items"]
    assert (await me.call("presence.count", conversation=talk))["online"] == 2
    assert (await me.refused("conversation.open", user=other)).code == "not_found"


async def over_rest(daemon: Daemon, alice: Person, bob: str, bobs: str, talk: str) -> None:
    paths = (
        "conversations",
        f"conversations/{talk}",
        f"conversations/{talk}/members",
        f"conversations/{talk}/messages",
        "sync",
    )
    for path in paths:
        status, body = await rest(daemon, alice, "GET", f"/v1/{path}")
        assert (status, bob in body) == (200, False), path
        assert bobs in body or path == "sync", path
    status, body = await rest(daemon, alice, "POST", "/v1/presence/query", {"users": [bobs]})
    assert json.loads(body)["items"][0]["status"] == "online"
    status, body = await rest(daemon, alice, "POST", "/v1/conversations/direct", {"user": bobs})
    assert status == 404
    status, body = await rest(daemon, alice, "POST", f"/v1/conversations/{talk}/typing", {})
    assert status == 200


async def after_the_end(daemon: Daemon, alice: Person, bob: Person, bobs: str, db: Postgres) -> None:
    """A former partner can be reported and blocked by the alias, and is listed by it permanently."""
    await alice.call("report.create", user=bobs, reason="spam")
    assert await db.value("select target::text from reports") == bob.user
    await alice.call("user.block", user=bobs)
    assert await db.value("select blocked::text from blocks") == bob.user
    await alice.call("session.sync")
    blocked = (await alice.call("block.list"))["items"]
    assert [(item["user"], item["name"]) for item in blocked] == [(bobs, None)]
    assert (await alice.call("presence.query", users=[bobs]))["items"][0] == {
        "user": bobs,
        "status": "offline",
        "last_seen": None,
    }
    status, body = await rest(daemon, alice, "GET", "/v1/blocks")
    assert (status, bobs in body, bob.user in body) == (200, True, False)
    file = await exported(daemon, alice)
    assert (bobs in file, bob.user in file) == (True, False)
    assert (await rest(daemon, alice, "DELETE", f"/v1/blocks/{bobs}"))[0] == 200
    assert (await alice.call("block.list"))["items"] == []
    await db.run("update match_members set ended_at = ended_at - $1::bigint", 2 * DAY)
    assert (await alice.refused("report.create", user=bobs, reason="abuse")).code == "not_found"


async def test_typing_ends_by_alias_when_the_connection_ends(server: Daemon, tap: Tapped) -> None:
    async with met(server) as (alice, bob, bobs, _, talk):
        await bob.call("typing.start", conversation=talk)
        await alice.event("typing.start")
        await trio.aclose_forcefully(bob.connection)
        assert (await alice.event("typing.stop"))["user"] == bobs
        tap.never_named(alice, bob)


async def test_file_does_not_reveal_its_sender(server: Daemon, tap: Tapped) -> None:
    """Its address has an id of its own, and so has the name that it is stored under."""
    async with met(server) as (alice, bob, _, _, talk):
        sent = await stored(server, bob.account.access_token, picture())
        assert bob.user not in json.dumps(sent)
        await bob.send(talk, "look", attachments=[{"upload": sent["id"]}])
        attachment = (await alice.event("message.new"))["message"]["attachments"][0]
        got = await fetched(server, alice.account.access_token, attachment["upload"])
        assert (got.status, bob.user in str(got.headers), bob.user.encode() in got.body) == (200, False, False)
        await alice.call("message.history", conversation=talk)
        tap.never_named(alice, bob)


async def test_second_match_of_two_users_is_not_recognizable(server: Daemon, tap: Tapped) -> None:
    async with met(server) as (alice, bob, bobs, alices, _):
        await alice.call("match.leave")
        await bob.event("match.ended")
        of_bob, of_alice = await meet(alice, bob)
        assert of_bob["partner"]["id"] not in (bobs, bob.user)
        assert of_alice["partner"]["id"] not in (alices, alice.user)
        await bob.send(of_bob["conversation"])
        assert (await alice.event("message.new"))["message"]["sender"] == of_bob["partner"]["id"]
        # The old alias has no presence any more, and a block of it does not touch the match by the new one.
        assert (await alice.call("presence.query", users=[bobs]))["items"][0]["status"] == "offline"
        await alice.call("user.block", user=bobs)
        await bob.send(of_bob["conversation"])
        await alice.event("message.new")
        await alice.call("user.block", user=of_bob["partner"]["id"])
        assert (await bob.event("match.ended"))["reason"] == "left"
        assert len((await alice.call("block.list"))["items"]) == 2
        tap.never_named(alice, bob)
        tap.never_named(bob, alice)


async def test_a_kept_match_shows_user_ids_on_all_devices(quick: Config, tap: Tapped) -> None:
    async with AsyncExitStack() as stack:
        one, two = await stack.enter_async_context(nodes(quick))
        alice, bob = [
            await stack.enter_async_context(node.person(codec=codec))
            for node, codec in ((one, "json"), (two, "msgpack"))
        ]
        async with two.connected(alice.account, "msgpack") as also_alice:
            of_bob, _ = await meet(alice, bob)
            talk, bobs = of_bob["conversation"], of_bob["partner"]["id"]
            await also_alice.event("match.found")
            await bob.call("typing.start", conversation=talk)
            await bob.send(talk, "hello", mentions=[of_bob["alias"]])
            for person in (alice, also_alice):
                assert (await person.event("typing.start"))["user"] == bobs
                tap.never_named(person, bob)
            await alice.call("match.keep")
            await bob.call("match.keep")
            for person in (alice, also_alice, bob):
                await person.event("match.kept")
            await bob.call("typing.start", conversation=talk)
            assert (await alice.event("typing.start"))["user"] == bob.user
            await bob.send(talk)
            for person in (alice, also_alice):
                assert (await person.event("message.new"))["message"]["sender"] == bob.user
                listed = await person.call("member.list", conversation=talk)
                assert {member["user"] for member in listed["items"]} == {alice.user, bob.user}
                first = (await person.call("message.history", conversation=talk))["items"][0]
                assert (first["sender"], first["mentions"]) == (bob.user, [alice.user])
            found = (await alice.call("conversation.get", conversation=talk))["conversation"]
            assert (found["kind"], "alias" in found) == ("direct", False)
            assert (await alice.refused("user.block", user=bobs)).code == "not_found"


async def test_matched_friends_are_not_recognizable(server: Daemon) -> None:
    """A group that both are in does not show who the partner is."""
    async with server.pair() as (alice, bob, direct):
        of_bob, of_alice = await meet(alice, bob)
        assert {of_bob["partner"]["id"], of_alice["partner"]["id"]}.isdisjoint({alice.user, bob.user})
        await bob.send(of_bob["conversation"], "in the match")
        assert (await alice.event("message.new"))["message"]["sender"] == of_bob["partner"]["id"]
        await bob.send(direct, "among friends")
        assert (await alice.event("message.new"))["message"]["sender"] == bob.user


async def found_by(person: Person, **fields: Any) -> list[str]:
    """The texts that a search finds."""
    items = (await person.call("message.search", query="hello", **fields))["items"]
    return sorted(item["message"]["text"] for item in items)


async def test_search_by_sender_uses_the_shown_id(server: Daemon) -> None:
    async with server.pair() as (alice, bob, direct):
        of_bob, _ = await meet(alice, bob)
        talk, bobs = of_bob["conversation"], of_bob["partner"]["id"]
        await bob.send(talk, "hello stranger")
        await bob.send(direct, "hello friend")
        await poll_until(lambda: found_by(alice), lambda found: found == ["hello friend", "hello stranger"])
        assert await found_by(alice, sender=bobs) == ["hello stranger"]
        assert await found_by(alice, sender=bob.user) == ["hello friend"]
        assert await found_by(alice, sender=bob.user, conversation=talk) == []
        assert await found_by(alice, sender=bobs, conversation=direct) == []


async def test_blocks_by_user_id_and_by_alias_do_not_show_in_each_other(server: Daemon) -> None:
    async with server.pair() as (alice, bob, direct):
        of_bob, _ = await meet(alice, bob)
        talk, bobs = of_bob["conversation"], of_bob["partner"]["id"]
        await alice.call("user.block", user=bob.user)
        assert (await alice.call("presence.query", users=[bobs, bob.user]))["items"] == [
            {"user": bobs, "status": "online", "last_seen": None},
            {"user": bob.user, "status": "offline", "last_seen": None},
        ]
        assert (await alice.call("presence.count", conversation=talk))["online"] == 2
        await bob.send(talk, "still here")
        await alice.event("message.new")
        # With a block the votes lead to nothing, which looks as if the other one had not voted.
        await bob.call("match.keep")
        await alice.call("match.keep")
        await alice.call("user.unblock", user=bob.user)
        await alice.call("user.block", user=bobs)
        assert (await bob.event("match.ended"))["reason"] == "left"
        assert not [event for _, event in alice.log if event["t"] == "match.kept"]
        await bob.send(direct, "as always")
        assert (await alice.event("message.new"))["message"]["text"] == "as always"
        assert not (await alice.call("conversation.open", user=bob.user))["created"]
        assert [item["user"] for item in (await alice.call("block.list"))["items"]] == [bobs]


async def test_watcher_is_notified_when_an_alias_ends(server: Daemon) -> None:
    """Not when the user disconnects, which a watcher of the user id sees as well."""
    async with server.pair() as (alice, bob, _):
        of_bob, _ = await meet(alice, bob)
        bobs = of_bob["partner"]["id"]
        watched = await alice.call("presence.watch", users=[bobs, bob.user])
        assert [state["status"] for state in watched["items"]] == ["online", "online"]
        await bob.call("presence.set", status="away")
        both = [await alice.event("presence.update") for _ in range(2)]
        assert sorted((event["user"], event["status"]) for event in both) == sorted(
            [(bobs, "away"), (bob.user, "away")]
        )
        await bob.call("match.leave")
        ended = await alice.event("presence.update")
        assert (ended["user"], ended["status"], ended["last_seen"]) == (bobs, "offline", None)
        await bob.call("presence.set", status="online")
        assert (await alice.event("presence.update"))["user"] == bob.user


async def test_reports_by_alias_and_by_user_id_are_different_ones(server: Daemon, db: Postgres) -> None:
    async with server.pair() as (alice, bob, direct):
        of_bob, _ = await meet(alice, bob)
        talk, bobs = of_bob["conversation"], of_bob["partner"]["id"]
        message = await bob.send(talk, "rude")
        by_alias = await alice.call("report.create", user=bobs, reason="spam")
        by_user = await alice.call("report.create", user=bob.user, reason="spam")
        assert by_alias["report"] != by_user["report"]
        assert (await alice.call("report.create", user=bobs, reason="spam"))["report"] == by_alias["report"]
        by_message = await alice.call("report.create", conversation=talk, message=message["message"], reason="spam")
        for user in (bobs, None):
            fields = {
                "conversation": talk,
                "message": message["message"],
                "reason": "spam",
                **({"user": user} if user else {}),
            }
            assert (await alice.call("report.create", **fields))["report"] == by_message["report"]
        rows = await db.all(
            "select reported_as::text, target::text as target, conversation::text as talk from reports order by id"
        )
        assert [(row["reported_as"], row["target"], row["talk"]) for row in rows] == [
            (bobs, bob.user, talk), (bob.user, bob.user, direct), (bobs, bob.user, talk),
        ]  # fmt: skip
        for fields in ({"conversation": talk, "user": bob.user}, {"conversation": direct, "user": bobs}):
            assert (await alice.refused("report.create", reason="spam", **fields)).code == "not_found"
        wrong = {"conversation": talk, "message": message["message"], "user": bob.user}
        assert (await alice.refused("report.create", reason="spam", **wrong)).code == "not_found"


async def test_alias_is_unknown_to_other_users(server: Daemon) -> None:
    async with met(server) as (_, bob, bobs, alices, _), server.person("eve") as eve:
        unknown = {"user": NOBODY, "reason": "spam"}
        for name in (bobs, alices):
            assert str(await eve.refused("report.create", user=name, reason="spam")) == str(
                await eve.refused("report.create", **unknown)
            )
            assert str(await eve.refused("user.block", user=name)) == str(await eve.refused("user.block", user=NOBODY))
            assert (await eve.call("presence.query", users=[name]))["items"][0]["status"] == "offline"
        assert (await bob.refused("user.block", user=bobs)).code == "bad_request"
        assert (await rest(server, eve, "PUT", f"/v1/blocks/{bobs}", {}))[0] == 404


async def test_direct_conversation_cannot_be_opened_by_alias(server: Daemon) -> None:
    """Its members would see each other's user ids."""
    async with met(server) as (alice, bob, bobs, _, _), server.person("carl") as carl:
        group = (await alice.call("conversation.create", members=[carl.user]))["conversation"]["id"]
        assert (await alice.refused("conversation.open", user=bobs)).code == "not_found"
        await alice.refused("conversation.create", members=[bobs])
        await alice.refused("member.add", conversation=group, users=[bobs])
        assert await bob.is_served()
        assert not [event for event in bob.events if event["t"] == "conversation.update"]


async def test_a_message_that_is_forwarded_out_of_a_match_names_the_alias(server: Daemon, tap: Tapped) -> None:
    async with met(server) as (alice, bob, bobs, alices, talk), server.person("carl", "msgpack") as carl:
        friends = (await alice.call("conversation.open", user=carl.user))["conversation"]["id"]
        message = await bob.send(talk, "do not tell")
        await alice.event("message.new")
        await alice.send(friends, f"I met {bobs}", mentions=[bobs])
        assert "mentions" not in (await carl.event("message.new"))["message"]
        await alice.call(
            "message.forward", client_id="1", source=talk, message=message["message"], conversation=friends
        )
        received = (await carl.event("message.new"))["message"]
        assert (received["text"], received["forwarded"]["sender"]) == ("do not tell", bobs)
        mine = await alice.send(friends, "my own words")
        await alice.call("message.forward", client_id="2", source=friends, message=mine["message"], conversation=talk)
        event = (await bob.event("message.new"))["message"]
        assert (event["sender"], event["forwarded"]["sender"]) == (alices, alices)
        assert (await bob.call("message.history", conversation=talk))["items"][-1]["forwarded"]["sender"] == alices
        tap.never_named(carl, bob)
        tap.never_named(alice, bob)
        tap.never_named(bob, alice)
        file = await exported(server, alice)
        assert (bobs in file, bob.user in file, file.count("my own words")) == (True, False, 2)


async def test_members_of_a_match_of_three_see_two_aliases(server: Daemon, tap: Tapped) -> None:
    async with server.people(3) as people:
        for person in people:
            await person.call("match.find", queue="trio")
        found = [await person.event("match.found") for person in people]
        aliases = sorted(one["alias"] for one in found)
        for person, one in zip(people, found, strict=True):
            assert sorted([one["alias"], *(partner["id"] for partner in one["partners"])]) == aliases
            await person.send(one["conversation"])
        for person in people:
            for _ in range(2):
                assert (await person.event("message.new"))["message"]["sender"] in aliases
            await person.call("message.history", conversation=found[0]["conversation"])
            tap.never_named(person, *(other for other in people if other is not person))


async def made_behind_their_backs(db: Postgres, one: Person, two: Person) -> str:
    """Commit a match without any event. Returns the conversation."""
    now = await db.value("select (extract(epoch from now()) * 1000)::bigint")
    match, talk, users = uuid7(now), uuid7(now), sorted([one.user, two.user])
    await db.all(SQL.create_match, "default", match, "default", talk, users, now, ["null", "null"])
    return talk


@pytest.mark.parametrize("codec", ["json", "msgpack"])
async def test_answer_before_the_event_contains_no_user_id(
    server: Daemon, db: Postgres, tap: Tapped, codec: str
) -> None:
    """The match is in the database, and no session has got an event of it."""
    async with server.person("alice", codec) as alice, server.person("bob", codec) as bob:
        talk = await made_behind_their_backs(db, alice, bob)
        await alice.call("session.sync")
        assert len((await alice.call("conversation.get", conversation=talk))["conversation"]["members"]) == 2
        await bob.call("conversation.sync", conversation=talk, rev=0)
        assert bob.user not in (await rest(server, alice, "GET", f"/v1/conversations/{talk}"))[1]
        async with server.connected(alice.account, codec) as back:
            await bob.call("typing.start", conversation=talk)
            assert (await back.event("typing.start"))["user"] == await bob.alias(talk)
            await bob.send(talk, "hello")
            assert (await back.event("message.new"))["message"]["sender"] == await bob.alias(talk)
            tap.never_named(back, bob)
        tap.never_named(alice, bob)
        tap.never_named(bob, alice)


async def test_match_found_by_a_resync_contains_no_user_id(
    quick: Config, db: Postgres, tap: Tapped, own_redis: redis.Server
) -> None:
    """Without Redis, Postgres is queried for the recipients, and neither user has sent a command before."""
    lone = replace(quick, redis=replace(quick.redis, url=own_redis.url))
    async with running(lone) as daemon, daemon.person("alice") as alice, daemon.person("bob", "msgpack") as bob:
        talk = await made_behind_their_backs(db, alice, bob)
        await own_redis.stop()
        assert (await alice.event("behind"))["conversation"] == talk
        await bob.event("behind")
        await bob.call("typing.start", conversation=talk)
        name = (await alice.event("typing.start"))["user"]
        await bob.send(talk)
        assert (await alice.event("message.new"))["message"]["sender"] == name
        tap.never_named(alice, bob)


async def test_python_client_recognizes_its_own_messages(server: Daemon) -> None:
    """Those that it sent are not yielded; a message from another device of its user is, by the alias."""
    async with AsyncExitStack() as stack:
        alice, bob = [await stack.enter_async_context(server.person(name)) for name in ("alice", "bob")]
        client = await stack.enter_async_context(connect(server.addresses.socket, alice.account))
        of_bob, _ = await meet(alice, bob)
        talk = of_bob["conversation"]
        await client.send(talk, "from here")
        await alice.send(talk, "from elsewhere")
        await bob.send(talk, "from bob")
        messages = []
        with trio.fail_after(PATIENCE):
            async for event in client.events:
                if isinstance(event, MessageNew):
                    messages.append((event.message.text, event.message.sender == client.known_as(talk)))
                    if len(messages) == 2:
                        break
        assert messages == [("from elsewhere", True), ("from bob", False)]
        assert client.known_as(talk) == of_bob["alias"]
