"""Profiles: changes of one's own, what others see of them, and what is refused."""

import json
from functools import partial
from typing import Any

import trio

from chatd.client import Refused
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.filters.settings import FilterSettings
from chatd.people.settings import PeopleSettings
from tests.files import PDF, fetched, picture, stored
from tests.support import NOBODY, Daemon, Person, covers, poll_until, running, shared

daemon = shared


async def image(daemon: Daemon, owner: Person) -> str:
    return str((await stored(daemon, owner.account.access_token, picture()))["id"])


@covers("me.get")
@covers("user.update")
async def test_a_profile_is_changed_field_by_field(daemon: Daemon) -> None:
    async with daemon.person("Alice") as alice:
        first = (await alice.call("me.get")).user
        assert first == {
            **dict.fromkeys(("handle", "avatar", "picture_url", "status_text", "locale", "time_zone")),
            **{
                "id": alice.user,
                "name": "Alice",
                "profile": {},
                "profile_version": 0,
                "external_id": None,
                "roles": [],
            },
        }
        avatar = await image(daemon, alice)
        given = {
            **{"name": "  Alice \u202e  B. ", "handle": "@Alice.B", "avatar": avatar, "status_text": "in\tPorto"},
            **{"locale": "pt-BR", "time_zone": "Europe/Lisbon", "profile": {"team": "red", "floor": 3, "x": None}},
        }
        changed = (await alice.call("user.update", **given)).user
        assert changed == {
            **given,
            **{"id": alice.user, "name": "Alice B.", "handle": "alice.b", "status_text": "in Porto"},
            **{"picture_url": None, "profile_version": 1, "external_id": None, "roles": []},
        }
        assert (await alice.call("me.get")).user == changed
        assert (await alice.call("user.update", status_text="back")).user == {
            **changed,
            **{"status_text": "back", "profile_version": 2},
        }
        # The same again is no change.
        assert (await alice.call("user.update", status_text="back")).user["profile_version"] == 2
        nothing = dict.fromkeys(("name", "handle", "avatar", "status_text", "locale", "time_zone"), "")
        assert (await alice.call("user.update", **nothing, profile={})).user == {
            **first,
            "name": None,
            "profile_version": 3,
        }


async def test_a_profile_over_rest(daemon: Daemon) -> None:
    async with daemon.people(2) as (alice, bob):
        tokens = alice.account.access_token, bob.account.access_token
        changed = await daemon.rest("PATCH", "/v1/me", {"handle": "restful", "status_text": "hi"}, tokens[0])
        assert (changed.status, changed.body["user"]["handle"]) == (200, "restful")
        assert (await daemon.rest("GET", "/v1/me", None, tokens[0])).body == changed.body
        by_id = await daemon.rest("GET", f"/v1/users/{alice.user}", None, tokens[1])
        by_handle = await daemon.rest("GET", "/v1/users/@RESTful", None, tokens[1])
        assert by_id.body == by_handle.body
        assert by_id.body["user"]["status_text"] == "hi"
        found = await daemon.rest("POST", "/v1/users/query", {"users": [alice.user, NOBODY]}, tokens[1])
        assert (found.body["items"], found.body["unknown"]) == ([by_id.body["user"]], [NOBODY])


@covers("user.get")
@covers("user.get", "not_found")
@covers("user.query")
async def test_users_see_each_other_by_id_and_by_handle(daemon: Daemon) -> None:
    async with daemon.people(3) as (alice, bob, carol):
        await alice.call("user.update", handle="анна", status_text="away", profile={"a": 1}, time_zone="Asia/Tokyo")
        seen = (await bob.call("user.get", user=alice.user)).user
        assert seen == {
            **{"id": alice.user, "name": "p0", "handle": "анна", "avatar": None, "picture_url": None},
            **{"profile_version": 1, "status_text": "away", "profile": {"a": 1}},
        }
        for text in ("@анна", "@АННА"):
            assert (await bob.call("user.get", user=text)).user == seen
        for unknown in (NOBODY, "@nobody-here", "@a", "@анна.b"):
            assert (await bob.refused("user.get", user=unknown)).code == "not_found"
        # What looks alike is taken, but is not this handle.
        assert (await bob.refused("user.get", user="@aʜʜa")).code == "not_found"
        for wrong in ("alice", "@", "@a/b", alice.user.upper(), f"@{'a' * 65}", ""):
            assert (await bob.refused("user.get", user=wrong)).code == "bad_request"
        ids = [carol.user, NOBODY, alice.user, carol.user]
        found = await bob.call("user.query", users=ids)
        assert [item["id"] for item in found["items"]] == [carol.user, alice.user]
        assert (found["items"][1], found["unknown"]) == (seen, [NOBODY])


async def test_batches_are_bounded(daemon: Daemon) -> None:
    async with daemon.person() as alice:
        for users in ([], [NOBODY] * 101):
            assert (await alice.refused("user.query", users=users)).code == "bad_request"
        answer = await daemon.rest("POST", "/v1/users/query", {"users": [NOBODY] * 10_000}, alice.account.access_token)
        assert answer.body["code"] in ("bad_request", "too_large")
        for cursor in ("x", "a:b", "1:99999999999999999999", "1:01"):
            assert (await alice.refused("user.query", users=[NOBODY], changed_since=cursor)).code == "bad_request"


async def test_changes_since_a_cursor(daemon: Daemon) -> None:
    async with daemon.people(3) as (alice, bob, carol):
        users = [alice.user, bob.user, NOBODY]
        first = await carol.call("user.query", users=users)
        assert len(first["items"]) == 2

        async def since() -> Any:
            return await carol.call("user.query", users=users, changed_since=first["cursor"])

        # Changes of tests beside this one may be as new.
        await poll_until(since, lambda found: len(found["items"]) < 2 and found["unknown"] == [NOBODY])
        await bob.call("user.update", status_text="new")
        assert [item["id"] for item in (await since())["items"]] == [bob.user]
        # A cursor of other data, as after a restore, leaves out nobody.
        other = "f" * 8 + first["cursor"][first["cursor"].index(":") :]
        assert len((await carol.call("user.query", users=users, changed_since=other))["items"]) == 2


@covers("user.update", "not_found")
async def test_avatars(daemon: Daemon) -> None:
    async with daemon.people(2) as (alice, bob):
        mine, theirs = await image(daemon, alice), await image(daemon, bob)
        document = str((await stored(daemon, alice.account.access_token, PDF))["id"])
        deleted = await image(daemon, alice)
        await alice.call("upload.delete", upload=deleted)
        for wrong in (theirs, document, deleted, NOBODY):
            refused = await alice.refused("user.update", avatar=wrong)
            assert (refused.code, refused.message) == (
                "not_found",
                "$.avatar: expected an image that you have uploaded",
            )
        assert (await alice.refused("user.update", avatar="x")).code == "bad_request"
        # Everyone can read an avatar, and no other file.
        assert (await fetched(daemon, bob.account.access_token, mine)).status == 404
        await alice.call("user.update", avatar=mine)
        assert (await fetched(daemon, bob.account.access_token, mine)).status == 200
        other = await image(daemon, alice)
        await alice.call("user.update", avatar=other)
        assert (await fetched(daemon, bob.account.access_token, mine)).status == 404
        # A file that is deleted is no avatar any more.
        await alice.call("upload.delete", upload=other)
        seen = (await bob.call("user.get", user=alice.user)).user
        assert (seen["avatar"], seen["profile_version"]) == (None, 3)


async def test_a_file_that_becomes_the_avatar_while_it_is_deleted(daemon: Daemon) -> None:
    async with daemon.person() as alice, daemon.connected(alice.account) as tablet:
        for _ in range(10):
            avatar, outcomes = await image(daemon, alice), list[str]()

            async def choose(avatar: str = avatar, outcomes: list[str] = outcomes) -> None:
                try:
                    outcomes.append(str((await alice.call("user.update", avatar=avatar))["t"]))
                except Refused as refused:
                    outcomes.append(refused.code)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(choose)
                nursery.start_soon(partial(tablet.call, "upload.delete", upload=avatar))
            assert outcomes[0] in ("user", "not_found")
            assert (await alice.call("me.get")).user["avatar"] is None


@covers("user.update", "too_large")
async def test_free_profiles_are_bounded(daemon: Daemon) -> None:
    async with daemon.person() as alice:
        fits = {"a": "x" * (4096 - len('{"a":""}'))}
        assert len(json.dumps(fits, separators=(",", ":"))) == 4096
        assert (await alice.call("user.update", profile=fits)).user["profile"] == fits
        assert (await alice.refused("user.update", profile={"a": fits["a"] + "x"})).code == "too_large"
        for depth in (16, 1000):
            body = b'{"profile":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
            answer = await daemon.rest("PATCH", "/v1/me", body, alice.account.access_token)
            assert (answer.status, answer.body["code"]) == (400, "bad_request")
        for wrong in ({"a": "x\x00"}, {"a\x00": 1}, {"a": 2**64}, {"": " "}, []):
            assert (await alice.refused("user.update", profile=wrong)).code == "bad_request", wrong
        assert (await alice.call("me.get")).user["profile"] == fits


async def test_texts_that_are_refused(daemon: Daemon) -> None:
    async with daemon.person() as alice:
        for wrong in (
            {"name": "x" * 101},
            {"name": "\u200b"},
            {"name": "a\x00"},
            {"status_text": "x" * 141},
            {"status_text": "\u2066\u2069"},
            {"locale": "e"},
            {"locale": "en_US"},
            {"locale": "en-" + "x" * 40},
            {"time_zone": "Europe/Atlantis"},
            {"time_zone": "../etc/passwd"},
            {"time_zone": "europe/berlin"},
            {"handle": "ab"},
            {"handle": "a b c"},
            {"handle": "pаypal"},
            {"handle": "x" * 31},
            {"handle": "*" * 8},
            {"version": 1},
            {},
        ):
            assert (await alice.refused("user.update", **wrong)).code == "bad_request", wrong
        assert (await alice.call("me.get")).user["profile_version"] == 0


async def test_marks_of_direction_are_removed_from_what_others_read(daemon: Daemon) -> None:
    async with daemon.person() as alice:
        changed = await alice.call(
            "user.update", name="\u202eevil\u2066", status_text="a\u202db", profile={"a\u202eb": "c\u2067d"}
        )
        assert (changed.user["name"], changed.user["status_text"], changed.user["profile"]) == (
            "evil",
            "ab",
            {"ab": "cd"},
        )


@covers("me.get", "unauthenticated")
@covers("user.update", "unauthenticated")
async def test_a_user_whose_account_was_deleted_a_moment_ago(config: Config, store: Postgres) -> None:
    async with running(config) as daemon, daemon.person() as alice:
        await store.run("update users set erased_at = 1 where id = $1", alice.user)
        assert (await alice.refused("me.get")).code == "unauthenticated"
        assert (await alice.refused("user.update", name="x")).code == "unauthenticated"


@covers("user.update", "forbidden")
async def test_fields_that_users_may_not_change(config: Config) -> None:
    settings = PeopleSettings(editable=["status_text", "handle"], reserved_handles=["boss"])
    filters = FilterSettings(words=["viagra"])
    async with running(config.using(settings, filters)) as daemon, daemon.person("Alice") as alice:
        for wrong in ({"name": "Boss"}, {"avatar": ""}, {"profile": {}}, {"locale": "de"}, {"time_zone": "UTC"}):
            refused = await alice.refused("user.update", **wrong)
            assert (refused.code, refused.message) == ("forbidden", f"$.{next(iter(wrong))}: users cannot change this")
        for handle in ("boss", "B0SS", "viagra", "v1agra"):
            assert (await alice.refused("user.update", handle=handle)).code == "forbidden", handle
        assert (await alice.call("user.update", status_text="ok", handle="alice")).user["handle"] == "alice"
