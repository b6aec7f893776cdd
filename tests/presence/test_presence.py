"""Presence: updates, visibility, and what the online count must not reveal."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import trio

from chatd.accounts.settings import AuthSettings, TenantSettings
from chatd.conversations.settings import PresenceDefaults
from chatd.core.config import Config
from chatd.presence.online_count import CountTunables
from chatd.presence.service import PresenceTunables
from chatd.presence.settings import PresenceSettings
from chatd.presence.subsystem import PRESENCE, open_presence
from tests.conversations.test_groups import group
from tests.reply import Reply
from tests.support import NOBODY, Daemon, Person, altered, covers, poll_until, running

# Longer than a reconnection takes on a busy machine.
GRACE = 1.0
# Longer than a round trip on a busy machine.
UPDATE_INTERVAL_S = 0.3
TUNABLES = PresenceTunables(poll_s=0.02, update_interval_s=UPDATE_INTERVAL_S)
QUICK = altered(replace(PRESENCE, open=partial(open_presence, tunables=TUNABLES)))


@pytest.fixture
async def daemon(config: Config) -> AsyncIterator[Daemon]:
    """A daemon with a short grace period, which sends updates soon."""
    async with running(config.using(PresenceSettings(grace=GRACE)), QUICK) as started:
        yield started


async def look(person: Person, *others: Person) -> list[str]:
    found = await person.call("presence.watch", users=[other.user for other in others])
    return [item["status"] for item in found["items"]]


async def seen(person: Person, *others: Person) -> list[str]:
    found = await person.call("presence.query", users=[other.user for other in others])
    return [item["status"] for item in found["items"]]


async def next_update(person: Person) -> tuple[str, str]:
    update = await person.event("presence.update")
    return update["user"], update["status"]


async def gets_no_update(person: Person, seconds: float = 2 * GRACE) -> None:
    """Wait longer than the grace period and the interval between updates."""
    await trio.sleep(seconds)
    assert await person.is_served()
    assert not updates(person)


def updates(person: Person) -> list[Reply]:
    return [event for event in person.events if event["t"] == "presence.update"]


@asynccontextmanager
async def gone(daemon: Daemon) -> AsyncIterator[Person]:
    """A user who has disconnected."""
    async with daemon.person("gone") as person:
        pass
    yield person


@covers("presence.watch")
async def test_a_subscription_gets_updates(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, eve), gone(daemon) as ben:
        await poll_until(lambda: seen(ann, ben), lambda found: found == ["offline"])
        item = (await ann.call("presence.watch", users=[ben.user, eve.user, ben.user]))["items"][0]
        assert (item["user"], item["status"], item["last_seen"] is not None) == (ben.user, "offline", True)
        async with daemon.connected(ben.account, "msgpack"):
            update = await ann.event("presence.update")
            assert (update["user"], update["status"], update["last_seen"]) == (ben.user, "online", None)
        update = await ann.event("presence.update")
        assert (update["status"], item["last_seen"] < update["last_seen"] <= ann.hello["server_time"] + 60_000) == (
            "offline",
            True,
        )
        assert not updates(eve)
        assert await look(ann) == []
        async with daemon.connected(ben.account):
            await gets_no_update(ann)


@covers("presence.query")
async def test_presence_is_queried_once(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben), gone(daemon) as eve:
        token = ann.account.access_token
        answer = await daemon.rest("POST", "/v1/presence/query", {"users": [ben.user, NOBODY, ann.user]}, token)
        assert [item["status"] for item in answer.body["items"]] == ["online", "offline", "online"]
        assert answer.body["items"][1] == {"user": NOBODY, "status": "offline", "last_seen": None}
        assert await seen(ann, eve) == ["online"]
        await poll_until(lambda: seen(ann, eve), lambda found: found == ["offline"])
        assert (await ann.refused("presence.query", users=[ben.user] * 101)).code == "bad_request"


async def test_a_reconnection_sends_no_update(daemon: Daemon) -> None:
    async with daemon.person() as ann:
        async with daemon.person() as ben:
            assert await look(ann, ben) == ["online"]
        for _ in range(3):
            # Within the grace period.
            async with daemon.connected(ben.account):
                assert await seen(ann, ben) == ["online"]
        async with daemon.connected(ben.account):
            await gets_no_update(ann)


@covers("presence.set")
async def test_a_user_is_away_if_all_devices_are(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben):
        await look(ann, ben)
        async with daemon.connected(ben.account) as phone:
            await phone.call("presence.set", status="away")
            assert await seen(ann, ben) == ["online"]
            await ben.call("presence.set", status="away")
            assert await next_update(ann) == (ben.user, "away")
            await phone.call("presence.set", status="online")
            assert await next_update(ann) == (ben.user, "online")
        assert await next_update(ann) == (ben.user, "away")
        await ben.call("presence.set", status="online")
        assert await next_update(ann) == (ben.user, "online")
        assert (await ben.refused("presence.set", status="offline")).code == "bad_request"


async def test_a_reconnection_sends_no_update_if_another_device_is_away(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, phone), daemon.connected(phone.account) as desk:
        await phone.call("presence.set", status="away")
        assert await look(ann, phone) == ["online"]
        await trio.aclose_forcefully(desk.connection)
        # Within the grace period.
        async with daemon.connected(phone.account):
            await gets_no_update(ann)


async def test_at_most_one_update_per_second(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben):
        await look(ann, ben)
        began = trio.current_time()
        for status in ("away", "online") * 150:
            await ben.call("presence.set", status=status)
        await ben.call("presence.set", status="away")
        most = 1 + (trio.current_time() - began) / UPDATE_INTERVAL_S
        # Until the last change is sent, and an update too many would be.
        await trio.sleep(2.5 * UPDATE_INTERVAL_S)
        assert await ann.is_served()
        received = [update["status"] for update in updates(ann)]
        assert 1 <= len(received) <= most + 1
        assert received[-1] == "away"
        assert all(before != after for before, after in pairwise(received))


MATRIX = [
    # What ben shows; who looks: a stranger, somebody who has only written to ben, somebody whom ben has answered, ben.
    ("nobody", [False, False, False, True]),
    ("contacts", [False, False, True, True]),
    ("everybody", [True, True, True, True]),
]


@pytest.mark.parametrize("by_config", [True, False])
@pytest.mark.parametrize(("shown", "expected"), MATRIX)
async def test_who_may_see_presence(config: Config, shown: Any, expected: list[bool], by_config: bool) -> None:
    usual = PresenceDefaults(shown_to=shown if by_config else "nobody")
    async with (
        running(config.using(PresenceSettings(grace=GRACE), usual), QUICK) as daemon,
        daemon.people(4) as (ben, stranger, writer, friend),
    ):
        if not by_config:
            await ben.call("user.settings", show_presence=shown)
        for person in (writer, friend):
            opened = await person.call("conversation.open", user=ben.user)
            await person.send(opened.conversation.id)
        await ben.send(opened.conversation.id, "an answer")
        for person, may in zip((stranger, writer, friend, ben), expected, strict=True):
            assert await seen(person, ben) == await look(person, ben) == (["online"] if may else ["offline"])
        async with daemon.connected(ben.account):
            await trio.aclose_forcefully(ben.connection)
        for person, may in zip((stranger, writer, friend), expected, strict=False):
            if may:
                assert (await person.event("presence.update"))["last_seen"] is not None
        for person, may in zip((stranger, writer, friend), expected, strict=False):
            item = (await person.call("presence.query", users=[ben.user]))["items"][0]
            assert (item["status"], item["last_seen"] is not None) == ("offline", may)
            assert not updates(person)


async def test_the_creator_of_a_conversation_is_visible_to_the_other(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, _):
        for person in (alice, bob):
            await person.call("user.settings", show_presence="contacts")
        assert (await seen(bob, alice), await seen(alice, bob)) == (["online"], ["offline"])


async def test_a_change_of_visibility_takes_effect_at_once(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben):
        await look(ann, ben)
        await ben.call("user.settings", show_presence="nobody")
        update = await ann.event("presence.update")
        assert (update["status"], update["last_seen"]) == ("offline", None)
        await ben.call("presence.set", status="away")
        await gets_no_update(ann)
        await ben.call("user.settings", show_presence="everybody")
        assert await next_update(ann) == (ben.user, "away")


@pytest.mark.parametrize("ann_blocks", [True, False])
async def test_a_block_hides_both_users(daemon: Daemon, ann_blocks: bool) -> None:
    async with daemon.people(2) as (ann, ben):
        for one, other in ((ann, ben), (ben, ann)):
            assert await look(one, other) == ["online"]
        blocker, blocked = (ann, ben) if ann_blocks else (ben, ann)
        await blocker.call("user.block", user=blocked.user)
        for one, other in ((ann, ben), (ben, ann)):
            update = await one.event("presence.update")
            assert (update["user"], update["status"], update["last_seen"]) == (other.user, "offline", None)
            assert await seen(one, other) == ["offline"]
        await ben.call("presence.set", status="away")
        await gets_no_update(ann)
        await blocker.call("user.unblock", user=blocked.user)
        assert await next_update(ann) == (ben.user, "away")
        assert await next_update(ben) == (ann.user, "online")


async def test_another_tenant_sees_nothing(config: Config) -> None:
    """The same id is another user there."""
    two = config.using(PresenceSettings(grace=GRACE)).using_named(
        TenantSettings, {"other": TenantSettings(secret=config.get(AuthSettings).secret[::-1])}
    )
    async with running(two, QUICK) as daemon, daemon.person() as ann, daemon.person(tenant="other") as eve:
        assert await look(eve, ann) == ["offline"]
        await ann.call("presence.set", status="away")
        await gets_no_update(eve)


@covers("presence.count")
@covers("presence.count", "not_found")
async def test_the_count_reveals_no_hidden_presence(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, eve)), daemon.person() as stranger:
        await eve.call("presence.set", status="away")
        counted = await ann.call("presence.count", conversation=id_)
        assert (counted["online"], counted["members"]) == (3, 3)
        await ben.call("user.settings", show_presence="nobody")
        await eve.call("user.block", user=ann.user)
        counts = [(await one.call("presence.count", conversation=id_))["online"] for one in (ann, ben, eve)]
        assert counts == [1, 3, 1]
        answer = await daemon.rest("GET", f"/v1/conversations/{id_}/presence", token=ann.account.access_token)
        assert answer.body == {"t": "presence.count", "online": 1, "members": 3}
        assert (await stranger.refused("presence.count", conversation=id_)).code == "not_found"


@pytest.mark.parametrize("cache_s", [0.0, 600.0])
async def test_a_large_group_counts_members_who_are_visible_to_everybody(config: Config, cache_s: float) -> None:
    tunables = CountTunables(max_small_members=2, page_size=2, cache_s=cache_s)
    presence = altered(replace(PRESENCE, open=partial(open_presence, tunables=TUNABLES, count_tunables=tunables)))
    async with (
        running(config.using(PresenceSettings(grace=GRACE)), presence) as daemon,
        group(daemon, 5) as (id_, (ann, ben, eve, *_)),
    ):
        await ben.call("user.settings", show_presence="contacts")
        counted = await ann.call("presence.count", conversation=id_)
        assert (counted["online"], counted["members"]) == (4, 5)
        await trio.aclose_forcefully(eve.connection)
        await poll_until(lambda: seen(ann, eve), lambda found: found == ["offline"])
        assert (await ann.call("presence.count", conversation=id_))["online"] == (4 if cache_s else 3)


async def test_nothing_is_left_of_ended_sessions(daemon: Daemon) -> None:
    async with daemon.person() as ann:
        async with AsyncExitStack() as stack:
            people = [await stack.enter_async_context(daemon.person()) for _ in range(3)]
            for person in people:
                await look(person, ann, *people)
                await person.call("presence.set", status="away")
        await poll_until(lambda: seen(ann, *people), lambda found: found == ["offline"] * 3)
        assert await look(ann, *people) == ["offline"] * 3
        assert await look(ann) == []
