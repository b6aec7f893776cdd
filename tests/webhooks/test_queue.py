"""The queue: what is written with a change, what is kept and for how long, and what an erasure leaves."""

import dataclasses
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from chatd.app.jobs import Job
from chatd.core.config import Config, PostgresSection
from chatd.db.postgres import Postgres, Tx, open_postgres
from chatd.webhooks.attempts import retry_after_s, wait_ms
from chatd.webhooks.router import batch_size
from chatd.webhooks.subsystem import WEBHOOKS, open_webhooks
from chatd.webhooks.sweep import sweep
from chatd.webhooks.tunables import TUNABLES
from tests.admins import administered, done
from tests.outside import Asked, answer
from tests.support import PATIENCE, altered, poll_until, restarted, running
from tests.webhooks.receiver import LOCAL, QUICK, SHORT_TIMEOUT_S, deliveries, listed, receiving, sending

COUNTS = """
select (select count(*) from outbox) as outbox, (select count(*) from webhook_deliveries) as deliveries,
    (select count(*) from webhook_streams) as streams, (select count(*) from webhook_endpoints) as endpoints,
    (select count(*) from outbox_interests) as interests
"""


async def counts(db: Postgres) -> dict[str, int]:
    row = await db.one(COUNTS)
    assert row is not None
    return dict(row)


class Undone(Exception):
    pass


async def rename_and_fail(tx: Tx, user: str) -> None:
    await tx.run("update users set name = 'undone' where id = $1", user)
    assert await tx.value("select count(*) from outbox where type = 'user.updated'") == 1
    raise Undone


async def test_a_change_that_is_rolled_back_leaves_no_event(config: Config) -> None:
    async with (
        sending(config) as daemon,
        receiving(daemon, types=["user.updated"]) as receiver,
        daemon.person() as alice,
        open_postgres(config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db,
    ):
        with pytest.raises(Undone):
            await db.in_transaction(rename_and_fail, alice.user)
        await alice.call("user.update", name="done")
        (event,) = await receiver.wait(1)
        assert event["data"]["name"] == "done"
        assert len(receiver.events()) == 1


async def test_without_an_endpoint_nothing_is_written(config: Config) -> None:
    nothing = {"outbox": 0, "deliveries": 0, "streams": 0, "endpoints": 0, "interests": 0}
    async with (
        sending(config) as daemon,
        open_postgres(config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db,
        daemon.pair() as (alice, _, conversation),
    ):
        await alice.send(conversation)
        assert await counts(db) == nothing
        async with receiving(daemon, types=["message.*", "user.erased"]) as receiver:
            assert (await counts(db))["interests"] == 4
            await done(daemon, "webhook.disable", endpoint=receiver.id)
            assert (await counts(db))["interests"] == 0
            await done(daemon, "webhook.enable", endpoint=receiver.id)
            assert (await counts(db))["interests"] == 4
        assert (await counts(db))["interests"] == 0


async def test_a_message_that_is_sent_twice_is_one_event(config: Config) -> None:
    async with (
        sending(config) as daemon,
        receiving(daemon, types=["message.created"]) as receiver,
        daemon.pair() as (alice, _, conversation),
    ):
        for _ in range(3):
            await alice.call("message.send", conversation=conversation, client_id="same", text="once")
        await alice.send(conversation, "last")
        assert [event["data"]["text"] for event in await receiver.wait(2)] == ["once", "last"]


async def test_events_wait_for_a_node(config: Config) -> None:
    """Also those whose node ended between their commit and their way to the queue of the endpoint."""
    late = replace(QUICK, poll_s=60.0, gather_s=60.0)
    async with sending(config, tunables=late) as daemon, receiving(daemon, types=["message.created"]) as receiver:
        async with daemon.pair() as (alice, _, conversation):
            for number in range(3):
                await alice.send(conversation, str(number))
        async with open_postgres(config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db:
            assert (await counts(db))["outbox"] == 3
        async with sending(restarted(config)):
            assert [event["data"]["text"] for event in await receiver.wait(3)] == ["0", "1", "2"]


async def test_content_that_was_deleted_is_not_sent(config: Config) -> None:
    async def refuse(_: Asked) -> bytes:
        return answer(b"", "503 Service Unavailable")

    async with (
        sending(config) as daemon,
        receiving(daemon, refuse, types=["message.created", "user.updated", "user.erased"]) as receiver,
        daemon.pair() as (alice, bob, conversation),
    ):
        sent = await alice.send(conversation, "not for long")
        await receiver.wait(1)
        await alice.call("message.delete", conversation=conversation, message=sent.message)
        before = len(receiver.server.asked)
        found = await receiver.wait(before + 2)
        assert (found[-1]["type"], found[-1]["data"]["text"]) == ("message.created", None)
        assert found[-1]["data"]["deleted_at"] is not None
        assert bob.user


async def test_an_erasure_removes_the_events_about_the_user(config: Config) -> None:
    """Those that are sent; and those that wait are sent without content. `user.erased` stays."""
    async with (
        sending(config) as daemon,
        receiving(daemon) as receiver,
        daemon.pair() as (alice, bob, conversation),
        open_postgres(config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db,
    ):
        await alice.send(conversation, "hello")
        await bob.send(conversation, "hi")
        await receiver.wait(2, "message.created")
        await poll_until(lambda: listed(daemon, receiver), lambda item: not item["pending"])
        await alice.call("me.erase", confirm=True)
        await receiver.wait(1, "user.erased")

        async def types() -> list[str]:
            sql = "select type from webhook_deliveries where user_id = $1 order by id"
            return [row["type"] for row in await db.all(sql, alice.user)]

        await poll_until(types, lambda found: "user.created" not in found and "user.erased" in found, 30)
        left = await db.all("select type from webhook_deliveries where user_id = $1", bob.user)
        assert {"user.created", "message.created"} <= {row["type"] for row in left}


async def test_old_events_and_removed_endpoints_are_deleted(config: Config) -> None:
    job = Job("webhooks", sweep, 0.05)
    webhooks = dataclasses.replace(WEBHOOKS, open=partial(open_webhooks, tunables=QUICK))
    settings = replace(LOCAL, keep_delivered=0.0)
    async with (
        running(administered(config.using(settings)), altered(webhooks, job)) as daemon,
        open_postgres(config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db,
    ):
        async with receiving(daemon) as receiver:
            await done(daemon, "webhook.test", endpoint=receiver.id)
            await receiver.wait(1)
            await swept(db, {"deliveries": 0, "streams": 0, "endpoints": 1})
            await done(daemon, "webhook.disable", endpoint=receiver.id)
            await db.run("update webhook_endpoints set disabled_at = null, disabled_reason = null")
            await done(daemon, "webhook.edit", endpoint=receiver.id, url="http://127.0.0.1:1/")
            await done(daemon, "webhook.test", endpoint=receiver.id)
            await poll_until(lambda: deliveries(daemon, receiver), lambda found: found and found[0]["attempts"])
            await db.run("update webhook_endpoints set disabled_at = 1, disabled_reason = 'x'")
            await done(daemon, "webhook.edit", endpoint=receiver.id, note="read it again")
            await swept(db, {"deliveries": 1, "streams": 0, "endpoints": 1})
            (parked,) = await deliveries(daemon, receiver, state="parked")
            assert parked["error"] == "cannot connect: nothing answers at this address"
        await swept(db, {"deliveries": 0, "streams": 0, "endpoints": 0})


async def swept(db: Postgres, expected: dict[str, int]) -> None:
    """Let the sweep run again and again until so many rows are left."""

    async def left() -> dict[str, int]:
        await db.run("delete from job_runs where job = 'webhooks'")
        return {name: count for name, count in (await counts(db)).items() if name in expected}

    await poll_until(left, lambda found: found == expected)


async def test_an_endpoint_with_too_many_events_is_disabled(config: Config) -> None:
    job = Job("webhooks", sweep, 0.05)
    webhooks = dataclasses.replace(WEBHOOKS, open=partial(open_webhooks, tunables=QUICK))
    settings = replace(LOCAL, max_pending=3)

    async def refuse(_: Asked) -> bytes:
        return answer(b"", "503 Service Unavailable")

    async with (
        running(administered(config.using(settings)), altered(webhooks, job)) as daemon,
        receiving(daemon, refuse, types=["message.created"]) as receiver,
        daemon.pair() as (alice, _, conversation),
        open_postgres(config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db,
    ):
        for _ in range(5):
            await alice.send(conversation)

        async def disabled() -> Any:
            await db.run("delete from job_runs where job = 'webhooks'")
            return (await listed(daemon, receiver))["disabled_reason"]

        assert await poll_until(disabled) == "more than 3 events wait for it"


async def test_the_age_of_the_queue_is_measured(config: Config) -> None:
    async def never(_: Asked) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    settings = replace(LOCAL, timeout=SHORT_TIMEOUT_S)
    async with sending(config, settings) as daemon, receiving(daemon, never) as receiver:

        async def metrics() -> dict[str, float]:
            text = (await daemon.rest("GET", "/metrics", Host="localhost")).body.decode()
            lines = (line.split() for line in text.splitlines() if line.startswith("chatd_webhook_"))
            return {name: float(value) for name, value in lines}

        assert (await metrics())["chatd_webhook_queue_age_seconds"] == 0
        await done(daemon, "webhook.test", endpoint=receiver.id)
        await poll_until(metrics, lambda found: found["chatd_webhook_queue_age_seconds"] > 0.2)
        found = await poll_until(metrics, lambda found: found["chatd_webhook_failing_endpoints"])
        assert found["chatd_webhook_failures_total"] >= 1
        assert (found["chatd_webhook_sent_total"], found["chatd_webhook_parked_total"]) == (0, 0)


async def test_many_endpoints_take_turns(config: Config) -> None:
    """More than are claimed at once, of which some fail and some do not answer, and more events than are moved at once."""

    async def refuse(_: Asked) -> bytes:
        return answer(b"", "503 Service Unavailable")

    async def never(_: Asked) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    few = replace(QUICK, claim_endpoints=2, route_deliveries=16)
    async with sending(config, replace(LOCAL, timeout=30.0), few) as daemon, AsyncExitStack() as stack:
        types = ["message.created"]
        for broken in (refuse, never, never):
            await stack.enter_async_context(receiving(daemon, broken, types=types))
        receivers = [await stack.enter_async_context(receiving(daemon, types=types)) for _ in range(5)]
        alice, _, conversation = await stack.enter_async_context(daemon.pair())
        for number in range(10):
            await alice.send(conversation, str(number))
        for receiver in receivers:
            found = await receiver.wait(10)
            assert [event["data"]["text"] for event in found] == [str(number) for number in range(10)]


def test_a_batch_is_small_for_a_tenant_with_many_endpoints() -> None:
    sizes = [batch_size({"one": 1, "other": count}, TUNABLES) for count in (1, 20, 1000, 10**6)]
    assert sizes == [1000, 1000, 20, 1]
    assert batch_size({}, TUNABLES) == 1000


def test_waits_grow_and_are_bounded() -> None:
    long = 10**9
    waits = [wait_ms(attempts, 0, long, TUNABLES) / 1000 for attempts in range(12)]
    for expected, wait in zip((5, 15, 45, 135, 405, 1215, 3600, 3600), waits, strict=False):
        assert 0.8 * expected <= wait <= 1.2 * expected
    assert wait_ms(10**6, 0, long, TUNABLES) <= 1.2 * 3600 * 1000
    assert wait_ms(0, 600, long, TUNABLES) == 600_000
    assert wait_ms(0, 10**9, 10**12, TUNABLES) == 86_400_000
    # The last attempt is at the end of the time.
    assert wait_ms(9, 0, 1000, TUNABLES) == 1000
    assert wait_ms(9, 0, -5, TUNABLES) == 0


def test_retry_after_is_read_in_both_forms() -> None:
    now_s = 1_770_000_000
    assert retry_after_s("120", now_s) == 120
    assert retry_after_s("Mon, 02 Feb 2026 02:41:00 GMT", now_s) == 60
    for text in ("", "soon", "-5", "1e9", "Mon, 02 Feb 2020 02:41:00 GMT", "\u0661\u0662", "99 Feb", "\x00"):
        assert retry_after_s(text, now_s) == 0
    assert retry_after_s("9" * 5000, now_s) == 999_999_999
