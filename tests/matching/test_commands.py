"""The commands of matching, over real connections."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from chatd.client import sign_up
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.matching.settings import MatchSettings, QueueSettings
from tests.support import NOBODY, Daemon, Person, covers, poll_until, running

QUICK = MatchSettings(relax=0.3, grace=60.0)
SHORT = MatchSettings(relax=0.3, grace=0.5, longest=5.0)
QUEUES = {"asking": QueueSettings(confirm=3.0), "trio": QueueSettings(size=3)}


@pytest.fixture
async def quick(config: Config) -> AsyncIterator[Daemon]:
    """A daemon that relaxes criteria soon."""
    async with running(config.using(QUICK).using_named(QueueSettings, QUEUES)) as daemon:
        yield daemon


@pytest.fixture
async def hasty(config: Config) -> AsyncIterator[Daemon]:
    """A daemon where users who disconnect are gone soon, and tickets expire."""
    async with running(config.using(SHORT)) as daemon:
        yield daemon


@asynccontextmanager
async def matched(daemon: Daemon, **fields: Any) -> AsyncIterator[tuple[Person, Person, str, str]]:
    """Two users in a match."""
    async with daemon.person("alice") as alice, daemon.person("bob", "msgpack") as bob:
        await alice.call("match.find", **fields)
        await bob.call("match.find", **fields)
        found = await alice.event("match.found")
        assert (await bob.event("match.found"))["match"] == found["match"]
        yield alice, bob, found["match"], found["conversation"]


@covers("match.find")
async def test_two_users_are_matched_and_write_to_each_other(daemon: Daemon) -> None:
    async with daemon.person("alice") as alice, daemon.person("bob", "msgpack") as bob:
        queued = await alice.call("match.find", tags=["chess", "tea"], attributes={"language": "en", "age": 30})
        assert (queued["waiting"], len(queued["ticket"])) == (1, 36)
        await bob.call("match.find", tags=["chess"], accept={"must": {"language": "en", "age": {"min": 18}}})
        of_bob = await alice.event("match.found")
        of_alice = await bob.event("match.found")
        assert of_bob["partner"] == {"id": of_alice["alias"], "name": "bob", "attributes": {}}
        assert of_alice["partner"] == {
            "id": of_bob["alias"],
            "name": "alice",
            "attributes": {"language": "en", "age": 30},
        }
        assert (of_bob["matched_on"], of_bob["relaxed"], of_alice["matched_on"]) == (["chess"], [], ["chess"])
        await alice.send(of_bob["conversation"], "hello stranger")
        assert (await bob.event("message.new"))["message"]["text"] == "hello stranger"


@covers("match.find", "conflict")
async def test_a_user_is_in_one_match_at_a_time(daemon: Daemon) -> None:
    async with matched(daemon) as (alice, _, _, _):
        assert (await alice.refused("match.find")).code == "conflict"


async def test_users_who_do_not_fit_are_not_matched(hasty: Daemon) -> None:
    async with hasty.people(3) as (ann, ben, eve):
        await ann.call("match.find", attributes={"language": "de"}, accept={"must": {"language": "de"}})
        await ben.call("match.find", attributes={"language": "en"})
        await eve.call("match.find", attributes={"language": "de"}, accept={"must_not": {"language": ["en", "fr"]}})
        await ann.found(eve)
        assert (await ben.event("match.expired"))["reason"] == "expired"


async def test_relaxed_criteria_are_reported(quick: Daemon) -> None:
    async with quick.person("a") as ann, quick.person("b") as ben:
        await ann.call("match.find", tags=["chess"], accept={"should": {"language": "en"}})
        await ben.call("match.find", tags=["go"])
        assert (await ann.event("match.found"))["relaxed"] == ["should", "tags"]
        assert (await ben.event("match.found"))["relaxed"] == ["tags"]


async def test_three_users_are_matched_in_a_queue_of_three(quick: Daemon) -> None:
    async with quick.people(3) as people:
        for person in people:
            await person.call("match.find", queue="trio")
        found = [await person.event("match.found") for person in people]
        aliases = {one["alias"] for one in found}
        assert len(aliases) == 3
        for one in found:
            assert {partner["id"] for partner in one["partners"]} == aliases - {one["alias"]}


@pytest.mark.parametrize(
    "accept",
    [
        {"must": {"a": None}}, {"must": {"a": {"min": "x"}}}, {"must": {"a": {"least": 1}}}, {"must": {"a": [[1]]}},
        {"must": {"a": list(range(21))}}, {"may": {}}, {"must": {f"k{n}": 1 for n in range(21)}},
        {"should": {"a": {"max": True}}}, {"must": {"a": "x" * 65}}, {"must_not": {"a": ["x" * 65]}},
    ],
)  # fmt: skip
async def test_malformed_conditions_are_refused(daemon: Daemon, accept: Any) -> None:
    async with daemon.person() as person:
        assert (await person.refused("match.find", accept=accept)).code == "bad_request"
        assert (await person.refused("match.find", attributes={"a": [1]})).code == "bad_request"
        assert await person.is_served()


@covers("match.cancel")
@covers("match.cancel", "not_found")
async def test_a_user_who_cancels_is_not_matched(daemon: Daemon) -> None:
    async with daemon.people(3) as (ann, ben, eve):
        ticket = (await ann.call("match.find"))["ticket"]
        assert (await ann.refused("match.cancel", ticket=NOBODY)).code == "not_found"
        await ann.call("match.cancel", ticket=ticket)
        assert (await ann.refused("match.cancel")).code == "not_found"
        await ben.call("match.find")
        await eve.call("match.find")
        await ben.found(eve)
        assert not [event for event in ann.events if event["t"] == "match.found"]


@covers("match.leave")
@covers("match.leave", "not_found")
async def test_after_the_end_no_event_reaches_the_partner(daemon: Daemon) -> None:
    async with matched(daemon) as (alice, bob, match, conversation):
        await alice.call("match.leave")
        ended = await bob.event("match.ended")
        assert (ended["match"], ended["reason"]) == (match, "left")
        for person in (alice, bob):
            for command in ("message.history", "typing.start"):
                assert (await person.refused(command, conversation=conversation)).code == "not_found"
            late = await person.refused(
                "message.send", conversation=conversation, client_id="late", text="still there?"
            )
            assert late.code == "not_found"
            assert (await person.refused("match.leave")).code == "not_found"


@covers("match.skip")
@covers("match.skip", "not_found")
async def test_skipping_finds_another_partner_first(daemon: Daemon) -> None:
    async with matched(daemon, tags=["tea"]) as (alice, bob, _, _), daemon.person("eve") as eve:
        await alice.call("match.skip")
        assert (await bob.event("match.ended"))["reason"] == "skipped"
        await bob.call("match.find", tags=["tea"])
        await eve.call("match.find", tags=["tea"])
        await alice.found(eve)
        assert (await bob.refused("match.skip")).code == "not_found"


async def test_the_answer_to_skip_contains_the_new_ticket(daemon: Daemon) -> None:
    async with matched(daemon) as (alice, bob, _, _):
        skipped = await alice.call("match.skip")
        assert (skipped["t"], skipped["ticket"]) == ("ok", (await alice.call("match.status"))["ticket"])
        await alice.call("match.cancel", ticket=skipped["ticket"])
        await bob.call("match.find")
        assert "ticket" not in await bob.call("match.cancel")


async def test_after_a_skip_nothing_reaches_the_partner(daemon: Daemon) -> None:
    """Messages, typing, receipts, in both directions."""
    async with matched(daemon) as (alice, bob, match, conversation):
        await bob.send(conversation, "hello")
        await alice.event("message.new")
        await alice.call("match.skip")
        assert (await bob.event("match.ended"))["match"] == match
        bob.events.clear()
        for person in (alice, bob):
            tries: dict[str, dict[str, Any]] = {
                "message.send": {"client_id": "late", "text": "wait"},
                "message.history": {},
                "typing.start": {},
                "typing.stop": {},
                "receipt.delivered": {"seq": 1},
                "receipt.read": {"seq": 1},
            }
            for command, fields in tries.items():
                assert (await person.refused(command, conversation=conversation, **fields)).code == "not_found", command
        assert await bob.is_served()
        assert not bob.events


async def test_a_ticket_names_the_match_that_it_led_to(daemon: Daemon) -> None:
    """A late command does not end the next match."""
    async with daemon.people(3) as (ann, ben, eve):
        first = (await ann.call("match.find"))["ticket"]
        await ben.call("match.find")
        await ann.event("match.found")
        await ben.call("match.leave")
        await ann.event("match.ended")
        second = (await ann.call("match.find"))["ticket"]
        await eve.call("match.find")
        await ann.event("match.found")
        for command in ("match.leave", "match.skip"):
            assert (await ann.refused(command, ticket=first)).code == "not_found"
        assert (await ann.refused("match.find")).code == "conflict"
        await ann.call("match.leave", ticket=second)
        assert (await eve.event("match.ended"))["reason"] == "left"


@covers("match.status")
@covers("match.status", "not_found")
async def test_the_status_changes_nothing(daemon: Daemon) -> None:
    async with daemon.people(3) as (ann, ben, eve):
        assert (await ann.refused("match.status")).code == "not_found"
        asked = await ann.call("match.find", tags=["ann"])
        assert dict(await ann.call("match.status")) == dict(asked)
        await ben.call("match.find", tags=["ben"])
        status = await ann.call("match.status")
        assert (status["ticket"], status["waiting"]) == (asked["ticket"], 2)
        await eve.call("match.find", tags=["ann"])
        await ann.found(eve)
        assert (await ann.refused("match.status")).code == "not_found"


async def test_the_criteria_are_deleted_when_the_match_ends(daemon: Daemon, db: Postgres) -> None:
    kept = "select count(*) from match_members where criteria is not null"
    async with matched(daemon, attributes={"size": 1e300}, tags=["tea"]) as (alice, bob, _, _):
        assert await db.value(kept) == 2
        await alice.call("match.skip")
        assert await db.value(kept) == 0
        await bob.event("match.ended")
        async with daemon.person("eve") as eve:
            await eve.call("match.find", tags=["tea"])
            found = await eve.event("match.found")
            assert found["partner"]["attributes"] == {"size": 1e300}


async def test_without_other_users_a_recent_partner_is_matched_again_and_not_recognised(quick: Daemon) -> None:
    async with matched(quick) as (alice, bob, _, _):
        await alice.call("match.skip")
        await bob.event("match.ended")
        await bob.call("match.find")
        assert (await alice.found(bob))["relaxed"] == []


@covers("match.confirm")
@covers("match.confirm", "not_found")
async def test_both_users_must_confirm_if_the_queue_requires_it(quick: Daemon) -> None:
    async with quick.people(3) as (ann, ben, eve):
        await ann.call("match.find", queue="asking")
        await ben.call("match.find", queue="asking")
        match = (await ann.event("match.proposed"))["match"]
        assert (await ann.refused("match.confirm", match=NOBODY)).code == "not_found"
        await ann.call("match.confirm", match=match)
        assert (await ann.event("match.requeued"))["reason"] == "not confirmed"
        assert (await ben.event("match.expired"))["reason"] == "not confirmed"
        await eve.call("match.find", queue="asking")
        match = (await ann.event("match.proposed"))["match"]
        for person in (ann, eve):
            await person.call("match.confirm", match=match)
        found = await ann.event("match.found")
        assert (found["match"], found["waited_ms"] >= 1000) == (match, True)


@covers("match.keep")
@covers("match.keep", "not_found")
async def test_a_kept_match_becomes_an_ordinary_conversation(daemon: Daemon) -> None:
    async with matched(daemon) as (alice, bob, _, conversation):
        await alice.send(conversation, "before")
        await alice.call("match.keep")
        await bob.call("match.keep")
        assert (await alice.event("match.kept"))["conversation"] == conversation
        await bob.event("match.kept")
        opened = await bob.call("conversation.open", user=alice.user)
        assert (opened["conversation"]["id"], opened["created"]) == (conversation, False)
        await bob.send(conversation, "after")
        assert (await alice.event("message.new"))["message"]["seq"] == 2
        assert (await alice.refused("match.keep")).code == "not_found"
        await alice.call("match.find")


async def assert_kept(people: Sequence[Person], match: str, conversation: str) -> None:
    """Each user gets the event once, reads the messages, and can write."""
    for person in people:
        kept = await person.event("match.kept")
        assert (kept["match"], kept["conversation"]) == (match, conversation)
    for person in people:
        items = (await person.call("message.history", conversation=conversation))["items"]
        assert "before" in [item["text"] for item in items]
        listed = (await person.call("conversation.list"))["items"]
        found = next(one for one in listed if one["id"] == conversation)
        assert (found["kind"] in ("direct", "group"), found["settings"]["hidden"], found["settings"]["archived"]) == (
            True,
            False,
            False,
        )
        await person.send(conversation, "after")
        assert (await person.refused("match.keep")).code == "not_found"


async def open_and(alice: Person, bob: Person, **settings: Any) -> None:
    """Open their direct conversation, and change its settings for one of them."""
    direct = (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]
    await alice.send(direct, "long ago")
    if settings:
        await bob.call("conversation.settings", conversation=direct, **settings)


async def test_a_kept_match_keeps_its_messages_with_or_without_a_direct_conversation(config: Config) -> None:
    async with running(config) as daemon:
        for settings in (None, {}, {"hidden": True}, {"archived": True}):
            for together in (False, True):
                async with matched(daemon) as (alice, bob, match, conversation):
                    await alice.send(conversation, "before")
                    if settings is not None:
                        await open_and(alice, bob, **settings)
                    await bob.call("conversation.settings", conversation=conversation, hidden=True, archived=True)
                    await vote_to_keep(alice, bob, together=together)
                    await assert_kept([alice, bob], match, conversation)
                    direct = await bob.call("conversation.open", user=alice.user)
                    assert (direct["conversation"]["id"] == conversation, direct["created"]) == (
                        settings is None,
                        False,
                    )
                    assert not [event for _, event in alice.log if event["t"] == "match.ended"]


async def vote_to_keep(alice: Person, bob: Person, *, together: bool) -> None:
    if not together:
        for person in (alice, alice, bob):
            await person.call("match.keep")
        return
    async with trio.open_nursery() as nursery:
        for person in (alice, bob):
            nursery.start_soon(person.call, "match.keep")


async def test_a_match_of_three_is_kept_as_a_group_with_an_owner(quick: Daemon) -> None:
    async with quick.people(3) as people:
        for person in people:
            await person.call("match.find", queue="trio")
        found = [await person.event("match.found") for person in people]
        conversation = found[0]["conversation"]
        await people[0].send(conversation, "before")
        await open_and(people[0], people[1])
        for person in people:
            await person.call("match.keep")
        await assert_kept(people, found[0]["match"], conversation)
        members = (await people[0].call("member.list", conversation=conversation))["items"]
        assert sorted(member["role"] for member in members) == ["member", "member", "owner"]


async def test_a_match_is_not_kept_after_a_leave_or_a_block(daemon: Daemon) -> None:
    async with matched(daemon) as (alice, bob, _, _):
        await alice.call("match.keep")
        await alice.call("match.leave")
        assert (await bob.event("match.ended"))["reason"] == "left"
        assert (await bob.refused("match.keep")).code == "not_found"
        await bob.call("match.find")
        await alice.call("match.find", tags=["x"])


async def test_a_block_between_the_votes_ends_the_match(daemon: Daemon, store: Postgres) -> None:
    """The block is committed, and the match has not ended yet."""
    async with matched(daemon) as (alice, bob, _, conversation):
        await alice.call("match.keep")
        block = (
            "insert into blocks (tenant, blocker, blocked, blocked_as, created_at) values ('default', $1, $2, $3, 0)"
        )
        await store.run(block, alice.user, bob.user, await bob.alias(conversation))
        assert (await bob.refused("match.keep")).code == "not_found"
        assert (await alice.event("match.ended"))["reason"] == "left"
        for person in (alice, bob):
            assert (await person.refused("message.history", conversation=conversation)).code == "not_found"
            await person.call("match.find")


async def test_a_lost_connection_keeps_the_ticket_for_the_grace_period(quick: Daemon) -> None:
    async with quick.person("bob") as bob:
        async with quick.person("alice") as alice:
            await alice.call("match.find")
        async with quick.connected(alice.account) as alice:
            await bob.call("match.find")
            await alice.found(bob)


async def test_a_user_who_does_not_reconnect_is_not_matched_and_a_partner_is_notified(hasty: Daemon) -> None:
    async with hasty.person("bob") as bob, hasty.person("eve") as eve:
        async with hasty.person("alice") as alice:
            await alice.call("match.find")
            await bob.call("match.find")
            await bob.event("match.found")
        assert (await bob.event("match.ended"))["reason"] == "disconnected"
        async with hasty.person("ann") as ann:
            await ann.call("match.find")
        # Longer than the grace period, after which the tickets have expired.
        await trio.sleep(1)
        await eve.call("match.find")
        assert (await eve.event("match.expired"))["reason"] == "expired"


async def test_forty_users_at_once_make_twenty_matches(daemon: Daemon) -> None:
    async with daemon.people(40) as people:
        async with trio.open_nursery() as nursery:
            for person in people:
                nursery.start_soon(person.call, "match.find")
        found = [await person.event("match.found") for person in people]
        partners = {one["alias"]: one["partner"]["id"] for one in found}
        assert len(partners) == 40
        assert all(partners[partners[alias]] == alias != partners[alias] for alias in partners)


async def test_end_of_a_match_is_sent_to_other_devices(daemon: Daemon) -> None:
    async with matched(daemon) as (alice, _, match, _), daemon.connected(alice.account) as tablet:
        await alice.call("match.leave")
        assert (await tablet.event("match.ended"))["match"] == match


@covers("match.find", "conflict")
@covers("match.skip", "conflict")
async def test_a_search_needs_a_connection(daemon: Daemon) -> None:
    """Otherwise no match could be announced, and the ticket would expire unnoticed."""
    account = await sign_up(daemon.addresses.http, name="ann")
    answer = await daemon.rest("POST", "/v1/match", {}, account.access_token)
    assert (answer.status, answer.body["code"]) == (409, "conflict")
    assert "connect first" in answer.body["message"]
    async with daemon.person("bob") as bob:
        async with daemon.connected(account) as ann:
            assert (await daemon.rest("POST", "/v1/match", {}, account.access_token)).status == 200
            await bob.call("match.find")
            await ann.event("match.found")
        await eventually_refused(daemon, account.access_token)
        assert await bob.is_served()


async def eventually_refused(daemon: Daemon, token: str) -> None:
    """The user is still in the match, but has no connection."""
    await poll_until(lambda: daemon.rest("POST", "/v1/match/skip", {}, token), lambda answer: answer.status == 409)
