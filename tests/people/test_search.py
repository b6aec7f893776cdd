"""The search for users: by the beginning of a handle or a name, and who is not found."""

from collections.abc import AsyncIterator

import pytest

from chatd.accounts.bans import ban_user, revoke_ban
from chatd.accounts.settings import TenantSettings
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.people.settings import PeopleSettings
from tests.support import Daemon, Person, covers, operator, poll_until, running, shared, with_frequent_jobs

daemon = shared
NAMES = PeopleSettings(search="names", searches_per_minute=1000)


@pytest.fixture
async def by_name(config: Config) -> AsyncIterator[Daemon]:
    tenants = {"other": TenantSettings(secret="x" * 32)}
    async with running(config.using(NAMES).using_named(TenantSettings, tenants), with_frequent_jobs(0.05)) as started:
        yield started


async def found(person: Person, query: str) -> list[str]:
    """The names of the users, or their handles, on all pages."""
    page = await person.call("user.search", query=query)
    items = [item["name"] or item["handle"] for item in page["items"]]
    while page["cursor"]:
        page = await person.call("user.search", query=query, cursor=page["cursor"])
        items += [item["name"] or item["handle"] for item in page["items"]]
    return items


async def indexed(person: Person, query: str, count: int = 1) -> list[str]:
    """The names once they are in the index."""
    return await poll_until(lambda: found(person, query), lambda names: len(names) == count)


@covers("user.search")
async def test_users_are_found_by_a_word_of_their_name(by_name: Daemon) -> None:
    async with (
        by_name.person("Zoë van der Berg") as zoe,
        by_name.person("Jean-Luc O’Neill") as luc,
        by_name.person("山田太郎"),
        by_name.person("Anna"),
        by_name.person("Zoe", tenant="other"),
    ):
        for query in ("zoe", "ZOË", "van", "van d", "berg", "zoe van der berg", "  zoë-VAN "):
            assert await indexed(luc, query) == ["Zoë van der Berg"], query
        for query in ("luc", "jean luc", "o neill", "neil"):
            assert await indexed(zoe, query) == ["Jean-Luc O’Neill"], query
        assert await indexed(zoe, "山田") == ["山田太郎"]
        for query in ("oe", "der van", "annaa", "%", "zoe berg", "太郎"):
            assert await found(luc, query) == [], query
        assert await found(zoe, "zoe") == []
        page = await zoe.call("user.search", query="luc")
        assert set(page["items"][0]) == {"id", "name", "handle", "avatar", "picture_url", "profile_version"}


async def test_a_change_is_found_at_once_and_the_old_name_is_not(by_name: Daemon) -> None:
    async with by_name.person("Before") as alice, by_name.person("Bob") as bob:
        await indexed(bob, "before")
        await alice.call("user.update", name="After Dark", handle="quux")
        assert (await found(bob, "before"), await found(bob, "after")) == ([], ["After Dark"])
        assert (await found(bob, "dark"), await found(bob, "@quu")) == (["After Dark"], ["After Dark"])
        await alice.call("user.update", name="", handle="")
        assert (await found(bob, "after"), await found(bob, "quux")) == ([], [])


async def test_names_of_other_sources_are_indexed(by_name: Daemon, store: Postgres) -> None:
    async with by_name.person("Anna") as anna, by_name.person("Bob") as bob:
        await indexed(bob, "anna")
        await store.run("update users set name = 'Renamed' where id = $1", anna.user)
        assert await indexed(bob, "renamed") == ["Renamed"]
        assert await found(bob, "anna") == []


async def test_blocked_banned_and_deleted_users_are_not_found(by_name: Daemon, store: Postgres) -> None:
    names = ["Kim One", "Kim Two", "Kim Three", "Kim Four", "Kim Five"]
    async with (
        by_name.person(names[0]) as one,
        by_name.person(names[1]) as two,
        by_name.person(names[2]) as three,
        by_name.person(names[3]) as four,
        by_name.person(names[4]) as five,
    ):
        assert sorted(await indexed(one, "kim", 4)) == sorted(names[1:])
        # A block hides the two from each other, in both directions.
        await two.call("user.block", user=one.user)
        assert "Kim Two" not in await found(one, "kim")
        assert "Kim One" not in await found(two, "kim")
        assert "Kim Two" in await found(three, "kim")
        await two.call("user.update", handle="kim.two", status_text="secret", profile={"a": 1})
        assert await found(one, "@kim") == []
        assert (await one.refused("user.get", user="@kim.two")).code == "not_found"
        seen = (await one.call("user.get", user=two.user)).user
        assert (seen["name"], seen["status_text"], seen["profile"]) == ("Kim Two", None, {})
        assert (await two.call("user.get", user=one.user)).user["name"] == "Kim One"
        await two.call("user.unblock", user=one.user)
        assert "Kim Two" in await found(one, "kim")
        # A shadow ban, of which the user must not learn.
        await store.run("update users set shadow_banned = true where id = $1", three.user)
        assert "Kim Three" not in await found(one, "kim")
        assert "Kim Four" in await found(three, "kim")
        ban = await ban_user(store, operator(), four.user, "spam", None)
        assert "Kim Four" not in await found(one, "kim")
        await revoke_ban(store, operator(), ban)
        assert "Kim Four" in await found(one, "kim")
        await five.call("me.erase", confirm=True)
        assert "Kim Five" not in await found(one, "kim")
        assert (await one.call("user.get", user=five.user)).user == {
            **dict.fromkeys(("name", "handle", "avatar", "picture_url", "status_text")),
            **{"id": five.user, "profile": {}, "deleted": True, "profile_version": 1},
        }


async def test_pages_have_each_user_once(by_name: Daemon) -> None:
    """Users whose name has several words with the same beginning, and a handle with it too."""
    async with by_name.people(7) as people:
        for number, person in enumerate(people):
            await person.call("user.update", name=f"Max Maximilian Maxwell {number}", handle=f"max.{number}")
        seen, cursor = list[str](), None
        for _ in range(4):
            page = await people[0].call("user.search", query="max", limit=2, cursor=cursor)
            seen += [item["id"] for item in page["items"]]
            cursor = page["cursor"]
            if cursor is None:
                break
        assert sorted(seen) == sorted(person.user for person in people[1:])
        assert cursor is None
        other = (await people[0].call("user.search", query="maximilian", limit=2))["cursor"]
        assert (await people[0].refused("user.search", query="maxw", limit=2, cursor=other)).code == "bad_request"


@covers("user.search", "forbidden")
async def test_the_search_can_be_switched_off(config: Config) -> None:
    async with running(config.using(PeopleSettings(search="off"))) as daemon, daemon.people(2) as (alice, bob):
        await alice.call("user.update", handle="alice")
        assert (await bob.refused("user.search", query="alice")).code == "forbidden"
        assert (await bob.call("user.get", user="@alice")).user["id"] == alice.user


async def test_by_default_users_are_found_by_handle_only(daemon: Daemon) -> None:
    async with daemon.person("Xaver Xylo") as alice, daemon.person("Xenia") as bob:
        await alice.call("user.update", handle="xaverius_1")
        assert await found(bob, "xylo") == []
        assert (await found(bob, "xaver"), await found(bob, "@XAVERIUS_1")) == (["Xaver Xylo"], ["Xaver Xylo"])
        answer = await daemon.rest("GET", "/v1/users?query=xaverius&limit=1", None, bob.account.access_token)
        assert [item["id"] for item in answer.body["items"]] == [alice.user]


async def test_searches_are_limited(config: Config) -> None:
    async with running(config.using(PeopleSettings(searches_per_minute=3))) as daemon, daemon.people(2) as (alice, bob):
        for _ in range(3):
            assert await found(alice, "x") == []
        refused = await alice.refused("user.search", query="x")
        assert (refused.code, refused.retry_after is not None) == ("rate_limited", True)
        assert await found(bob, "x") == []


async def test_searches_that_are_refused(daemon: Daemon) -> None:
    async with daemon.person() as alice:
        for wrong in ({}, {"query": ""}, {"query": "x" * 101}, {"query": "a\x00"}, {"query": "x", "limit": 51}):
            assert (await alice.refused("user.search", **wrong)).code == "bad_request"
        for cursor in ("", "x", "AAAA", "ŁŁŁŁ", "A" * 641, "MDE5MGEzYzQtNWIwMC03MDAwLTgwMDAtMDAwMDAwMDAwYjBiQUFB"):
            assert (await alice.refused("user.search", query="x", cursor=cursor)).code == "bad_request", cursor
        assert await found(alice, "…!") == []
