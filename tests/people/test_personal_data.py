"""What is exported of a profile, and what an erasure removes."""

from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.people.settings import PeopleSettings
from tests.files import fetched, picture, stored
from tests.people.test_handle_changes import age, take
from tests.privacy.test_erasure import ERASURE, done
from tests.privacy.test_export import exported, of
from tests.support import Daemon, altered, running


async def test_a_profile_is_exported(daemon: Daemon) -> None:
    async with daemon.people(2) as (alice, bob):
        avatar = (await stored(daemon, alice.account.access_token, picture()))["id"]
        given = {"avatar": avatar, "status_text": "hi", "locale": "de", "time_zone": "UTC", "profile": {"a": [1]}}
        await alice.call("user.update", handle="first", **given)
        await alice.call("user.update", handle="second")
        await take(bob, "other")
        lines = await exported(daemon, alice)
        (profile,) = of(lines, "profile")
        assert {name: profile[name] for name in given} == given
        assert profile["handle"] == "second"
        (change,) = of(lines, "handle_change")
        assert change["released_at"] > 0
        assert of(await exported(daemon, bob), "handle_change") == []


async def test_an_erasure_removes_the_profile_and_releases_the_handle(config: Config, store: Postgres) -> None:
    settings = config.using(PeopleSettings(search="names"))
    async with running(settings, altered(ERASURE)) as daemon, daemon.people(2) as (alice, bob):
        avatar = (await stored(daemon, alice.account.access_token, picture()))["id"]
        given = {"avatar": avatar, "status_text": "hi", "locale": "de", "time_zone": "UTC", "profile": {"a": [1]}}
        await take(alice, "first")
        await alice.call("user.update", handle="second", name="Alice", **given)
        assert (await fetched(daemon, bob.account.access_token, avatar)).status == 200
        await alice.call("me.erase", confirm=True)
        await done(store, alice.user)
        row = await store.one("select to_jsonb(u) as row from users u where id = $1", alice.user)
        assert row is not None
        left = {name for name, value in row["row"].items() if value not in (None, [], False)}
        times = {"created_at", "updated_at", "erased_at"}
        assert left == {"id", "tenant", "anonymous", *times, "profile_version", "profile_changed"}
        assert await store.value("select count(*) from user_names where user_id = $1", alice.user) == 0
        assert await store.value("select count(*) from handle_changes where user_id is not null") == 0
        assert (await fetched(daemon, bob.account.access_token, avatar)).status == 404
        # Nobody can pass as the user: the handles are held for a while.
        assert [await take(bob, handle) for handle in ("first", "second")] == ["conflict", "conflict"]
        await age(store, 91)
        assert [await take(bob, handle) for handle in ("first", "second")] == ["first", "second"]
        assert (await bob.call("user.query", users=[alice.user]))["items"][0]["deleted"] is True
