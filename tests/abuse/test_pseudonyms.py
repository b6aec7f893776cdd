"""E9: partner identity. With `[match] pseudonyms` no frame and no answer names somebody who was met as a stranger.

Every byte that a person gets is looked at, in both codecs and on two nodes: see `Tapped`.
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

from chatd.client.link import Link
from chatd.core.config import Config, Match, Queue, Uploads
from chatd.core.ids import is_uuid, uuid7
from chatd.db import queries
from chatd.db.embedded import redis
from chatd.db.postgres import Postgres
from chatd.matching.aliases.alias_store import MATCHES
from tests.cluster.test_two_nodes import eventually, nodes, own_redis
from tests.files import fetched, picture, stored
from tests.reply import Reply
from tests.support import NOBODY, PATIENCE, Daemon, Person, running

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
        link._heard = trio.current_time()
        return frame_id, Reply(body)

    def never_named(self, person: Person, *others: Person) -> None:
        """Nothing that came to this person contains the account id of another."""
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
def hiding(config: Config) -> Config:
    return replace(config, match=Match(relax=0.3, grace=2.0, recent=0, pseudonyms=True), queues={"trio": Queue(size=3)})


@pytest.fixture
async def house(hiding: Config) -> AsyncIterator[Daemon]:
    # Files have the address of the server, which is not that of a person: tests run both on one.
    async with running(replace(hiding, uploads=Uploads(public_url="https://files.test"))) as daemon:
        yield daemon


async def meet(one: Person, two: Person) -> tuple[Reply, Reply]:
    """They find each other: what each was told."""
    await one.call("match.find")
    await two.call("match.find")
    return await one.event("match.found"), await two.event("match.found")


@asynccontextmanager
async def met(daemon: Daemon) -> AsyncIterator[tuple[Person, Person, str, str, str]]:
    """Two strangers, what the first calls the second, what the second calls the first, and their conversation."""
    async with daemon.person("alice") as alice, daemon.person("bob", "msgpack") as bob:
        of_bob, of_alice = await meet(alice, bob)
        yield alice, bob, of_bob["partner"]["id"], of_alice["partner"]["id"], of_bob["conversation"]


async def rest(daemon: Daemon, person: Person, method: str, path: str, body: Any = None) -> tuple[int, str]:
    answer = await daemon.rest(method, path, body, person.account.access_token)
    return answer.status, answer.body.decode() if isinstance(answer.body, bytes) else json.dumps(answer.body)


async def exported(daemon: Daemon, person: Person) -> str:
    """All that is stored of somebody, as they get it."""
    headers = {"Authorization": f"Bearer {person.account.access_token}"}
    wanted = Request(f"{daemon.addresses.http}/v1/me/export", headers=headers)
    with trio.fail_after(PATIENCE):
        return str(await trio.to_thread.run_sync(lambda: urlopen(wanted).read().decode()))


async def test_nothing_that_two_strangers_get_names_the_other(hiding: Config, tap: Tapped, db: Postgres) -> None:
    """The long way: they meet, write, read, look, come back, part, report and block; on two nodes, by both codecs and REST."""
    async with nodes(hiding) as (one, two), one.person("alice") as alice, two.person("bob", "msgpack") as bob:
        of_bob, of_alice = await meet(alice, bob)
        talk, bobs, alices = of_bob["conversation"], of_bob["partner"]["id"], of_alice["partner"]["id"]
        assert is_uuid(bobs)
        assert bobs not in (bob.user, alices)
        assert (of_bob["partners"][0]["id"], of_bob["partner"]["name"]) == (bobs, "bob")
        first = await alice.send(talk, "hello stranger")
        message = (await bob.event("message.new"))["message"]
        assert message["sender"] == alices
        await everything_is_said(alice, bob, bobs, talk, first["message"])
        async with one.connected(bob.account, "json") as back:
            await everything_is_asked(back, alices, talk, first["message"])
            await everything_is_asked(alice, bobs, talk, first["message"])
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
    """All events that somebody can cause in a match."""
    await bob.call("typing.start", conversation=talk)
    assert (await alice.event("typing.start"))["user"] == bobs
    await bob.call("receipt.read", conversation=talk, seq=1)
    assert (await alice.event("message.read"))["user"] == bobs
    await bob.call("reaction.add", conversation=talk, message=message, emoji="👍")
    await alice.event("message.update")
    answer = await bob.send(talk, f"I am {bob.user}", reply_to=message)
    heard = (await alice.event("message.new"))["message"]
    assert (heard["sender"], heard["text"]) == (bobs, f"I am {bobs}")
    await bob.call("message.edit", conversation=talk, message=answer["message"], text="nobody")
    assert (await alice.event("message.update"))["message"]["sender"] == bobs
    await bob.call("message.delete", conversation=talk, message=answer["message"])
    await alice.event("message.update")


async def everything_is_asked(me: Person, other: str, talk: str, message: str) -> None:
    """All commands whose answer can name the other."""
    members = await me.call("member.list", conversation=talk, limit=1)
    rest = await me.call("member.list", conversation=talk, cursor=members["cursor"])
    assert {member["user"] for member in members["items"] + rest["items"]} == {me.user, other}
    changes = await me.call("conversation.sync", conversation=talk, rev=0)
    assert {member["user"] for member in changes["members"]} == {me.user, other}
    history = await me.call("message.history", conversation=talk)
    assert {message["sender"] for message in history["items"]} == {me.user, other}
    await me.call("session.sync")
    await me.call("conversation.list")
    await me.call("conversation.get", conversation=talk)
    await me.call("reaction.list", conversation=talk, message=message)
    await me.call("message.receipts", conversation=talk, message=message)
    await me.call("unread.total")
    await me.refused("match.status")
    watched = await me.call("presence.watch", users=[other])
    assert [(state["user"], state["status"]) for state in watched["items"]] == [(other, "online")]
    assert (await me.call("presence.query", users=[other]))["items"] == watched["items"]
    assert (await me.refused("conversation.open", user=other)).code == "not_found"


async def over_rest(daemon: Daemon, alice: Person, bob: str, bobs: str, talk: str) -> None:
    paths = ("conversations", f"conversations/{talk}", f"conversations/{talk}/members", f"conversations/{talk}/messages", "sync")
    for path in paths:
        status, body = await rest(daemon, alice, "GET", f"/v1/{path}")
        assert (status, bob in body) == (200, False), path
        assert bobs in body or path == "sync", path
    status, body = await rest(daemon, alice, "POST", "/v1/presence/query", {"users": [bobs]})
    assert json.loads(body)["items"][0]["status"] == "online"
    status, body = await rest(daemon, alice, "POST", "/v1/conversations/direct", {"user": bobs})
    assert status == 404


async def after_the_end(daemon: Daemon, alice: Person, bob: Person, bobs: str, db: Postgres) -> None:
    """Who has gone can be reported and blocked by the same name, and is listed under it for ever."""
    await alice.call("report.create", user=bobs, reason="spam")
    assert await db.value("select target::text from reports") == bob.user
    await alice.call("user.block", user=bobs)
    assert await db.value("select blocked::text from blocks") == bob.user
    await alice.call("session.sync")
    assert [item["user"] for item in (await alice.call("block.list"))["items"]] == [bobs]
    await db.run("update match_members set created_at = created_at - $1::bigint, ended_at = ended_at - $1", 2 * DAY)
    async with daemon.connected(alice.account, "msgpack") as again:
        assert [item["user"] for item in (await again.call("block.list"))["items"]] == [bobs]
    status, body = await rest(daemon, alice, "GET", "/v1/blocks")
    assert (status, bobs in body, bob.user in body) == (200, True, False)
    file = await exported(daemon, alice)
    assert (bobs in file, bob.user in file) == (True, False)
    assert (await rest(daemon, alice, "DELETE", f"/v1/blocks/{bobs}"))[0] == 200
    assert (await alice.call("block.list"))["items"] == []


async def test_a_file_says_nothing_of_who_sent_it(house: Daemon, tap: Tapped) -> None:
    """Its address has an id of its own, and so has the name that it is stored under."""
    async with met(house) as (alice, bob, _, _, talk):
        sent = await stored(house, bob.account.access_token, picture())
        assert bob.user not in json.dumps(sent)
        await bob.send(talk, "look", attachments=[{"upload": sent["id"]}])
        attachment = (await alice.event("message.new"))["message"]["attachments"][0]
        got = await fetched(house, alice.account.access_token, attachment["upload"])
        assert (got.status, bob.user in str(got.headers), bob.user.encode() in got.body) == (200, False, False)
        await alice.call("message.history", conversation=talk)
        tap.never_named(alice, bob)


async def test_whoever_meets_somebody_twice_does_not_know_it(house: Daemon, tap: Tapped) -> None:
    async with met(house) as (alice, bob, bobs, alices, _):
        await alice.call("match.leave")
        await bob.event("match.ended")
        of_bob, of_alice = await meet(alice, bob)
        assert of_bob["partner"]["id"] not in (bobs, bob.user)
        assert of_alice["partner"]["id"] not in (alices, alice.user)
        await bob.send(of_bob["conversation"])
        assert (await alice.event("message.new"))["message"]["sender"] == of_bob["partner"]["id"]
        # The old one is shown no more, and still understood.
        assert (await alice.call("presence.query", users=[bobs]))["items"][0]["status"] == "online"
        await alice.call("user.block", user=bobs)
        assert (await bob.event("match.ended"))["reason"] == "left"
        tap.never_named(alice, bob)
        tap.never_named(bob, alice)


async def test_who_keeps_in_touch_is_known_on_all_devices(hiding: Config, tap: Tapped) -> None:
    async with AsyncExitStack() as stack:
        one, two = await stack.enter_async_context(nodes(hiding))
        alice = await stack.enter_async_context(one.person("alice"))
        bob = await stack.enter_async_context(two.person("bob", "msgpack"))
        async with two.connected(alice.account, "msgpack") as also_alice:
            of_bob, _ = await meet(alice, bob)
            await also_alice.event("match.found")
            tap.never_named(also_alice, bob)
            await alice.call("match.keep")
            await bob.call("match.keep")
            for person in (alice, also_alice, bob):
                await person.event("match.kept")
            await bob.send(of_bob["conversation"])
            for person in (alice, also_alice):
                assert (await person.event("message.new"))["message"]["sender"] == bob.user
                listed = await person.call("member.list", conversation=of_bob["conversation"])
                assert {member["user"] for member in listed["items"]} == {alice.user, bob.user}
            assert bob.user in (await rest(one, alice, "GET", "/v1/conversations"))[1]
            async with one.connected(bob.account) as back:
                assert alice.user in json.dumps(await back.call("conversation.list"))


async def test_friends_who_are_matched_know_each_other(house: Daemon) -> None:
    async with house.pair() as (alice, bob, _):
        of_bob, of_alice = await meet(alice, bob)
        assert (of_bob["partner"]["id"], of_alice["partner"]["id"]) == (bob.user, alice.user)
        await bob.send(of_bob["conversation"])
        assert (await alice.event("message.new"))["message"]["sender"] == bob.user


async def test_an_alias_is_nobody_for_others(house: Daemon, db: Postgres) -> None:
    async with met(house) as (_, bob, bobs, alices, _), house.person("eve") as eve:
        for me in (eve, bob):
            for name in {bobs, alices} - {alices if me is bob else ""}:
                unknown = await me.refused("report.create", user=NOBODY, reason="spam")
                assert str(await me.refused("report.create", user=name, reason="spam")) == str(unknown)
                assert str(await me.refused("user.block", user=name)) == str(await me.refused("user.block", user=NOBODY))
                assert (await me.call("presence.query", users=[name]))["items"][0]["status"] == "offline"
        assert (await rest(house, eve, "PUT", f"/v1/blocks/{bobs}", {}))[0] == 404


async def test_no_conversation_comes_of_a_pseudonym(house: Daemon) -> None:
    """Its members would see each other's ids."""
    async with met(house) as (alice, bob, bobs, _, _), house.person("carl") as carl:
        group = (await alice.call("conversation.create", members=[carl.user]))["conversation"]["id"]
        assert (await alice.refused("conversation.open", user=bobs)).code == "not_found"
        await alice.refused("conversation.create", members=[bobs])
        await alice.refused("member.add", conversation=group, users=[bobs])
        assert await bob.is_served()
        assert not [event for event in bob.events if event["t"] == "conversation.update"]


async def test_a_stranger_who_asks_to_come_into_a_group_is_let_in_by_the_pseudonym(house: Daemon, tap: Tapped) -> None:
    """They have asked for it: from then on both see the other's id."""
    async with met(house) as (alice, bob, bobs, _, talk), house.person("carl") as carl:
        group = (await alice.call("conversation.create", members=[carl.user]))["conversation"]["id"]
        await alice.call("conversation.edit", conversation=group, joining="request")
        secret = (await alice.call("invite.create", conversation=group))["secret"]
        await alice.send(talk, secret)
        text = (await bob.event("message.new"))["message"]["text"]
        assert (await bob.call("conversation.join", secret=text))["requested"]
        assert (await alice.event("join.requested"))["user"] == bobs
        assert [item["user"] for item in (await alice.call("join.list", conversation=group))["items"]] == [bobs]
        tap.never_named(alice, bob)
        await alice.call("join.decide", conversation=group, user=bobs, approve=True)
        listed = await alice.call("member.list", conversation=group)
        assert bob.user in {member["user"] for member in listed["items"]}
        # The old name still means the same.
        await alice.call("member.remove", conversation=group, user=bobs)


async def test_what_is_said_elsewhere_names_nobody(house: Daemon, tap: Tapped) -> None:
    """A pseudonym in a text stays one, a mention of it mentions nobody, and a message that is sent on is by the pseudonym."""
    async with met(house) as (alice, bob, bobs, _, talk), house.person("carl", "msgpack") as carl:
        friends = (await alice.call("conversation.open", user=carl.user))["conversation"]["id"]
        said = await bob.send(talk, "do not tell")
        await alice.event("message.new")
        await alice.send(friends, f"I met {bobs}", mentions=[bobs], meta={"met": bobs})
        assert (await carl.event("message.new"))["message"]["text"] == f"I met {bobs}"
        place = {"source": talk, "message": said["message"], "conversation": friends}
        await alice.call("message.forward", client_id="1", **place)
        heard = (await carl.event("message.new"))["message"]
        assert (heard["text"], heard["forwarded"]["sender"]) == ("do not tell", bobs)
        await carl.call("message.history", conversation=friends)
        tap.never_named(carl, bob)
        tap.never_named(alice, bob)
        file = await exported(house, alice)
        assert (bobs in file, bob.user in file) == (True, False)


async def test_three_who_meet_see_two_pseudonyms_each(house: Daemon, tap: Tapped) -> None:
    async with house.people(3) as people:
        for person in people:
            await person.call("match.find", queue="trio")
        found = [await person.event("match.found") for person in people]
        for person, told in zip(people, found, strict=True):
            assert len({partner["id"] for partner in told["partners"]} - {other.user for other in people}) == 2
            await person.send(told["conversation"])
        for person in people:
            for _ in range(2):
                await person.event("message.new")
            await person.call("message.history", conversation=found[0]["conversation"])
            tap.never_named(person, *(other for other in people if other is not person))


async def test_somebody_else_who_is_matched_with_the_same_one_sees_another_pseudonym(house: Daemon) -> None:
    async with met(house) as (alice, bob, bobs, _, _), house.person("eve") as eve:
        await bob.call("match.leave")
        await alice.event("match.ended")
        of_bob, _ = await meet(eve, bob)
        assert of_bob["partner"]["id"] not in (bobs, bob.user)
        assert (await alice.refused("report.create", user=of_bob["partner"]["id"], reason="spam")).code == "not_found"


async def made_behind_their_backs(db: Postgres, one: Person, two: Person) -> str:
    """A match that is committed while no node tells anything of it. Returns the conversation."""
    now = await db.value("select (extract(epoch from now()) * 1000)::bigint")
    match, talk, users = uuid7(now), uuid7(now), sorted([one.user, two.user])
    await db.all(SQL.make, "default", match, "default", talk, users, now, ["null", "null"])
    return talk


@pytest.mark.parametrize("codec", ["json", "msgpack"])
async def test_an_answer_that_is_faster_than_the_news_names_nobody(house: Daemon, db: Postgres, tap: Tapped, codec: str) -> None:
    """The match is in the database, and no session here has heard of it: neither of the two has a mask yet."""
    async with house.person("alice", codec) as alice, house.person("bob", codec) as bob:
        talk = await made_behind_their_backs(db, alice, bob)
        await alice.call("session.sync")
        assert len((await alice.call("conversation.get", conversation=talk))["conversation"]["members"]) == 2
        await bob.call("conversation.sync", conversation=talk, rev=0)
        assert bob.user not in (await rest(house, alice, "GET", f"/v1/conversations/{talk}"))[1]
        async with house.connected(alice.account, codec) as back:
            await bob.send(talk, "hello")
            assert is_uuid((await back.event("message.new"))["message"]["sender"])
            tap.never_named(back, bob)
        tap.never_named(alice, bob)
        tap.never_named(bob, alice)


async def test_who_learns_of_a_match_by_a_resync_is_masked_before(
    hiding: Config, db: Postgres, tap: Tapped, own_redis: redis.Server
) -> None:
    """No order has said so. Without Redis Postgres is asked who hears what, and neither of them has asked for anything before."""
    lone = replace(hiding, redis=replace(hiding.redis, url=own_redis.url))
    async with running(lone) as daemon, daemon.person("alice") as alice, daemon.person("bob", "msgpack") as bob:
        talk = await made_behind_their_backs(db, alice, bob)
        await own_redis.stop()
        assert (await alice.event("behind", 20.0))["conversation"] == talk
        await bob.event("behind", 20.0)
        await bob.call("typing.start", conversation=talk)
        name = (await alice.event("typing.start"))["user"]
        await bob.send(talk)
        assert (await alice.event("message.new"))["message"]["sender"] == name
        tap.never_named(alice, bob)


async def test_friends_may_be_hidden_for_a_moment_and_are_shown_again(house: Daemon, db: Postgres) -> None:
    """They are strangers when they meet, and share a group afterwards: the next answer shows them to each other."""
    async with met(house) as (alice, bob, _, _, talk), house.person("carl") as carl:
        group = (await carl.call("conversation.create", members=[alice.user, bob.user]))["conversation"]["id"]
        listed = await alice.call("member.list", conversation=group)
        assert {member["user"] for member in listed["items"]} == {alice.user, bob.user, carl.user}
        await bob.send(talk, "so it is you")
        assert (await alice.event("message.new"))["message"]["sender"] == bob.user


async def test_only_the_last_matches_of_a_day_are_understood(house: Daemon, db: Postgres) -> None:
    async with met(house) as (alice, bob, bobs, _, _):
        await alice.call("match.leave")
        await bob.event("match.ended")
        await db.run("update match_members set created_at = created_at - $1::bigint, ended_at = ended_at - $1", 2 * DAY)
        assert (await rest(house, alice, "PUT", f"/v1/blocks/{bobs}", {}))[0] == 404
        await db.run("update match_members set created_at = created_at + $1::bigint, ended_at = ended_at + $1", 2 * DAY)
        assert (await rest(house, alice, "PUT", f"/v1/blocks/{bobs}", {}))[0] == 200
    assert MATCHES == 20


async def test_without_the_option_ids_are_ids(daemon: Daemon) -> None:
    async with AsyncExitStack() as stack:
        alice, bob = [await stack.enter_async_context(daemon.person(name)) for name in ("alice", "bob")]
        of_bob, of_alice = await meet(alice, bob)
        assert (of_bob["partner"]["id"], of_alice["partner"]["id"]) == (bob.user, alice.user)
        await bob.send(of_bob["conversation"], "hello")
        assert (await alice.event("message.new"))["message"]["sender"] == bob.user
        await eventually(lambda: not alice.events)
