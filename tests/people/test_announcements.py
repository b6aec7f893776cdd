"""Events about changed profiles: who gets them, on which node, how often, and what they contain."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest
import trio
from msgspec import Raw

from chatd.accounts.signals import ProfileChanged
from chatd.app.context import Node
from chatd.client import sign_up
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.people.announcements import (
    MAX_DELIVERIES,
    MAX_MISSED,
    MAX_WAITING,
    Announcements,
    AnnouncementTunables,
    Deliveries,
    ProfileAnnounced,
)
from chatd.people.settings import PeopleSettings
from chatd.people.subsystem import PEOPLE, open_people
from tests.cluster.test_two_nodes import nodes, pair_on
from tests.files import picture, stored
from tests.reply import Reply
from tests.server_api.backend import backend_of
from tests.support import Daemon, Person, altered, eventually, running

INTERVAL_S = 0.4
TUNABLES = AnnouncementTunables(interval_s=INTERVAL_S, poll_s=0.02)
QUICK = altered(replace(PEOPLE, open=partial(open_people, tunables=TUNABLES)))


@pytest.fixture
async def daemon(config: Config) -> AsyncIterator[Daemon]:
    """A daemon that announces changes soon."""
    async with running(config, QUICK) as started:
        yield started


def updates(person: Person) -> list[Reply]:
    return [body for kind, body in person.log if kind == "event" and body["t"] == "user.updated"]


async def gets_no_update(person: Person, count: int = 0) -> None:
    await trio.sleep(2 * INTERVAL_S)
    assert await person.is_served()
    assert len(updates(person)) == count


async def group(owner: Person, *others: Person) -> str:
    made = await owner.call("conversation.create", members=[other.user for other in others])
    return str(made.conversation.id)


async def test_a_change_reaches_own_devices_and_members_of_conversations(daemon: Daemon) -> None:
    async with (
        daemon.pair() as (alice, bob, _),
        daemon.connected(alice.account, "msgpack") as tablet,
        daemon.person("carol") as carol,
    ):
        cursor = (await alice.call("session.sync"))["cursor"]
        given = {"name": "Alice B.", "status_text": "in Porto", "time_zone": "Europe/Lisbon", "profile": {"a": 1}}
        mine = (await alice.call("user.update", **given)).user
        assert (await tablet.event("user.updated"))["user"] == mine
        assert mine["time_zone"] == "Europe/Lisbon"
        # Others get what members of a conversation see in any case.
        card = {name: mine[name] for name in ("id", "name", "handle", "avatar", "picture_url", "profile_version")}
        assert (await bob.event("user.updated"))["user"] == card
        await gets_no_update(carol)
        assert (len(updates(alice)), len(updates(tablet)), len(updates(bob))) == (0, 1, 1)
        assert (await alice.call("session.sync", cursor=cursor))["own"] is True
        # What only the user sees is announced to nobody else.
        await alice.call("user.update", time_zone="UTC")
        assert (await tablet.event("user.updated"))["user"]["time_zone"] == "UTC"
        await gets_no_update(bob, 1)


async def test_a_sign_up_of_a_known_device_announces_another_name_only(daemon: Daemon) -> None:
    device = "a device that signs up again"
    async with daemon.person("alice", device=device) as alice, daemon.person("bob") as bob:
        await group(alice, bob)
        for name in ("alice", None):
            again = await sign_up(daemon.addresses.http, name=name, device=device)
            assert again.user == alice.user
        await gets_no_update(bob)
        await sign_up(daemon.addresses.http, name="Alice B.", device=device)
        assert (await bob.event("user.updated"))["user"]["name"] == "Alice B."
        assert (await alice.event("user.updated"))["user"]["name"] == "Alice B."


async def test_the_deletion_of_an_avatar_is_announced(daemon: Daemon) -> None:
    """To the user's devices too; that of another upload is not."""
    async with daemon.pair() as (alice, bob, _):
        token = alice.account.access_token
        avatar, other = [(await stored(daemon, token, picture()))["id"] for _ in range(2)]
        await alice.call("user.update", avatar=avatar)
        assert (await bob.event("user.updated"))["user"]["avatar"] == avatar
        await alice.call("upload.delete", upload=other)
        await gets_no_update(bob, 1)
        await alice.call("upload.delete", upload=avatar)
        assert (await bob.event("user.updated"))["user"]["avatar"] is None
        assert (await alice.event("user.updated"))["user"]["avatar"] is None


async def test_a_user_in_several_conversations_gets_one_event(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, _), daemon.connected(bob.account) as tablet:
        for _ in range(3):
            await group(alice, bob)
        await alice.call("user.update", name="New")
        await bob.event("user.updated")
        await gets_no_update(bob, 1)
        assert len(updates(tablet)) == 1


async def test_many_changes_are_few_events(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, _):
        with trio.move_on_after(3 * INTERVAL_S):
            for number in range(40):
                await alice.call("user.update", status_text=f"status {number}")
                await trio.sleep(0.02)
        last = (await alice.call("me.get")).user["profile_version"]
        await eventually(lambda: updates(bob) and updates(bob)[-1]["user"]["profile_version"] == last)
        versions = [update["user"]["profile_version"] for update in updates(bob)]
        assert versions == sorted(set(versions))
        assert len(versions) <= 6 < last


async def test_a_change_reaches_members_on_other_nodes(config: Config) -> None:
    async with (
        nodes(config, subsystems=QUICK) as (one, two),
        pair_on(one, two) as (alice, bob, _),
        two.connected(alice.account) as tablet,
    ):
        mine = (await alice.call("user.update", handle="alice", locale="pt")).user
        assert (await tablet.event("user.updated"))["user"] == mine
        assert (await bob.event("user.updated"))["user"]["handle"] == "alice"
        await tablet.call("user.update", handle="alice2")
        assert (await bob.event("user.updated"))["user"]["handle"] == "alice2"
        assert (await alice.event("user.updated"))["user"]["handle"] == "alice2"


async def test_changes_are_not_announced_in_large_groups(config: Config) -> None:
    settings = config.using(PeopleSettings(announce_up_to=2))
    async with running(settings, QUICK) as daemon, daemon.people(3) as (alice, bob, carol):
        await group(alice, bob, carol)
        await alice.call("conversation.open", user=bob.user)
        await alice.call("user.update", name="New")
        await bob.event("user.updated")
        await gets_no_update(carol)


async def test_former_members_get_no_change(daemon: Daemon) -> None:
    async with daemon.people(2) as (alice, bob):
        id_ = await group(alice, bob)
        await bob.call("conversation.leave", conversation=id_)
        await alice.call("user.update", name="New")
        await gets_no_update(bob)


async def test_a_match_shows_the_name_and_nothing_else(daemon: Daemon) -> None:
    async with daemon.person("Alice") as alice, daemon.person("Bob", "msgpack") as bob:
        await alice.call("user.update", status_text="secret", profile={"secret": 1}, handle="alice")
        for person in (alice, bob):
            await person.call("match.find")
        found = await bob.found(alice)
        alias = found["partner"]["id"]
        shown = (await bob.call("user.get", user=alias)).user
        assert shown == {
            **dict.fromkeys(("handle", "avatar", "picture_url")),
            **{"id": alias, "name": "Alice", "profile_version": 0},
        }
        conversation = (await bob.call("conversation.get", conversation=found["conversation"])).conversation
        for member in conversation["members"]:
            assert [member[name] for name in ("handle", "avatar", "picture_url", "profile_version")] == [
                *(None, None, None, 0)
            ]
        # A change of the account shows neither as an event nor by what changed since a cursor.
        queried = await bob.call("user.query", users=[alias])
        assert queried["items"] == [shown]
        await alice.call("user.update", status_text="other")
        again = await bob.call("user.query", users=[alias], changed_since=queried["cursor"])
        assert (again["items"], again["unknown"]) == ([shown], [])
        await gets_no_update(bob)
        assert alice.user not in str(bob.log)
        # For others, and after the match, the alias is unknown.
        async with daemon.person() as eve:
            assert (await eve.refused("user.get", user=alias)).code == "not_found"
            assert (await eve.call("user.query", users=[alias]))["unknown"] == [alias]
        await alice.call("match.leave")
        await bob.event("match.ended")
        assert (await bob.refused("user.get", user=alias)).code == "not_found"


async def test_after_a_kept_match_changes_are_announced(daemon: Daemon) -> None:
    async with daemon.person("Alice") as alice, daemon.person("Bob") as bob:
        for person in (alice, bob):
            await person.call("match.find")
        await bob.found(alice)
        for person in (alice, bob):
            await person.call("match.keep")
        await bob.event("match.kept")
        await alice.call("user.update", name="New")
        assert (await bob.event("user.updated"))["user"]["id"] == alice.user


async def test_members_have_their_profiles_in_lists(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, id_):
        await alice.call("user.update", handle="alice.l", name="A")
        for listed in (
            (await bob.call("conversation.get", conversation=id_)).conversation["members"],
            (await bob.call("member.list", conversation=id_))["items"],
            (await bob.call("conversation.sync", conversation=id_, rev=0))["members"],
            (await bob.call("conversation.list"))["items"][0]["members"],
        ):
            (member,) = (member for member in listed if member["user"] == alice.user)
            assert (member["name"], member["handle"], member["avatar"], member["profile_version"]) == (
                *("A", "alice.l", None, 1),
            )


async def test_a_name_from_a_sign_up_reaches_own_devices_too(daemon: Daemon) -> None:
    device = "a secret of the device"
    async with daemon.person("Alice", device=device) as alice, daemon.person("Bob") as bob:
        await alice.call("conversation.open", user=bob.user)
        await sign_up(daemon.addresses.http, name="Renamed", device=device)
        mine = (await alice.event("user.updated"))["user"]
        assert (mine["name"], mine["profile_version"], mine["time_zone"]) == ("Renamed", 1, None)
        assert (await bob.event("user.updated"))["user"]["name"] == "Renamed"


async def test_a_name_from_a_token_and_from_the_backend_is_announced(daemon: Daemon) -> None:
    backend = await backend_of(daemon)
    async with daemon.pair() as (alice, bob, _):
        token = daemon.token(alice.user, name="From the token", picture="https://example.org/a.jpg", roles=["vip"])
        await alice.call("auth.refresh", token=token)
        mine = (await alice.event("user.updated"))["user"]
        assert (mine["name"], mine["picture_url"], mine["roles"]) == (
            *("From the token", "https://example.org/a.jpg", ["vip"]),
        )
        card = (await bob.event("user.updated"))["user"]
        assert (card["name"], card["picture_url"]) == ("From the token", "https://example.org/a.jpg")
        assert "roles" not in card
        # What the user has chosen stays until the claim changes.
        await alice.call("user.update", name="My own")
        await bob.event("user.updated")
        again = daemon.token(alice.user, name="From the token", picture="https://example.org/a.jpg", roles=["vip"])
        await alice.call("auth.refresh", token=again)
        assert (await alice.call("me.get")).user["name"] == "My own"
        await backend.done("POST", "/users", {"user": alice.user, "name": "From the backend"})
        assert (await bob.event("user.updated"))["user"]["name"] == "From the backend"
        await backend.done("POST", "/users/batch", {"users": [{"user": alice.user, "name": "In bulk"}]})
        assert (await bob.event("user.updated"))["user"]["name"] == "In bulk"


class Nodes(list[Node]):
    """The nodes that were opened."""

    @asynccontextmanager
    async def open(self, node: Node) -> AsyncIterator[None]:
        self.append(node)
        async with open_people(node, TUNABLES):
            yield


async def test_a_change_whose_announcement_was_lost_is_found(config: Config, store: Postgres) -> None:
    opened = Nodes()
    async with running(config, altered(replace(PEOPLE, open=opened.open))) as daemon, daemon.pair() as (alice, bob, _):
        # As a node does that dies before it announces what it has committed.
        await store.run("update users set name = 'Renamed' where id = $1", alice.user)
        await opened[0].cluster.resync()
        assert (await bob.event("user.updated"))["user"]["name"] == "Renamed"


async def test_after_many_lost_announcements_clients_sync(config: Config, store: Postgres) -> None:
    opened = Nodes()
    async with running(config, altered(replace(PEOPLE, open=opened.open))) as daemon, daemon.person() as alice:
        await store.run(
            "insert into users (tenant, id, created_at, profile_version)"
            " select 'default', gen_random_uuid(), 0, 1 from generate_series(0, $1)",
            MAX_MISSED,
        )
        await opened[0].cluster.resync()
        await alice.event("session.behind")
        assert updates(alice) == []


async def test_waiting_changes_and_deliveries_are_bounded(config: Config) -> None:
    opened = Nodes()
    async with running(config, altered(replace(PEOPLE, open=opened.open))) as daemon, daemon.pair() as (alice, bob, _):
        announced, deliveries = opened[0].get(Announcements), opened[0].get(Deliveries)
        for number in range(MAX_WAITING + 5):
            announced.add(ProfileChanged("default", f"{number:032x}", by_user=True))
        assert (len(announced), announced.dropped) == (MAX_WAITING, 5)
        message = ProfileAnnounced("default", alice.user, Raw(b"\x80"), b"")
        for _ in range(MAX_DELIVERIES + 7):
            deliveries.add(message)
        assert (len(deliveries), deliveries.dropped) == (MAX_DELIVERIES, 7)
        await eventually(lambda: not len(deliveries))
        # Those that wait are announced one after the other.
        await eventually(lambda: not len(announced), patience=60.0)
        await alice.call("user.update", name="Last")
        assert (await bob.event("user.updated"))["user"]["name"] == "Last"
