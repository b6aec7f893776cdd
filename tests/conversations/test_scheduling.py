"""Scheduled messages are sent once, like other messages, whatever crashes."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import pytest
import trio

from chatd.accounts import bans
from chatd.app.jobs import Job
from chatd.client import Refused
from chatd.conversations.messages import scheduler
from chatd.conversations.settings import MessageSettings
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.ids import uuid7
from chatd.db.postgres import Postgres
from tests.cluster.test_two_nodes import nodes, pair_on
from tests.reply import Reply
from tests.support import NOBODY, Daemon, Person, covers, only_jobs, operator, poll_until, restarted, running

HOUR = 3_600_000
EVERY_S = 0.1
SOON = only_jobs(Job("scheduled messages", scheduler.send_due, EVERY_S))


@pytest.fixture
async def daemon(config: Config) -> AsyncIterator[Daemon]:
    """A daemon that sends due messages soon."""
    async with running(config, SOON) as started:
        yield started


def later(milliseconds: int = HOUR) -> int:
    return time.time_ns() // 1_000_000 + milliseconds


async def plan(
    person: Person, conversation: str, text: str = "later", at: int | None = None, **fields: object
) -> Reply:
    body = {"conversation": conversation, "client_id": str(uuid4()), "text": text, "at": at or later(), **fields}
    return await person.call("message.schedule", **body)


async def planned(person: Person) -> list[Reply]:
    return (await person.call("schedule.list"))["items"]


async def hasten(store: Postgres) -> None:
    """Make all scheduled messages due, and expire their leases."""
    await store.run("update scheduled_messages set due_at = 1, claimed_until = null")


async def until_none(person: Person) -> None:
    await poll_until(lambda: planned(person), lambda found: not found)


async def failure(person: Person) -> tuple[str, str]:
    """The event of the next failed message, which equals its entry in the list."""
    event = await person.event("schedule.failed")
    (item,) = (item for item in await planned(person) if item["id"] == event["id"])
    assert item["failed"] == event["code"]
    return event["client_id"], event["code"]


@covers("message.schedule")
@covers("schedule.list")
async def test_scheduled_message_is_sent_at_its_time(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.connected(alice.account) as tablet:
        first = await alice.send(conversation, "now")
        at = later(1500)
        done = await plan(
            alice,
            conversation,
            "then",
            at,
            client_id="then",
            reply_to=first.message,
            mentions=[bob.user],
            meta={"mood": 1},
        )
        assert (done["t"], done["at"]) == ("message.scheduled", at)
        await tablet.event("session.behind")
        (item,) = await planned(tablet)
        assert (item["id"], item["at"], item["text"], item["failed"]) == (done["id"], at, "then", None)
        assert [one["text"] for one in (await bob.call("message.history", conversation=conversation))["items"]] == [
            "now"
        ]
        assert await planned(bob) == []
        for person in (alice, tablet, bob):
            while (message := (await person.event("message.new"))["message"])["text"] != "then":
                pass
            assert (message["client_id"], message["sender"], message["seq"]) == ("then", alice.user, 2)
            assert (message["quote"]["text"], message["mentions"], message["meta"]) == ("now", [bob.user], {"mood": 1})
        assert message["created_at"] >= at
        await until_none(alice)


async def test_scheduling_again_returns_the_same_answer(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        fields = {"conversation": conversation, "client_id": "x", "text": "one", "at": later()}
        answers = [await alice.call("message.schedule", **{**fields, "at": later(number)}) for number in (HOUR, 1, -1)]
        assert answers == [answers[0]] * 3
        assert (await bob.call("message.schedule", **fields))["id"] != answers[0]["id"]
        assert len(await planned(alice)) == 1


@covers("message.schedule", "conflict")
@covers("message.schedule", "not_found")
@covers("message.schedule", "too_large")
async def test_scheduling_is_refused(config: Config, store: Postgres) -> None:
    small = config.using(MessageSettings(scheduled_per_user=2))
    async with running(small) as daemon, daemon.pair() as (alice, _, conversation), daemon.person() as eve:
        fields = {"conversation": conversation, "client_id": "x", "text": "hi", "at": later()}
        assert (await eve.refused("message.schedule", **fields)).code == "not_found"
        for wrong in (
            {"at": later(-1000)}, {"at": later(367 * 24 * HOUR)}, {"text": None}, {"at": "soon"},
            {"attachments": [{"upload": "x"}]},
        ):  # fmt: skip
            assert (await alice.refused("message.schedule", **{**fields, **wrong})).code == "bad_request", wrong
        assert (await alice.refused("message.schedule", **{**fields, "text": "é" * 9000})).code == "too_large"
        assert (await alice.refused("message.schedule", **fields, reply_to=NOBODY)).code == "not_found"
        assert (await alice.refused("message.schedule", **fields, attachments=[{"upload": NOBODY}])).code == "not_found"
        await alice.send(conversation, client_id="x")
        assert (await alice.refused("message.schedule", **fields)).code == "conflict"
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(attempt, alice, conversation)
        assert len(await planned(alice)) == 2
        assert (await alice.refused("message.schedule", **{**fields, "client_id": "y"})).code == "too_large"


async def attempt(person: Person, conversation: str) -> None:
    with suppress(Refused):
        await plan(person, conversation)


@covers("schedule.cancel")
@covers("schedule.cancel", "not_found")
@covers("schedule.edit")
@covers("schedule.edit", "not_found")
@covers("schedule.edit", "too_large")
async def test_scheduled_message_can_be_changed_and_cancelled(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        one, two = [await plan(alice, conversation, text) for text in ("one", "two")]
        at = later(2 * HOUR)
        changed = (await alice.call("schedule.edit", id=one["id"], text="uno", at=at))["scheduled"]
        assert (changed["text"], changed["at"]) == ("uno", at)
        assert (await alice.refused("schedule.edit", id=one["id"], text="é" * 9000)).code == "too_large"
        assert (await alice.refused("schedule.edit", id=one["id"], text="")).code == "bad_request"
        assert (await alice.refused("schedule.edit", id=one["id"], at=1)).code == "bad_request"
        for command, more in (("schedule.edit", {"text": "x"}), ("schedule.cancel", {})):
            assert (await bob.refused(command, id=one["id"], **more)).code == "not_found"
            assert (await alice.refused(command, id=NOBODY, **more)).code == "not_found"
        await alice.call("schedule.cancel", id=two["id"])
        await hasten(store)
        assert (await bob.event("message.new"))["message"]["text"] == "uno"
        await until_none(alice)
        assert (await bob.call("conversation.get", conversation=conversation)).conversation.seq == 1


@covers("schedule.cancel", "conflict")
@covers("schedule.edit", "conflict")
async def test_message_being_sent_cannot_be_cancelled(daemon: Daemon, store: Postgres) -> None:
    """A node leases it, or has leased and sent it and died before it could note that."""
    async with daemon.pair() as (alice, _, conversation):
        taken, sent = await plan(alice, conversation, "a"), await plan(alice, conversation, "b", client_id="b")
        await store.run("update scheduled_messages set claimed_until = 9000000000000000 where id = $1", taken["id"])
        await alice.send(conversation, "b", client_id="b")
        for one in (taken, sent):
            assert (await alice.refused("schedule.cancel", id=one["id"])).code == "conflict"
            assert (await alice.refused("schedule.edit", id=one["id"], text="c")).code == "conflict"


async def test_scheduled_message_is_checked_when_it_is_sent(daemon: Daemon, store: Postgres) -> None:
    """Membership, blocks, announcements, bans, and a client_id that was used in another conversation since."""
    async with daemon.people(3) as (alice, bob, carol):
        direct = (await alice.call("conversation.open", user=bob.user)).conversation.id
        group = (await bob.call("conversation.create", members=[alice.user, carol.user])).conversation.id
        await plan(alice, group, client_id="announce")
        await bob.call("conversation.edit", conversation=group, announce=True)
        await hasten(store)
        assert await failure(alice) == ("announce", "forbidden")
        await plan(alice, direct, client_id="blocked")
        await bob.call("user.block", user=alice.user)
        await hasten(store)
        assert await failure(alice) == ("blocked", "blocked")
        await plan(alice, group, client_id="removed")
        await bob.call("member.remove", conversation=group, user=alice.user)
        await hasten(store)
        assert await failure(alice) == ("removed", "not_found")
        there = (await carol.call("conversation.open", user=alice.user)).conversation.id
        await plan(carol, group, client_id="banned")
        await bans.ban_user(store, operator(), carol.user, "spam", None)
        await hasten(store)
        assert await failure(carol) == ("banned", "banned")
        assert (await bob.call("conversation.get", conversation=group)).conversation.last_message["system"]
        assert (await alice.call("conversation.get", conversation=there)).conversation.seq == 0


async def test_failed_scheduled_message_can_be_scheduled_again(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        done = await plan(alice, conversation, "again")
        await bob.call("user.block", user=alice.user)
        await hasten(store)
        await failure(alice)
        await bob.call("user.unblock", user=alice.user)
        assert (await alice.refused("schedule.edit", id=done["id"], text="x")).code == "bad_request"
        assert (await alice.call("schedule.edit", id=done["id"], at=later()))["scheduled"]["failed"] is None
        await hasten(store)
        assert (await bob.event("message.new"))["message"]["text"] == "again"


async def test_message_leased_by_a_dead_node_is_sent_once(config: Config, store: Postgres) -> None:
    """The node died after it had leased one message, and after it had sent another one without noting it."""
    async with running(config, SOON) as daemon, daemon.pair() as (alice, bob, conversation):
        await plan(alice, conversation, "taken", client_id="taken")
        await plan(alice, conversation, "sent", client_id="sent")
        await store.run("update scheduled_messages set claimed_until = 9000000000000000, due_at = 1")
        await alice.send(conversation, "sent", client_id="sent")
        await trio.sleep(3 * EVERY_S)
        assert len(await planned(alice)) == 2
        await hasten(store)
        await until_none(alice)
        items = (await bob.call("message.history", conversation=conversation))["items"]
        assert [item["text"] for item in items] == ["sent", "taken"]


async def test_two_nodes_send_each_scheduled_message_once(config: Config, store: Postgres) -> None:
    async with nodes(config, subsystems=SOON) as (one, two), pair_on(one, two) as (alice, bob, conversation):
        for number in range(30):
            await plan(alice, conversation, str(number))
        await hasten(store)
        received = [(await bob.event("message.new"))["message"] for _ in range(30)]
        assert sorted(int(message["text"]) for message in received) == list(range(30))
        assert [message["seq"] for message in received] == list(range(1, 31))
        await until_none(alice)


async def test_restart_sends_messages_that_became_due(config: Config, store: Postgres) -> None:
    async with running(config) as daemon, daemon.pair() as (alice, _, conversation):
        account = alice.account
        await plan(alice, conversation, "overnight")
    await hasten(store)
    async with running(restarted(config), SOON) as daemon, daemon.connected(account) as alice:
        await until_none(alice)
        (item,) = (await alice.call("message.history", conversation=conversation))["items"]
        assert item["text"] == "overnight"


@asynccontextmanager
async def file_of(store: Postgres, user: str) -> AsyncIterator[str]:
    id_ = uuid7(now_ms())
    await store.run(
        "insert into uploads (tenant, id, owner, key, mime, size, sha256, created_at)"
        " values ('default', $1, $2, $1::uuid::text, 'image/png', 1, '', 0)",
        id_,
        user,
    )
    yield id_


async def test_file_of_scheduled_message_is_in_use_until_sent(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation), file_of(store, alice.user) as file:
        await plan(alice, conversation, attachments=[{"upload": file}])
        assert await store.value("select upload::text from scheduled_uploads") == file
        stolen = {"conversation": conversation, "client_id": "x", "attachments": [{"upload": file}]}
        assert (await bob.refused("message.send", **stolen)).code == "not_found"
        await hasten(store)
        await bob.event("message.new")
        await until_none(alice)
        assert await store.value("select count(*) from scheduled_uploads") == 0
        assert (await bob.call("message.send", **stolen)).seq == 2


async def test_scheduled_messages_are_paged(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, conversation):
        ids = [(await plan(alice, conversation))["id"] for _ in range(5)]
        found, cursor = [], None
        while len(found) < 5:
            page = await alice.call("schedule.list", limit=2, **({"cursor": cursor} if cursor else {}))
            found += [item["id"] for item in page["items"]]
            cursor = page["cursor"]
        assert (sorted(found), found, cursor) == (sorted(ids), sorted(ids), None)


async def test_scheduling_works_over_rest(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, conversation):
        token = alice.account.access_token
        body = {"client_id": "x", "text": "hi", "at": later()}
        made = await daemon.rest("POST", f"/v1/conversations/{conversation}/scheduled", body, token)
        assert (made.status, made.body["at"]) == (200, body["at"])
        path = f"/v1/scheduled/{made.body['id']}"
        assert (await daemon.rest("PATCH", path, {"text": "ho"}, token)).body["scheduled"]["text"] == "ho"
        assert [item["text"] for item in (await daemon.rest("GET", "/v1/scheduled", token=token)).body["items"]] == [
            "ho"
        ]
        assert (await daemon.rest("DELETE", path, token=token)).status == 200
        assert await planned(alice) == []
