"""Bots as accounts: what admins and backends do with them, and their tokens."""

from typing import Any
from uuid import uuid4

import pytest
import trio

from chatd.bots import accounts
from chatd.bots.settings import BotSettings
from chatd.client import Account
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from tests import admins
from tests.admins import administered, done, order
from tests.bots.world import WEATHER, Bots, bots_of, group_of
from tests.server_api.backend import backend_of
from tests.server_api.test_users import download
from tests.support import NOBODY, Daemon, covers, poll_until, running

daemon = admins.daemon


@covers("server.bot.add")
@covers("server.bots")
@covers("server.bot.update")
@covers("user.get")
async def test_a_backend_adds_lists_and_changes_bots(daemon: Daemon) -> None:
    bots = await bots_of(daemon)
    made = await bots.backend.done(
        "POST", "/bots", {"handle": "Weather.Bot", "name": "Weather", "description": "Tells it", "lasts": 3600}
    )
    assert made["token"].startswith("chatd_bt_")
    shown = made["bot"]
    assert (shown["handle"], shown["reads"], shown["webhook"], shown["commands"]) == (
        "weather.bot",
        "commands",
        None,
        0,
    )
    assert shown["token"]["expires_at"] > shown["created_at"]
    listed = (await bots.backend.done("GET", "/bots"))["items"]
    assert [one["id"] for one in listed] == [shown["id"]]
    assert made["token"] not in str(listed)
    new = await bots.backend.done("PATCH", f"/bots/{shown['id']}", {"name": "Sky", "reads": "all", "handle": "sky"})
    assert (new["bot"]["name"], new["bot"]["reads"], new["bot"]["handle"]) == ("Sky", "all", "sky")
    async with daemon.person() as alice:
        user = (await alice.call("user.get", user="@sky")).user
        assert (user["id"], user["bot"]) == (shown["id"], True)
        assert "bot" not in (await alice.call("me.get")).user
        found = (await alice.call("user.search", query="sky"))["items"]
        assert [(one["handle"], one["bot"]) for one in found] == [("sky", True)]


@covers("server.bot.add", "conflict", "forbidden", "too_large")
@covers("server.bot.update", "not_found", "conflict", "forbidden")
async def test_bots_that_are_refused(config: Config) -> None:
    async with running(config.using(BotSettings(max_bots=2))) as daemon:
        bots = await bots_of(daemon)
        first = await bots.add(handle="paypal")
        for handle, code in (
            ("payp\u0430l", "bad_request"),
            ("PayPa1", "conflict"),
            ("admin", "forbidden"),
            ("a", "bad_request"),
        ):
            assert await bots.backend.refused("POST", "/bots", {"handle": handle}) == code, handle
        async with daemon.person() as alice:
            await alice.call("user.update", handle="alice")
        assert await bots.backend.refused("POST", "/bots", {"handle": "alice"}) == "conflict"
        assert (
            await bots.backend.refused("POST", "/bots", {"handle": "x1y2", "picture_url": "javascript:1"})
            == "bad_request"
        )
        assert await bots.backend.refused("POST", "/bots", {"handle": "x1y2", "bot": True}) == "bad_request"
        await bots.add()
        assert await bots.backend.refused("POST", "/bots", {"handle": "x1y2"}) == "too_large"
        path = f"/bots/{first.user}"
        assert await bots.backend.refused("PATCH", path, {"handle": "alice"}) == "conflict"
        assert await bots.backend.refused("PATCH", path, {"handle": "admin"}) == "forbidden"
        assert (await bots.backend.done("PATCH", path, {}))["bot"]["handle"] == "paypal"
        assert await bots.backend.refused("PATCH", f"/bots/{NOBODY}", {"name": "x"}) == "not_found"
        assert await bots.backend.refused("PATCH", f"/bots/{alice.user}", {"name": "x"}) == "not_found"


@covers("admin.bot.add")
@covers("admin.bots")
@covers("admin.bot.update")
@covers("admin.bot.token")
@covers("admin.bot.revoke")
@covers("admin.bot.remove")
async def test_an_admin_manages_bots(daemon: Daemon) -> None:
    made = await done(daemon, "bot.add", handle="helper")
    bot = made["bot"]["id"]
    assert made["bot"]["added_by"] == "ann"
    assert (await done(daemon, "bot.update", bot=bot, name="Helper"))["bot"]["name"] == "Helper"
    token = (await done(daemon, "bot.token", bot=bot, overlap=0))["token"]
    assert (await daemon.rest("GET", "/v1/me", token=made["token"])).status == 401
    assert (await daemon.rest("GET", "/v1/me", token=token)).body["user"]["bot"] is True
    await done(daemon, "bot.revoke", bot=bot)
    assert (await daemon.rest("GET", "/v1/me", token=token)).status == 401
    assert [one["token"]["revoked_at"] is not None for one in (await done(daemon, "bots"))["items"]] == [True]
    await done(daemon, "bot.remove", bot=bot)
    assert (await done(daemon, "bots"))["items"] == []


@covers("admin.bot.add", "conflict", "forbidden", "too_large")
@covers("admin.bot.update", "not_found", "conflict", "forbidden")
@covers("admin.bot.token", "not_found")
@covers("admin.bot.revoke", "not_found")
@covers("admin.bot.remove", "not_found")
@covers("server.bot.token", "not_found")
@covers("server.bot.revoke", "not_found")
@covers("server.bot.remove", "not_found")
async def test_acts_on_bots_that_are_refused(config: Config) -> None:
    async with running(administered(config).using(BotSettings(max_bots=2))) as daemon:
        bots = await bots_of(daemon)
        first, _ = await bots.add(handle="first"), await bots.add(handle="second")

        async def code(command: str, **body: Any) -> str:
            return str((await order(daemon, command.removeprefix("admin."), **body)).body["code"])

        assert await code("admin.bot.update", bot=first.user, handle="second") == "conflict"
        assert await code("admin.bot.update", bot=first.user, handle="admin") == "forbidden"
        assert await code("admin.bot.update", bot=NOBODY, name="x") == "not_found"
        assert await code("admin.bot.add", handle="third") == "too_large"
        assert await code("admin.bot.add", handle="admin") == "forbidden"
        await bots.backend.done("DELETE", f"/bots/{first.user}")
        assert await code("admin.bot.add", handle="second") == "conflict"
        await bots.backend.done("DELETE", f"/bots/{_.user}/token")
        assert await code("admin.bot.revoke", bot=_.user) == "not_found"
        for command in ("admin.bot.token", "admin.bot.revoke", "admin.bot.remove"):
            assert await code(command, bot=first.user) == "not_found"
        for method, path in (("POST", "/token"), ("DELETE", "/token"), ("DELETE", "")):
            body = {} if method == "POST" else None
            assert await bots.backend.refused(method, f"/bots/{NOBODY}{path}", body) == "not_found"


async def test_a_scope_of_its_own(daemon: Daemon) -> None:
    other = await backend_of(daemon, "users:write", "read", "messages:write", "conversations:write", "moderation")
    for method, path in (("GET", "/bots"), ("POST", "/bots"), ("DELETE", f"/bots/{NOBODY}")):
        body = {"handle": "weather"} if method == "POST" else None
        assert await other.refused(method, path, body) == "forbidden"


@covers("server.bot.token")
@covers("server.bot.revoke")
async def test_a_token_is_rotated_with_an_overlap_and_revoked_in_a_session(daemon: Daemon) -> None:
    bots = await bots_of(daemon)
    account = await bots.add()
    async with daemon.connected(account) as old:
        token = (await bots.backend.done("POST", f"/bots/{account.user}/token", {"overlap": 600}))["token"]
        again = Account(account.http, account.user, token, "")
        async with daemon.connected(again) as new, daemon.connected(account) as late:
            assert await old.is_served()
            assert late.hello["expires_at"] < new.hello["expires_at"]
            third = (await bots.backend.done("POST", f"/bots/{account.user}/token", {"overlap": 600}))["token"]
            assert (await old.ended()).code == 4404
            assert (await late.ended()).code == 4404
            assert await new.is_served()
            await bots.backend.done("DELETE", f"/bots/{account.user}/token")
            assert (await new.ended()).code == 4404
    for one in (account.access_token, token, third):
        assert (await daemon.rest("GET", "/v1/me", token=one)).status == 401


async def test_no_secret_outlives_its_overlap_or_its_expiry(daemon: Daemon, db: Postgres) -> None:
    """Nor do sessions that began before the rotation: the reconciler ends those of revoked tokens, see below."""
    bots = await bots_of(daemon)
    account, expired, soon = [await bots.add() for _ in range(3)]
    first = await db.value("select id::text from bot_tokens where user_id = $1", account.user)
    await bots.backend.done("POST", f"/bots/{account.user}/token", {"overlap": 1})
    ended = "select token_id from revoked_tokens where token_id = $1"
    await poll_until(lambda: db.value(ended, first), lambda found: found == first, patience=60)
    expire = "update bot_tokens set expires_at = $2 where user_id = $1"
    await db.run(expire, expired.user, 1)
    await db.run(expire, soon.user, until := now_ms() + 60_000)
    for one in (expired, soon):
        await bots.backend.done("POST", f"/bots/{one.user}/token", {"overlap": 600})
    for one in (account, expired):
        assert (await daemon.rest("GET", "/v1/me", token=one.access_token)).status == 401
    assert await db.value("select previous_until from bot_tokens where user_id = $1", soon.user) == until


async def test_a_revoked_token_ends_sessions_even_if_the_message_is_lost(daemon: Daemon, db: Postgres) -> None:
    """The reconciler finds what a control message did not close."""
    bots = await bots_of(daemon)
    account = await bots.add()
    async with daemon.connected(account) as bot:
        await db.run(
            "insert into revoked_tokens (tenant, token_id, expires_at) "
            "select tenant, id::text, $2 from bot_tokens where user_id = $1",
            account.user,
            2**52,
        )
        assert (await bot.ended(patience=30)).code == 4404


@covers("server.bot.remove")
@covers("server.user.token", "conflict")
async def test_a_removed_bot_is_erased(daemon: Daemon, db: Postgres) -> None:
    bots = await bots_of(daemon)
    account = await bots.add()
    async with daemon.person() as alice, daemon.connected(account) as bot:
        await bot.call("bot.commands.set", commands=[WEATHER])
        assert await bots.backend.refused("POST", f"/users/{account.user}/tokens", {}) == "conflict"
        group = await group_of(alice, bot)
        await bot.send(group, "something personal")
        url = f"{daemon.addresses.http}/v1/server/users/{account.user}/export"
        _, lines = await trio.to_thread.run_sync(download, url, bots.backend)
        found = {line["type"]: line for line in lines}
        assert (found["bot"]["reads"], found["bot_command"]["command"]) == ("commands", "weather")
        await bots.backend.done("DELETE", f"/bots/{account.user}")
        assert (await bot.ended()).code == 4404

        async def said() -> list[str | None]:
            items = (await alice.call("message.history", conversation=group))["items"]
            return [one["text"] for one in items if "system" not in one]

        await poll_until(said, lambda texts: texts in ([], [None]), patience=60)
    assert (await daemon.rest("GET", "/v1/me", token=account.access_token)).status == 401
    for table, column in (("bots", "user_id"), ("bot_commands", "bot"), ("bot_tokens", "user_id")):
        assert await db.value(f"select count(*) from {table} where {column} = $1", account.user) == 0
    assert (await bots.backend.done("GET", "/bots"))["items"] == []


async def test_a_bot_is_no_person_and_a_person_no_bot(daemon: Daemon) -> None:
    bots = await bots_of(daemon)
    account = await bots.add()
    assert (await daemon.rest("GET", "/v1/me", token=daemon.token(account.user))).status == 401
    async with daemon.person() as alice:
        assert (await alice.refused("user.update", bot=True)).code == "bad_request"
        assert (await alice.refused("bot.commands.set", commands=[WEATHER])).code == "forbidden"
        answer = await bots.backend.ask("POST", "/users", {"user": alice.user, "bot": True})
        assert answer.status == 400
    for path in ("/v1/server/bots", "/v1/server/users/find"):
        assert (
            await daemon.rest("GET" if path.endswith("bots") else "POST", path, {}, account.access_token)
        ).status == 401
    assert (await daemon.rest("POST", "/admin/bots", {}, account.access_token)).status == 401


@pytest.mark.parametrize("token", ["chatd_bt_", "chatd_bt_" + "0" * 46, "chatd_bt_" + "x" * 5000])
async def test_malformed_tokens(daemon: Daemon, token: str) -> None:
    assert (await daemon.rest("GET", "/v1/me", token=token)).status == 401


async def test_a_tenant_sees_its_own_bots(daemon: Daemon) -> None:
    bots, acme = await bots_of(daemon), await backend_of(daemon, tenant="acme")
    mine = await bots.add(handle="weather")
    theirs = await Bots(daemon, acme).add(handle="weather")
    assert [one["id"] for one in (await acme.done("GET", "/bots"))["items"]] == [theirs.user]
    assert await acme.refused("DELETE", f"/bots/{mine.user}") == "not_found"
    assert str(uuid4()) != mine.user


async def test_all_bots_are_listed_however_many_are_read_at_once(daemon: Daemon, db: Postgres) -> None:
    bots = await bots_of(daemon)
    for number in range(3):
        await bots.backend.done("POST", "/bots", {"handle": f"bot-number-{number}"})
    for batch_size in (1, 2, 3, 4):
        found = await accounts.every(db, "default", batch_size=batch_size)
        assert sorted(one["handle"] for one in found) == [f"bot-number-{number}" for number in range(3)]
        assert found == sorted(found, key=lambda one: one["id"])
