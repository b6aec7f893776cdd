"""Admins remove unwanted parts of profiles."""

from typing import Any

from chatd.db.postgres import Postgres
from chatd.people.settings import PeopleSettings
from tests.admins import ANN, BEN, NOBODY, daemon, db
from tests.files import fetched, picture, stored
from tests.people.test_handle_changes import age, take
from tests.support import Answer, Daemon, covers

__all__ = ["daemon", "db"]


async def clear(daemon: Daemon, user: str, *fields: str, token: str = ANN, **more: Any) -> Answer:
    body = {"user": user, "fields": list(fields), "reason": "unwanted", **more}
    return await daemon.rest("POST", "/admin/profile/clear", body, token)


@covers("admin.profile.clear")
@covers("admin.profile.clear", "not_found")
async def test_an_admin_removes_parts_of_a_profile(daemon: Daemon, db: Postgres) -> None:
    async with daemon.person("Alice") as alice, daemon.person("Bob") as bob:
        await alice.call("conversation.open", user=bob.user)
        avatar = (await stored(daemon, alice.account.access_token, picture()))["id"]
        given = {"handle": "unwanted", "status_text": "unwanted", "profile": {"a": 1}, "avatar": avatar}
        await alice.call("user.update", **given)
        assert (await bob.event("user.updated"))["user"]["handle"] == "unwanted"
        assert (await clear(daemon, alice.user, "handle", "avatar", "status_text")).status == 200
        mine = (await alice.event("user.updated"))["user"]
        assert (mine["name"], mine["handle"], mine["avatar"], mine["status_text"], mine["profile"]) == (
            *("Alice", None, None, None, {"a": 1}),
        )
        assert (await bob.event("user.updated"))["user"]["handle"] is None
        assert (await fetched(daemon, bob.account.access_token, avatar)).status == 404
        assert (await bob.call("user.search", query="unwant"))["items"] == []
        # Nobody gets the handle back, and the user gets others.
        assert [await take(person, "unwanted") for person in (alice, bob)] == ["conflict", "conflict"]
        assert await take(alice, "wanted") == "wanted"
        await age(db, PeopleSettings().handle_hold_days + 1)
        assert await take(bob, "unwanted") == "unwanted"
        assert (await clear(daemon, alice.user, "name", "profile")).status == 200
        seen = (await bob.call("user.get", user=alice.user)).user
        assert (seen["name"], seen["profile"], seen["handle"]) == (None, {}, "wanted")
        log = (await daemon.rest("POST", "/admin/audit", {}, ANN)).body["items"]
        assert [(entry["act"], entry["subject"], entry["details"]["fields"]) for entry in log] == [
            ("profile.clear", alice.user, ["name", "profile"]),
            ("profile.clear", alice.user, ["avatar", "handle", "status_text"]),
        ]
        assert (await clear(daemon, NOBODY, "name")).status == 404
        assert (await clear(daemon, alice.user, "name", token=BEN, tenant="acme")).status == 404
        for fields in ([], ["roles"]):
            assert (await clear(daemon, alice.user, *fields)).status == 400
