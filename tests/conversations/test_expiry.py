"""Disappearing messages, and retention."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from chatd.accounts.settings import TenantSettings
from chatd.app.jobs import Job, is_due
from chatd.conversations.messages import deletion
from chatd.conversations.settings import RetentionSettings, TenantRetention
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from tests.cluster.test_two_nodes import nodes, pair_on
from tests.files import picture, stored
from tests.support import Daemon, Person, only_jobs, poll_until, running, with_frequent_jobs

SOON = only_jobs(Job("disappearing messages", deletion.delete_expired, 0.1))
SWEPT = ("message_edits", "reactions", "mentions", "upload_uses")


@pytest.fixture
async def daemon(config: Config) -> AsyncIterator[Daemon]:
    """A daemon that deletes expired messages soon."""
    async with running(config, SOON) as started:
        yield started


async def expired(person: Person) -> Any:
    """The next event of an expired message."""
    while (event := await person.event("message.update"))["change"] != "expire":
        pass
    return event


async def history(person: Person, conversation: str) -> list[Any]:
    return (await person.call("message.history", conversation=conversation))["items"]


async def rich(alice: Person, bob: Person, conversation: str) -> dict[str, str]:
    """A message with everything that a message can have."""
    sent = await alice.send(conversation, "secrt", mentions=[bob.user], meta={"a": 1})
    fields = {"conversation": conversation, "message": sent.message}
    await alice.call("message.edit", text="secret", **fields)
    await bob.call("reaction.add", emoji="👍", **fields)
    await bob.call("message.pin", **fields)
    await bob.call("message.star", **fields)
    await bob.send(conversation, "what?", reply_to=sent.message)
    return fields


async def test_message_disappears_at_its_expiry(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        await alice.send(conversation, "stays")
        await alice.call("conversation.edit", conversation=conversation, disappear=1)
        sent = await alice.send(conversation, "goes")
        while (received := (await bob.event("message.new"))["message"])["text"] != "goes":
            pass
        assert received["expires_at"] == sent.expires_at == sent.created_at + 1000
        event = await expired(bob)
        assert (event["message"]["id"], event["message"]["text"]) == (sent.message, None)
        assert event["message"]["deleted_at"] >= received["expires_at"]
        assert "expires_at" not in event["message"]
        assert "by" not in event
        assert event["rev"] > sent.rev
        items = await history(alice, conversation)
        assert [(item["seq"], item["text"]) for item in items if "system" not in item] == [(1, "stays"), (3, None)]
        changes = await alice.call("conversation.sync", conversation=conversation, rev=sent.rev)
        assert event["message"] in changes["messages"]
        assert await store.value("select count(*) from messages where text = 'goes'") == 0


async def test_expired_message_leaves_no_content(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        fields = await rich(alice, bob, conversation)
        await store.run(
            "insert into uploads (tenant, id, owner, key, mime, size, sha256, created_at)"
            " values ('default', $1, $1, 'k', 'image/png', 1, '', 0)",
            alice.user,
        )
        await store.run("insert into upload_uses values ('default', $1, $2, 1)", alice.user, conversation)
        await store.run("update messages set expires_at = 1 where id = $1", fields["message"])
        await expired(alice)
        for table in SWEPT:
            assert await store.value(f"select count(*) from {table}") == 0, table
        state = (await bob.call("conversation.get", conversation=conversation)).conversation
        assert (state["unread"], state["mentions"]) == (0, 0)


async def test_expired_message_is_hidden_before_the_sweep(config: Config, store: Postgres) -> None:
    async with running(config, only_jobs()) as daemon, daemon.pair() as (alice, bob, conversation):
        fields = await rich(alice, bob, conversation)
        before = await bob.call("conversation.get", conversation=conversation)
        assert (before.conversation["unread"], before.conversation["mentions"]) == (1, 1)
        await store.run("update messages set expires_at = 1 where id = $1", fields["message"])
        assert await store.value("select text from messages where id = $1", fields["message"]) == "secret"
        for person in (alice, bob):
            gone, reply = (await history(person, conversation))[0], (await history(person, conversation))[-1]
            assert (gone["text"], gone["meta"], gone["deleted_at"]) == (None, None, 1)
            assert not {"reactions", "mine", "mentions", "edited_at", "pinned_at", "expires_at"} & set(gone)
            assert (reply["quote"]["text"], reply["quote"]["deleted"]) == (None, True)
            synced = await person.call("conversation.sync", conversation=conversation, rev=0)
            assert {key: gone[key] for key in ("id", "text")} in [
                {key: m[key] for key in ("id", "text")} for m in synced["messages"]
            ]
        state = (await bob.call("conversation.get", conversation=conversation)).conversation
        assert (state["unread"], state["mentions"]) == (0, 0)
        assert (await alice.call("message.edits", **fields))["items"] == []
        assert (await alice.call("reaction.list", **fields))["items"] == []
        assert (await alice.call("message.pins", conversation=conversation))["items"] == []
        assert (await bob.call("message.starred"))["items"] == []
        assert (await alice.refused("message.edit", text="back", **fields)).code == "conflict"
        assert (await bob.refused("reaction.add", emoji="👍", **fields)).code == "conflict"
        forward = await bob.refused(
            "message.forward", conversation=conversation, client_id="f", source=conversation, message=fields["message"]
        )
        assert forward.code == "conflict"
        again = await bob.send(conversation, "hm", reply_to=fields["message"])
        (item,) = (item for item in await history(alice, conversation) if item["id"] == again.message)
        assert item["quote"]["text"] is None


async def test_file_of_expired_message_is_not_readable_before_the_sweep(config: Config, store: Postgres) -> None:
    async with running(config, only_jobs()) as daemon, daemon.pair() as (alice, bob, conversation):
        upload = (await stored(daemon, alice.account.access_token, picture()))["id"]
        attachment = {"attachments": [{"upload": upload}]}
        await alice.send(conversation, **attachment)
        path, token = f"/v1/uploads/{upload}", bob.account.access_token
        assert (await daemon.rest("GET", path, token=token)).status == 200
        await store.run("update messages set expires_at = 1")
        assert (await daemon.rest("GET", path, token=token)).status == 404
        used = await bob.refused("message.send", conversation=conversation, client_id="mine", **attachment)
        assert used.code == "not_found"
        assert (await daemon.rest("GET", path, token=alice.account.access_token)).status == 200


async def test_two_nodes_delete_each_expired_message_once(config: Config, store: Postgres) -> None:
    async with nodes(config, subsystems=SOON) as (one, two), pair_on(one, two) as (alice, bob, conversation):
        for number in range(40):
            last = await alice.send(conversation, str(number))
        await store.run("update messages set expires_at = 1")
        for person in (alice, bob):
            revs = [(await expired(person))["rev"] for _ in range(40)]
            assert revs == list(range(last.rev + 1, last.rev + 41))
        state = (await bob.call("conversation.get", conversation=conversation)).conversation
        assert (state["rev"], state["seq"]) == (last.rev + 40, 40)


async def age(store: Postgres, conversation: str, days: int, most: int) -> None:
    """Backdate the first messages of a conversation."""
    await store.run(
        "update messages set created_at = now_ms() - $1 * 86400000::bigint where conversation = $2 and seq <= $3",
        days, conversation, most,
    )  # fmt: skip


async def swept(person: Person, conversation: str) -> list[bool]:
    """For each message, whether it is deleted, after the last deletion has arrived."""
    return ["deleted_at" in item for item in await history(person, conversation)]


# Sweep often, with small batches.
RETENTION = only_jobs(Job("retention", partial(deletion.delete_aged, every_ms=0, batch_size=3, page_size=2), 0.2))


async def wait_for(person: Person, conversation: str, gone: list[bool]) -> None:
    await poll_until(lambda: swept(person, conversation), lambda found: found == gone)


async def test_messages_beyond_retention_are_deleted(config: Config, store: Postgres) -> None:
    """The shorter of the conversation's and the configured retention applies."""
    settings = config.using(RetentionSettings(days=30))
    async with running(settings, RETENTION) as daemon, daemon.people(4) as (alice, *others):
        ids = [(await alice.call("conversation.open", user=other.user)).conversation.id for other in others]
        for id_ in ids:
            for number in range(9):
                await alice.send(id_, str(number))
        usual, strict, lenient = ids
        await store.run("update conversations set keep_days = 10 where id = $1", strict)
        await store.run("update conversations set keep_days = 300 where id = $1", lenient)
        for id_ in ids:
            await age(store, id_, 31, 4)
        await age(store, strict, 11, 8)
        await wait_for(alice, usual, [True] * 4 + [False] * 5)
        await wait_for(alice, lenient, [True] * 4 + [False] * 5)
        await wait_for(alice, strict, [True] * 8 + [False])
        event = await expired(others[0])
        assert (event["message"]["seq"], event["message"]["text"]) == (1, None)
        assert [item["seq"] for item in await history(alice, usual)] == list(range(1, 10))
        assert await store.value("select swept_seq from conversations where id = $1", strict) == 8


async def test_messages_are_kept_without_retention(config: Config, store: Postgres) -> None:
    async with running(config, RETENTION) as daemon, daemon.people(3) as (alice, bob, carol):
        kept, short = [
            (await alice.call("conversation.open", user=other.user)).conversation.id for other in (bob, carol)
        ]
        for id_ in (kept, short):
            await alice.send(id_, "old")
            await age(store, id_, 4000, 1)
        await alice.call("conversation.edit", conversation=short, keep_days=1)
        # Only the description of the change is new.
        await wait_for(alice, short, [True, False])
        assert await swept(alice, kept) == [False]


async def test_retention_sweep_runs_on_one_node(config: Config, store: Postgres) -> None:
    async with nodes(config, subsystems=with_frequent_jobs(0.5)):
        await poll_until(lambda: store.value("select count(*) from job_runs where job = 'retention'"))
        assert not await is_due(store, "retention", deletion.RETENTION_EVERY_MS)
        assert await is_due(store, "retention", 0)


async def test_retention_days_differ_by_tenant(config: Config) -> None:
    retention = {"a": TenantRetention(), "b": TenantRetention(retention_days=0), "c": TenantRetention(retention_days=7)}
    tenants = config.using_named(TenantSettings, dict.fromkeys("abc", TenantSettings())).using_named(
        TenantRetention, retention
    )
    days = deletion.days_of(tenants.using(RetentionSettings(days=30)))
    assert days == {"default": 30, "a": 30, "b": 0, "c": 7}
