"""The logins of a user: list, names, ends."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from chatd.accounts.logins import network_of
from chatd.client import Account, sign_up
from chatd.core.config import Config
from chatd.core.ids import uuid7
from chatd.db.postgres import Postgres
from tests.admins import NOBODY, acts, administered, done, refused
from tests.privacy.test_export import download
from tests.support import Daemon, Person, covers, poll_until, running

DEVICE = "a device that keeps a secret"


async def login(daemon: Daemon, name: str, platform: str = "ios", device: str = DEVICE) -> Account:
    return await sign_up(daemon.addresses.http, device=device, login_name=name, platform=platform)


@asynccontextmanager
async def devices(daemon: Daemon, *names: str) -> AsyncIterator[list[Person]]:
    """One user with these logins, connected."""
    async with trio.open_nursery() as nursery:
        people: list[Person] = []

        async def connect(account: Account, task_status: trio.TaskStatus[Person]) -> None:
            async with daemon.connected(account) as person:
                task_status.started(person)
                await trio.sleep_forever()

        for name in names:
            people.append(await nursery.start(connect, await login(daemon, name)))
        yield people
        nursery.cancel_scope.cancel()


async def rotate(daemon: Daemon, account: Account) -> int:
    body = {"refresh_token": account.refresh_token}
    return (await daemon.rest("POST", "/v1/auth/refresh", body)).status


async def current(person: Person) -> str:
    return str((await person.call("login.list")).current)


@covers("login.list")
async def test_logins_are_listed_with_the_last_used_one_first(daemon: Daemon, store: Postgres) -> None:
    async with devices(daemon, "phone", "tablet") as (phone, tablet), daemon.person():
        await store.run("update logins set last_seen = last_seen - 1000, created_at = created_at - 1000")
        answer = await daemon.rest("POST", "/v1/auth/refresh", {"refresh_token": phone.account.refresh_token})
        listed = await daemon.rest("GET", "/v1/logins", token=answer.body["access_token"])
        rows = [(row["name"], row["platform"], row["address"]) for row in listed.body["items"]]
        assert rows == [("phone", "ios", "127.0.0.0/24"), ("tablet", "ios", "127.0.0.0/24")]
        first, second = listed.body["items"]
        assert first["last_seen"] >= first["created_at"] + 1000
        assert second["last_seen"] == second["created_at"]
        assert listed.body["current"] == first["id"] == await current(phone) != await current(tablet)


async def test_a_token_of_an_identity_provider_has_no_login(daemon: Daemon) -> None:
    listed = await daemon.rest("GET", "/v1/logins", token=daemon.token("ann"))
    assert listed.body["items"] == []
    assert listed.body["current"] is None


@covers("login.rename")
async def test_a_login_gets_a_name(daemon: Daemon) -> None:
    async with devices(daemon, "phone", "tablet") as (phone, tablet):
        id_ = await current(tablet)
        changed = await phone.call("login.rename", login=id_, name="Ann's tablet")
        assert (changed.login.id, changed.login.name) == (id_, "Ann's tablet")
        assert (await tablet.event("login.updated")).login == changed.login
        answer = await daemon.rest("PATCH", f"/v1/logins/{id_}", {"name": "x" * 101}, phone.account.access_token)
        assert answer.status == 400
        assert "login.updated" not in [event["t"] for event in phone.events]


async def test_a_new_login_is_announced_to_the_other_devices(daemon: Daemon) -> None:
    async with devices(daemon, "phone") as (phone,):
        await login(daemon, "tablet", "android")
        added = (await phone.event("login.added")).login
        assert (added.name, added.platform, added.address) == ("tablet", "android", "127.0.0.0/24")
        assert added in (await phone.call("login.list"))["items"]


@covers("login.end")
async def test_an_ended_login_ends_its_tokens_and_connections(daemon: Daemon) -> None:
    async with devices(daemon, "phone", "tablet", "tv") as (phone, tablet, tv):
        id_ = await current(tablet)
        await phone.call("login.end", login=id_)
        assert (await tablet.ended()).code == 4404
        assert (await tv.event("login.ended"))["logins"] == [id_]
        assert await rotate(daemon, tablet.account) == 401
        assert (await daemon.rest("GET", "/v1/logins", token=tablet.account.access_token)).status == 401
        assert [row["name"] for row in (await phone.call("login.list"))["items"]] == ["tv", "phone"]
        assert await rotate(daemon, phone.account) == 200
        own = await current(phone)
        assert (await daemon.rest("DELETE", f"/v1/logins/{own}", token=phone.account.access_token)).status == 200
        assert (await phone.ended()).code == 4404
        assert await tv.is_served()


@covers("login.end_others")
async def test_all_other_logins_end(daemon: Daemon) -> None:
    async with devices(daemon, "phone", "tablet", "tv") as (phone, tablet, tv), daemon.person() as stranger:
        ids = sorted([await current(tablet), await current(tv)])
        answer = await daemon.rest("POST", "/v1/logins/end-others", {}, phone.account.access_token)
        assert sorted(answer.body["logins"]) == ids
        for person in (tablet, tv):
            assert (await person.ended()).code == 4404
            assert await rotate(daemon, person.account) == 401
        assert sorted((await phone.event("login.ended"))["logins"]) == ids
        assert await stranger.is_served()
        assert (await phone.call("login.end_others"))["logins"] == []


async def test_a_logout_and_a_stolen_token_are_announced(daemon: Daemon, store: Postgres) -> None:
    async with devices(daemon, "phone", "tablet", "tv") as (phone, tablet, tv):
        left, stolen = await current(tablet), await current(tv)
        await tablet.call("auth.logout")
        assert (await phone.event("login.ended"))["logins"] == [left]
        assert await rotate(daemon, tv.account) == 200
        await store.run("update refresh_tokens set used_at = used_at - 30000 where used_at is not null")
        assert await rotate(daemon, tv.account) == 401
        assert (await phone.event("login.ended"))["logins"] == [stolen]
        assert (await tv.ended()).code == 4404


@covers("login.end", "not_found")
@covers("login.rename", "not_found")
async def test_logins_of_others_and_ended_ones_do_not_exist(daemon: Daemon) -> None:
    async with devices(daemon, "phone", "tablet") as (phone, tablet), daemon.person() as stranger:
        ended = await current(tablet)
        await phone.call("login.end", login=ended)
        for id_ in (ended, await current(stranger), uuid7(0)):
            assert (await phone.refused("login.end", login=id_)).code == "not_found"
            assert (await phone.refused("login.rename", login=id_, name="mine")).code == "not_found"
        assert await stranger.is_served()


async def test_an_end_reaches_the_connections_of_all_nodes(config: Config) -> None:
    async with running(config) as one, running(config) as two:
        phone, tablet = await login(one, "phone"), await login(one, "tablet")
        async with one.connected(phone) as here, two.connected(tablet) as there, two.connected(phone) as also_here:
            await here.call("login.end", login=await current(there))
            assert (await there.ended()).code == 4404
            assert await also_here.event("login.ended")
            assert await also_here.is_served()


async def test_simultaneous_ends_of_a_login(daemon: Daemon) -> None:
    async with devices(daemon, "phone", "tablet", "tv") as (phone, tablet, tv):
        id_, statuses = await current(tv), list[int]()

        async def end(person: Person) -> None:
            answer = await daemon.rest("DELETE", f"/v1/logins/{id_}", token=person.account.access_token)
            statuses.append(answer.status)

        async with trio.open_nursery() as nursery:
            for person in (phone, tablet, phone):
                nursery.start_soon(end, person)
        assert sorted(statuses) == [200, 404, 404]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"), ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("fe80::1%eth0", "fe80::/48"), ("", None), ("unix", None),
    ],
)  # fmt: skip
def test_only_the_network_of_an_address_is_stored(address: str, network: str | None) -> None:
    assert network_of(address) == network


async def test_bad_names_and_platforms_are_refused(daemon: Daemon) -> None:
    bad: list[dict[str, Any]] = [
        {"login_name": ""}, {"login_name": "x" * 101}, {"login_name": "a\0"}, {"login_name": 5}, {"platform": ""},
        {"platform": "x" * 33}, {"platform": "IOS"}, {"platform": "a b"}, {"platform": []},
    ]  # fmt: skip
    for fields in bad:
        assert (await daemon.rest("POST", "/v1/auth/anonymous", fields)).status == 400, fields


async def test_an_export_lists_the_logins_and_an_erasure_deletes_them(daemon: Daemon, store: Postgres) -> None:
    async with devices(daemon, "phone", "tablet") as (phone, tablet):
        await tablet.call("auth.logout")
        _, _, data = await trio.to_thread.run_sync(download, daemon, phone.account.access_token)
        lines = [json.loads(line) for line in data.splitlines()]
        logins = [line for line in lines if line["type"] == "login"]
        assert [(line["name"], "ended_at" not in line) for line in logins] == [("phone", True), ("tablet", False)]
        await phone.call("me.erase", confirm=True)
        await poll_until(lambda: store.value("select count(*) from logins"), lambda count: count == 0)


@covers("admin.user.logins")
@covers("admin.user.login.end")
@covers("admin.user.login.end", "not_found")
async def test_an_admin_ends_one_login_of_a_user(config: Config) -> None:
    async with running(administered(config)) as daemon, devices(daemon, "phone", "tablet") as (phone, tablet):
        items = (await done(daemon, "user.logins", user=phone.user))["items"]
        assert {item["name"] for item in items} == {"phone", "tablet"}
        lost = next(item["id"] for item in items if item["name"] == "phone")
        fields = {"user": phone.user, "login": lost}
        assert await refused(daemon, "user.login.end", **{**fields, "user": NOBODY}) == "not_found"
        await done(daemon, "user.login.end", **fields)
        assert (await phone.ended()).code == 4404
        assert (await tablet.event("login.ended"))["logins"] == [lost]
        assert (await rotate(daemon, phone.account), await rotate(daemon, tablet.account)) == (401, 200)
        assert await refused(daemon, "user.login.end", **fields) == "not_found"
        assert [item["name"] for item in (await done(daemon, "user.logins", user=phone.user))["items"]] == ["tablet"]
        assert ("ann", "user.login.end", phone.user) in await acts(daemon)
