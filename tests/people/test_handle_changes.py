"""Handles: who gets one, who may take one that was given up, and how often they change."""

from collections import Counter

import trio

from chatd.accounts.settings import TenantSettings
from chatd.client import Refused
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.people.handles import sweep
from chatd.people.settings import PeopleSettings
from tests.cluster.test_two_nodes import nodes
from tests.support import Daemon, Person, covers, running

DAY_MS = 86_400_000


async def take(person: Person, handle: str) -> str:
    """The outcome."""
    try:
        return str((await person.call("user.update", handle=handle)).user["handle"])
    except Refused as refused:
        return refused.code


async def age(store: Postgres, days: int) -> None:
    """Make all changes of handles older."""
    await store.run("update handle_changes set released_at = released_at - $1", days * DAY_MS)


@covers("user.update", "conflict")
async def test_a_handle_belongs_to_one_user(daemon: Daemon) -> None:
    async with daemon.people(2) as (alice, bob):
        assert await take(alice, "bob0") == "bob0"
        for same in ("bob0", "BOB0", "bobo", "b0b0"):
            assert await take(bob, same) == "conflict"
        # The user's own handle in another spelling.
        assert await take(alice, "bobo") == "bobo"
        assert await take(bob, "bob1") == "bob1"
        assert (await bob.call("me.get")).user["handle"] == "bob1"


async def test_tenants_have_handles_of_their_own(config: Config) -> None:
    tenants = config.using_named(TenantSettings, {"other": TenantSettings(secret="x" * 32)})
    async with running(tenants) as daemon, daemon.person() as alice, daemon.person(tenant="other") as bob:
        assert (await take(alice, "same"), await take(bob, "same")) == ("same", "same")
        assert (await bob.refused("user.get", user=alice.user)).code == "not_found"
        assert (await bob.call("user.get", user="@same")).user["id"] == bob.user
        assert (await bob.call("user.query", users=[alice.user]))["unknown"] == [alice.user]


async def test_one_of_many_gets_a_handle_at_the_same_moment(config: Config) -> None:
    """On two nodes, with two handles that look alike."""
    async with nodes(config) as (one, two), one.people(4) as first, two.people(4) as second:
        outcomes = list[str]()

        async def try_to(person: Person, handle: str) -> None:
            outcomes.append(await take(person, handle))

        async with trio.open_nursery() as nursery:
            for number, person in enumerate((*first, *second)):
                nursery.start_soon(try_to, person, "bobo" if number % 2 else "bob0")
        counts = Counter(outcomes)
        assert counts.pop("conflict") == 7
        assert set(counts) <= {"bobo", "bob0"}
        handles = [(await person.call("me.get")).user["handle"] for person in (*first, *second)]
        assert handles.count(None) == 7


async def test_a_handle_is_never_given_up_and_taken_at_the_same_moment(config: Config) -> None:
    """On two nodes: the one who takes it either comes too early, or finds it held."""
    async with nodes(config) as (one, two), one.people(5) as owners, two.people(5) as takers:
        for number, owner in enumerate(owners):
            handle = f"handle{number}x"
            assert await take(owner, handle) == handle
            async with trio.open_nursery() as nursery:
                nursery.start_soon(take, owner, f"other{number}x")
                for taker in takers:
                    nursery.start_soon(take, taker, handle)
            assert [(await taker.call("me.get")).user["handle"] for taker in takers] == [None] * 5


async def test_a_handle_that_was_given_up_is_held(config: Config, store: Postgres) -> None:
    settings = PeopleSettings(handle_hold_days=40)
    async with running(config.using(settings)) as daemon, daemon.people(2) as (alice, bob):
        for handle in ("first", "second"):
            assert await take(alice, handle) == handle
        assert (await take(bob, "first"), await take(bob, "f1rst")) == ("conflict", "f1rst")
        # The user who gave it up can have it back.
        assert await take(alice, "first") == "first"
        assert await take(alice, "third") == "third"
        await age(store, 39)
        assert await take(bob, "first") == "conflict"
        await age(store, 2)
        assert await take(bob, "first") == "first"


async def test_the_pace_of_changes(config: Config, store: Postgres) -> None:
    async with running(config.using(PeopleSettings(handle_changes=2))) as daemon, daemon.person() as alice:
        assert [await take(alice, handle) for handle in ("one", "two", "three", "four")] == [
            *("one", "two", "three", "rate_limited")
        ]
        refused = await alice.refused("user.update", handle="", status_text="x")
        assert refused.code == "rate_limited"
        assert refused.retry_after is not None
        assert 29.9 * 86_400 < refused.retry_after <= 30 * 86_400
        # Nothing of a refused change is kept; the same handle is no change.
        assert (await alice.call("me.get")).user["status_text"] is None
        assert await take(alice, "three") == "three"
        await age(store, 31)
        assert await take(alice, "four") == "four"


async def test_old_changes_are_swept(config: Config, store: Postgres) -> None:
    settings = PeopleSettings(handle_changes=5, handle_hold_days=40)
    async with running(config.using(settings)) as daemon, daemon.person() as alice:
        for handle in ("one", "two", "three"):
            await take(alice, handle)
        await age(store, 41)
        await take(alice, "four")
        assert await store.value("select count(*) from handle_changes") == 3
        await sweep(store, settings, now_ms())
        assert await store.value("select count(*) from handle_changes") == 1
