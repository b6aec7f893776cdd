"""Admin commands for webhooks, and their refusals."""

from typing import Any

import pytest

from chatd.core.clock import now_ms
from chatd.core.config import Config, PostgresSection
from chatd.db.postgres import open_postgres
from chatd.webhooks.settings import WebhookSettings
from tests.admins import BEN, NOBODY, acts, done, refused
from tests.support import PATIENCE, Daemon, covers, poll_until
from tests.webhooks.receiver import Receiver, deliveries, listed, receiving, sending

URL = "https://example.org/hooks?key=secret-of-the-path"


async def until(daemon: Daemon, receiver: Receiver, state: str, count: int = 1) -> list[dict[str, Any]]:
    """The events of an endpoint, once so many are in this state."""
    return await poll_until(
        lambda: deliveries(daemon, receiver), lambda found: [item["state"] for item in found].count(state) == count
    )


@covers("admin.webhook.add")
@covers("admin.webhook.edit")
@covers("admin.webhook.remove")
@covers("admin.webhooks")
async def test_endpoints_are_added_changed_and_removed(config: Config) -> None:
    async with sending(config) as daemon:
        added = await done(daemon, "webhook.add", url=URL, types=["message.*", "user.erased"], note="the shop")
        assert added["secret"].startswith("whsec_")
        (item,) = (await done(daemon, "webhooks"))["items"]
        assert (item["id"], item["url"], item["note"]) == (added["id"], URL, "the shop")
        assert (item["disabled_at"], item["failing_since"], item["pending"], item["parked"]) == (None, None, 0, 0)
        assert "secret" not in item
        await done(daemon, "webhook.edit", endpoint=added["id"], types=["*"])
        (item,) = (await done(daemon, "webhooks"))["items"]
        assert (item["types"], item["url"], item["note"]) == (["*"], URL, "the shop")
        await done(daemon, "webhook.remove", endpoint=added["id"])
        assert (await done(daemon, "webhooks"))["items"] == []
        assert await acts(daemon) == [("ann", f"webhook.{act}", added["id"]) for act in ("remove", "edit", "add")]
        entries = (await done(daemon, "audit"))["items"]
        assert "secret-of-the-path" not in str(entries)


@covers("admin.webhook.add", "too_large")
async def test_a_tenant_has_a_limited_number_of_endpoints(config: Config) -> None:
    async with sending(config, WebhookSettings(max_endpoints=1)) as daemon:
        added = await done(daemon, "webhook.add", url=URL, types=["*"])
        assert await refused(daemon, "webhook.add", url=URL, types=["*"]) == "too_large"
        await done(daemon, "webhook.add", url=URL, types=["*"], tenant="acme")
        await done(daemon, "webhook.remove", endpoint=added["id"])
        await done(daemon, "webhook.add", url=URL, types=["*"])


@pytest.mark.parametrize("url", [
    "http://example.org/", "ftp://example.org/", "https://user:pass@example.org/", "https://127.0.0.1/", "https://[::1]/",
    "https://10.1.2.3/x", "https://169.254.169.254/", "example.org", "https://", "https://ex ample.org/", "",
])  # fmt: skip
async def test_bad_urls_are_refused(config: Config, url: str) -> None:
    async with sending(config, WebhookSettings()) as daemon:
        assert await refused(daemon, "webhook.add", url=url, types=["*"]) == "bad_request"


async def test_filters_that_select_nothing_are_refused(config: Config) -> None:
    async with sending(config, WebhookSettings()) as daemon:
        for types in (
            [],
            ["message"],
            ["message.sent"],
            ["nothing.*"],
            ["*.*"],
            ["message.created", "x.y"],
            ["webhook.test"],
        ):
            assert await refused(daemon, "webhook.add", url=URL, types=types) == "bad_request"


@covers("admin.webhook.edit", "not_found")
@covers("admin.webhook.test", "not_found")
@covers("admin.webhook.replay", "not_found")
@covers("admin.webhook.enable", "not_found")
@covers("admin.webhook.disable", "not_found")
@covers("admin.webhook.rotate", "not_found")
@covers("admin.webhook.remove", "not_found")
async def test_unknown_and_foreign_endpoints_are_not_found(config: Config) -> None:
    async with sending(config) as daemon:
        added = (await done(daemon, "webhook.add", url=URL, types=["*"]))["id"]
        for command in ("edit", "test", "replay", "enable", "disable", "rotate", "remove"):
            fields = {"since": 0, "until": now_ms()} if command == "replay" else {}
            name = f"webhook.{command}"
            assert await refused(daemon, name, endpoint=NOBODY, **fields) == "not_found"
            assert await refused(daemon, name, endpoint=added, tenant="acme", **fields) == "not_found"
            assert await refused(daemon, name, endpoint=added, token=BEN, **fields) == "not_found"
            assert await refused(daemon, name, endpoint=added, tenant="acme", token=BEN, **fields) == "not_found"
        assert (await done(daemon, "webhook.deliveries", endpoint=added, tenant="acme"))["items"] == []
        assert len((await done(daemon, "webhooks"))["items"]) == 1


@covers("admin.webhook.test")
@covers("admin.webhook.disable")
@covers("admin.webhook.enable")
@covers("admin.webhook.deliveries")
async def test_a_disabled_endpoint_gets_nothing_until_it_is_enabled(config: Config) -> None:
    async with sending(config) as daemon, receiving(daemon, types=["message.created"]) as receiver:
        event = (await done(daemon, "webhook.test", endpoint=receiver.id))["event"]
        (tested,) = await receiver.wait(1)
        assert (tested["id"], tested["type"]) == (event, "webhook.test")
        await done(daemon, "webhook.disable", endpoint=receiver.id, reason="moving")
        item = await listed(daemon, receiver)
        assert item["disabled_at"] is not None
        assert item["disabled_reason"] == "moving"
        async with daemon.pair() as (alice, _, conversation):
            await alice.send(conversation, "unheard")
            await done(daemon, "webhook.enable", endpoint=receiver.id)
            await alice.send(conversation, "heard")
            assert [e["data"]["text"] for e in await receiver.wait(1, "message.created")] == ["heard"]
        found = await until(daemon, receiver, "delivered", 2)
        assert [item["type"] for item in found] == ["message.created", "webhook.test"]
        page = await done(daemon, "webhook.deliveries", endpoint=receiver.id, limit=1)
        assert page["more"] is True
        rest = await deliveries(daemon, receiver, before=page["items"][0]["id"])
        assert [item["type"] for item in rest] == ["webhook.test"]


@covers("admin.webhook.test", "conflict")
async def test_a_disabled_endpoint_is_not_tested(config: Config) -> None:
    async with sending(config) as daemon, receiving(daemon) as receiver:
        await done(daemon, "webhook.disable", endpoint=receiver.id)
        assert await refused(daemon, "webhook.test", endpoint=receiver.id) == "conflict"


@covers("admin.webhook.rotate")
async def test_secrets_rotate_with_overlap(config: Config) -> None:
    """Both secrets verify while they overlap; after that, the new one only. The database contains neither."""
    async with sending(config) as daemon, receiving(daemon) as receiver:
        first = receiver.secret
        receiver.secret = (await done(daemon, "webhook.rotate", endpoint=receiver.id))["secret"]
        assert receiver.secret != first
        await done(daemon, "webhook.test", endpoint=receiver.id)
        await receiver.wait(1)
        asked = receiver.server.asked[0]
        assert len(asked.headers["webhook-signature"].split()) == 2
        for secret in (first, receiver.secret):
            receiver.secret = secret
            receiver.verify(asked)
        async with open_postgres(config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db:
            await db.run("update webhook_endpoints set previous_until = 1")
            rows = await db.all("select to_jsonb(e)::text as row from webhook_endpoints e")
            assert first[6:] not in rows[0]["row"]
        await done(daemon, "webhook.edit", endpoint=receiver.id, note="read it again")
        await done(daemon, "webhook.test", endpoint=receiver.id)
        await receiver.wait(2)
        assert len(receiver.server.asked[1].headers["webhook-signature"].split()) == 1
        receiver.verify(receiver.server.asked[1])


@covers("admin.webhook.replay")
async def test_a_range_is_replayed_twice(config: Config) -> None:
    """Under the same ids, in the same order, and only what is settled."""
    async with (
        sending(config) as daemon,
        receiving(daemon, types=["message.created"]) as receiver,
        daemon.pair() as (alice, _, conversation),
    ):
        began = now_ms()
        for number in range(5):
            await alice.send(conversation, str(number))
        first = await receiver.wait(5)
        await until(daemon, receiver, "delivered", 5)
        window = {"since": began - 60_000, "until": now_ms() + 60_000}
        for repeat in (2, 3):
            replayed = await done(daemon, "webhook.replay", endpoint=receiver.id, **window)
            assert (replayed["events"], replayed["after"] is None) == (5, False)
            again = {**window, "after": replayed["after"]}
            last = await done(daemon, "webhook.replay", endpoint=receiver.id, **again)
            assert (last["events"], last["after"]) == (0, None)
            found = await receiver.wait(5 * repeat)
            assert [event["id"] for event in found] == [event["id"] for event in first] * repeat
            await until(daemon, receiver, "delivered", 5)
        early = {"since": began - 60_000, "until": began - 30_000}
        assert (await done(daemon, "webhook.replay", endpoint=receiver.id, **early))["events"] == 0
        parked = await done(daemon, "webhook.replay", endpoint=receiver.id, **window, state="parked")
        assert parked["events"] == 0
