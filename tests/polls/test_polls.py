"""Polls: messages with options, votes that are counted once, and their end."""

from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from chatd.app.jobs import Job
from chatd.client import Refused
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.filters.settings import FilterSettings
from chatd.polls import closing
from tests.cluster.test_two_nodes import nodes, pair_on
from tests.conversations.test_groups import group
from tests.privacy.test_erasure import ERASURE
from tests.privacy.test_export import exported
from tests.support import NOBODY, Daemon, Person, altered, covers, only_jobs, poll_until, running

CLOSING = Job("polls", closing.close_due, 0.1)
SOON = only_jobs(CLOSING)
Fields = dict[str, str]
LUNCH: dict[str, Any] = {"question": "Lunch?", "options": ["pizza", "sushi", "soup"]}


@pytest.fixture
async def daemon(config: Config) -> AsyncIterator[Daemon]:
    """A daemon that closes polls soon."""
    async with running(config, SOON) as started:
        yield started


async def poll(person: Person, conversation: str, client_id: str = "p1", **fields: Any) -> Fields:
    """The conversation and the message of a new poll."""
    ack = await person.call("poll.create", conversation=conversation, client_id=client_id, **{**LUNCH, **fields})
    return {"conversation": conversation, "message": ack.message}


async def seen(person: Person, fields: Fields) -> Any:
    """The message as a user reads it."""
    items = (await person.call("message.history", conversation=fields["conversation"], limit=200))["items"]
    (found,) = [one for one in items if one["id"] == fields["message"]]
    return found


def counts(message: Any) -> list[int]:
    return [option["votes"] for option in message["poll"]["options"]]


async def update(person: Person, change: str) -> Any:
    """The next change of this kind of a message."""
    while (event := await person.event("message.update"))["change"] != change:
        pass
    return event


async def code(person: Person, command: str, **fields: Any) -> str:
    return (await person.refused(command, **fields)).code


@covers("poll.create")
@covers("poll.vote")
@covers("poll.voters")
async def test_a_poll_is_a_message_whose_votes_are_counted_and_sent(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        ack = await alice.call("poll.create", conversation=conversation, client_id="p", **LUNCH)
        again = await alice.call("poll.create", conversation=conversation, client_id="p", **LUNCH)
        assert (again.message, again.rev, again.duplicate) == (ack.message, ack.rev, True)
        fields = {"conversation": conversation, "message": ack.message}
        message = (await bob.event("message.new"))["message"]
        assert (message["text"], message["seq"], message["poll"]) == (
            "Lunch?",
            ack.seq,
            {
                "options": [{"text": text, "votes": 0} for text in LUNCH["options"]],
                "multiple": False,
                "anonymous": False,
                "voters": 0,
            },
        )
        voted = (await bob.call("poll.vote", options=[1], **fields))["message"]
        assert (counts(voted), voted["voted"], voted["poll"]["voters"]) == ([0, 1, 0], [1], 1)
        event = await update(alice, "vote")
        assert (event["by"], event["rev"], counts(event["message"])) == (bob.user, ack.rev + 1, [0, 1, 0])
        assert "voted" not in event["message"]
        await bob.call("poll.vote", options=[0], **fields)
        await alice.call("poll.vote", options=[0], **fields)
        changes = await bob.call("conversation.sync", conversation=conversation, rev=ack.rev)
        assert [(counts(one), one["voted"]) for one in changes["messages"]] == [([2, 0, 0], [0])]
        first = await alice.call("poll.voters", option=0, limit=1, **fields)
        second = await alice.call("poll.voters", option=0, limit=1, cursor=first["cursor"], **fields)
        assert [one["user"] for one in (*first["items"], *second["items"])] == sorted([alice.user, bob.user])
        assert (second["cursor"], (await alice.call("poll.voters", option=1, **fields))["items"]) == (None, [])
        await bob.call("poll.vote", options=[], **fields)
        left = await seen(bob, fields)
        assert (counts(left), left["poll"]["voters"], "voted" in left) == ([1, 0, 0], 1, False)


async def test_multiple_choice(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        fields = await poll(alice, conversation, multiple=True)
        for options in ([2, 0, 2], [0, 2]):
            voted = (await bob.call("poll.vote", options=options, **fields))["message"]
            assert (counts(voted), voted["voted"], voted["poll"]["voters"]) == ([1, 0, 1], [0, 2], 1)
        rev = voted["rev"]
        voted = (await bob.call("poll.vote", options=[1, 2], **fields))["message"]
        assert (counts(voted), voted["rev"], voted["poll"]["voters"]) == ([0, 1, 1], rev + 1, 1)


async def test_nobody_learns_who_has_voted_in_an_anonymous_poll(daemon: Daemon) -> None:
    async with group(daemon, 3) as (conversation, (alice, bob, carol)):
        fields = await poll(alice, conversation, anonymous=True)
        await bob.call("poll.vote", options=[1], **fields)
        for person in (alice, carol):
            event = await update(person, "vote")
            assert ("by" in event, "voted" in event["message"], counts(event["message"])) == (False, False, [0, 1, 0])
            assert not [one for one in person.log if one[1]["t"] == "poll.voted"]
            assert await code(person, "poll.voters", option=1, **fields) == "forbidden"
            assert "voted" not in await seen(person, fields)
        assert (await seen(bob, fields))["voted"] == [1]


async def test_vote_reaches_the_other_devices_of_the_user(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.connected(bob.account) as tablet:
        fields = await poll(alice, conversation, anonymous=True)
        voted = (await bob.call("poll.vote", options=[2], **fields))["message"]
        event = await tablet.event("poll.voted")
        assert (event["message"], event["options"], event["vote_rev"]) == (fields["message"], [2], voted["rev"])
        # The same vote on the other device counts once and changes nothing.
        assert (await tablet.call("poll.vote", options=[2], **fields))["message"]["rev"] == voted["rev"]
        await bob.is_served()
        assert not [one for _, one in bob.log if one["t"] == "poll.voted"]


async def test_votes_from_many_devices_at_once_count_once(config: Config, store: Postgres) -> None:
    """One user votes on two nodes at the same time, for different options; the counts are those of the rows."""
    async with nodes(config, subsystems=SOON) as (one, two), pair_on(one, two) as (alice, bob, conversation):
        async with one.connected(bob.account) as other, trio.open_nursery() as nursery:
            fields = await poll(alice, conversation)
            for turn in range(8):
                for person, option in ((bob, turn % 3), (other, (turn + 1) % 3), (alice, turn % 2)):
                    nursery.start_soon(partial(person.call, "poll.vote", options=[option], **fields))
        message = await seen(alice, fields)
        rows = await store.all("select option, user_id::text from poll_votes")
        assert sorted(row["user_id"] for row in rows) == sorted([alice.user, bob.user])
        counted = Counter(row["option"] for row in rows)
        assert (counts(message), message["poll"]["voters"]) == ([counted[option] for option in range(3)], 2)
        assert [(await seen(bob, fields))["voted"]] == [[row["option"]] for row in rows if row["user_id"] == bob.user]


@covers("poll.create", "not_found", "conflict", "too_large", "blocked", "forbidden")
async def test_polls_that_are_refused(config: Config) -> None:
    config = replace(config, limits=replace(config.limits, text_bytes=500))
    config = config.using(FilterSettings(words=["spam"], action="reject"))
    async with (
        running(config, SOON) as daemon,
        daemon.pair() as (alice, bob, conversation),
        daemon.person() as eve,
    ):
        fields = {"conversation": conversation, "client_id": "x"}
        wrong: list[dict[str, Any]] = [
            {"options": ["one"]},
            {"options": [str(number) for number in range(21)]},
            {"options": ["same", " same "]},
            {"options": ["a", "\u200b"]},
            {"options": ["a", "b" * 101]},
            {"question": " "},
            {"question": "x" * 301},
            {"closes_at": now_ms() - 1000},
            {"closes_at": now_ms() + 400 * 86_400_000},
        ]
        for one in wrong:
            assert await code(alice, "poll.create", **fields, **{**LUNCH, **one}) == "bad_request", one
        for text in ({"question": "spam?"}, {"options": ["fine", "spam"]}):
            assert await code(alice, "poll.create", **fields, **{**LUNCH, **text}) == "forbidden"
        assert await code(alice, "poll.create", **fields, **{**LUNCH, "question": "ß" * 251}) == "too_large"
        assert await code(eve, "poll.create", **fields, **LUNCH) == "not_found"
        await poll(alice, conversation, "x")
        elsewhere = (await alice.call("conversation.create", members=[bob.user], title="t"))["conversation"]["id"]
        assert await code(alice, "poll.create", conversation=elsewhere, client_id="x", **LUNCH) == "conflict"
        await bob.call("user.block", user=alice.user)
        assert await code(alice, "poll.create", conversation=conversation, client_id="y", **LUNCH) == "blocked"


async def test_masked_options_are_named_in_the_ack(config: Config) -> None:
    config = config.using(FilterSettings(words=["spam"], action="mask"))
    async with running(config, SOON) as daemon, daemon.pair() as (alice, bob, conversation):
        ack = await alice.call(
            "poll.create", conversation=conversation, client_id="x", question="q", options=["spam", "fine"]
        )
        message = (await bob.event("message.new"))["message"]
        assert ack["options"] == [option["text"] for option in message["poll"]["options"]] == ["****", "fine"]


async def test_options_may_be_any_text(daemon: Daemon) -> None:
    """Also the names of what else a message may contain: no option mentions everybody, or ends the poll."""
    async with group(daemon, 2) as (conversation, (alice, bob)):
        odd = ["everybody", "thread", '"everybody":true', '"closes_at":1', "closes_at"]
        fields = await poll(bob, conversation, options=odd)
        assert [option["text"] for option in (await seen(alice, fields))["poll"]["options"]] == odd


@covers("poll.vote", "not_found", "conflict", "blocked")
@covers("poll.voters", "not_found", "conflict", "forbidden")
async def test_votes_that_are_refused(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.person() as eve:
        fields = await poll(alice, conversation)
        assert await code(bob, "poll.vote", options=[3], **fields) == "bad_request"
        assert await code(bob, "poll.vote", options=[0, 1], **fields) == "bad_request"
        text = {"conversation": conversation, "message": (await alice.send(conversation)).message}
        unknown = {"conversation": conversation, "message": NOBODY}
        for command, more in (("poll.vote", {"options": [0]}), ("poll.voters", {"option": 0})):
            assert await code(eve, command, **fields, **more) == "not_found"
            assert await code(bob, command, **unknown, **more) == "not_found"
            assert await code(bob, command, **text, **more) == "conflict"
        secret = await poll(alice, conversation, "p2", anonymous=True)
        assert await code(bob, "poll.voters", option=0, **secret) == "forbidden"
        await bob.call("poll.vote", options=[0], **fields)
        await bob.call("user.block", user=alice.user)
        assert await code(alice, "poll.vote", options=[0], **fields) == "blocked"
        await bob.call("user.unblock", user=alice.user)
        await alice.call("message.delete", **fields)
        for command, more in (("poll.vote", {"options": [0]}), ("poll.voters", {"option": 0})):
            assert await code(bob, command, **fields, **more) == "conflict"
        assert "poll" not in await seen(bob, fields)


async def test_member_votes_only_on_messages_that_they_can_see(daemon: Daemon) -> None:
    async with group(daemon, 2, history="joined") as (conversation, (alice, _)), daemon.person() as carol:
        fields = await poll(alice, conversation)
        await alice.call("member.add", conversation=conversation, users=[carol.user])
        assert await code(carol, "poll.vote", options=[0], **fields) == "not_found"
        assert await code(carol, "poll.voters", option=0, **fields) == "not_found"


@covers("poll.close")
@covers("poll.close", "not_found", "conflict", "forbidden")
async def test_poll_is_closed_by_its_author_or_a_moderator(daemon: Daemon) -> None:
    async with group(daemon, 3) as (conversation, (alice, bob, carol)):
        fields = await poll(bob, conversation)
        await carol.call("poll.vote", options=[2], **fields)
        assert await code(carol, "poll.close", **fields) == "forbidden"
        assert await code(carol, "poll.close", conversation=conversation, message=NOBODY) == "not_found"
        text = (await carol.send(conversation)).message
        assert await code(carol, "poll.close", conversation=conversation, message=text) == "conflict"
        closed = (await alice.call("poll.close", **fields))["message"]
        event = await update(carol, "close")
        assert (event["by"], event["message"]["poll"]["closed_at"]) == (alice.user, closed["poll"]["closed_at"])
        again = (await bob.call("poll.close", **fields))["message"]
        assert (again["rev"], again["poll"]) == (closed["rev"], closed["poll"])
        assert await code(carol, "poll.vote", options=[], **fields) == "conflict"
        assert (counts(await seen(carol, fields)), (await seen(carol, fields))["voted"]) == ([0, 0, 1], [2])


async def test_poll_is_closed_once_at_its_time(config: Config, store: Postgres) -> None:
    """On one of two nodes; votes that arrive then are counted, or refused."""
    async with nodes(config, subsystems=SOON) as (one, two), pair_on(one, two) as (alice, bob, conversation):
        closes_at = now_ms() + 1500
        fields = await poll(alice, conversation, closes_at=closes_at)
        outcomes: list[tuple[int, str]] = []
        while not outcomes or outcomes[-1][1] == "ok":
            option = len(outcomes) % 3
            try:
                await bob.call("poll.vote", options=[option], **fields)
                outcomes.append((option, "ok"))
            except Refused as refused:
                outcomes.append((option, refused.code))
            await trio.sleep(0.05)
        event = await update(alice, "close")
        message = event["message"]
        assert outcomes[-1][1] == "conflict"
        assert ("by" in event, message["poll"]["closed_at"] >= closes_at) == (False, True)
        counted = outcomes[-2][0]
        assert counts(message) == [int(option == counted) for option in range(3)]
        await update(bob, "close")
        await bob.is_served()
        changes = [each for _, each in bob.log if each["t"] == "message.update" and each["change"] == "close"]
        assert len(changes) == 1
        assert await store.value("select count(*) from poll_deadlines") == 0
        # Sent again after its end, it is still the same message.
        again = await alice.call("poll.create", conversation=conversation, client_id="p1", closes_at=closes_at, **LUNCH)
        assert (again.message, again.duplicate) == (fields["message"], True)


async def test_deleted_and_expired_polls_leave_nothing(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        await alice.call("conversation.edit", conversation=conversation, disappear=60)
        expiring = await poll(alice, conversation, closes_at=now_ms() + 60_000)
        await alice.call("conversation.edit", conversation=conversation, disappear=0)
        fields = await poll(alice, conversation, "p2", closes_at=now_ms() + 60_000)
        await bob.call("poll.vote", options=[0], **expiring)
        await bob.call("poll.vote", options=[0], **fields)
        await alice.call("message.delete", **fields)
        await store.run("update messages set expires_at = 1 where id = $1", expiring["message"])
        assert await code(bob, "poll.vote", options=[1], **expiring) == "conflict"
        assert "poll" not in await seen(bob, expiring)
        assert await store.value("select count(*) from poll_votes") == 1
        assert await store.value("select count(*) from poll_deadlines") == 1


async def test_forwarded_poll_is_its_question(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        fields = await poll(alice, conversation)
        await alice.call("message.forward", client_id="f", source=conversation, **fields)
        message = [(await bob.event("message.new"))["message"] for _ in range(2)][1]
        assert (message["text"], "poll" in message, "forwarded" in message) == ("Lunch?", False, True)


async def test_poll_cannot_be_edited(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, conversation):
        assert await code(alice, "message.edit", text="Dinner?", **await poll(alice, conversation)) == "forbidden"


async def test_polls_over_rest(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        token = bob.account.access_token
        made = await daemon.rest("POST", f"/v1/conversations/{conversation}/polls", {"client_id": "r", **LUNCH}, token)
        at = f"/v1/conversations/{conversation}/messages/{made.body['message']}/poll"
        voted = await daemon.rest("PUT", f"{at}/vote", {"options": [1]}, token)
        assert (voted.status, voted.body["message"]["voted"]) == (200, [1])
        voters = await daemon.rest("GET", f"{at}/voters?option=1", token=alice.account.access_token)
        assert [one["user"] for one in voters.body["items"]] == [bob.user]
        assert (await daemon.rest("POST", f"{at}/close", {}, token)).status == 200


async def test_export_and_erasure_of_votes(config: Config, store: Postgres) -> None:
    """An erased vote is subtracted from the counts, also of a poll that has ended."""
    async with running(config, altered(ERASURE)) as daemon, group(daemon, 2) as (conversation, (alice, bob)):
        polls = [await poll(alice, conversation, f"p{number}", anonymous=number == 0) for number in range(2)]
        for fields in polls:
            for person in (alice, bob):
                await person.call("poll.vote", options=[1], **fields)
        await alice.call("poll.close", **polls[1])
        written = [line["poll"]["options"] for line in await exported(daemon, alice) if line.get("poll")]
        assert [[option["text"] for option in options] for options in written] == [LUNCH["options"]] * 2
        votes = [line for line in await exported(daemon, bob) if line["type"] == "poll_vote"]
        assert [(vote["message"], vote["option"]) for vote in votes] == [(each["message"], 1) for each in polls]
        await bob.call("me.erase", confirm=True)

        async def is_erased() -> bool:
            return [counts(await seen(alice, fields)) for fields in polls] == [[0, 1, 0]] * 2

        await poll_until(is_erased)
        assert [(await seen(alice, fields))["poll"]["voters"] for fields in polls] == [1, 1]
        assert await store.value("select count(*) from poll_votes where user_id = $1", bob.user) == 0


async def test_polls_votes_and_ends_are_measured(daemon: Daemon) -> None:
    """Each once: a repeated command changes nothing. Replies in threads are measured in the same way."""
    async with daemon.pair() as (alice, bob, conversation):
        for _ in range(2):
            fields = await poll(alice, conversation)
        for options in ([0], [0], [1], []):
            await bob.call("poll.vote", options=options, **fields)
        for _ in range(2):
            await alice.call("poll.close", **fields)
        await poll(alice, conversation, "p2", closes_at=now_ms() + 500)
        await update(bob, "close")
        await update(bob, "close")
        await alice.send(conversation, "reply", thread=fields["message"])

        async def measured() -> dict[str, float]:
            text = (await daemon.rest("GET", "/metrics", Host="localhost")).body.decode()
            lines = (line.split() for line in text.splitlines() if line.startswith("chatd_"))
            names = ("chatd_poll", "chatd_thread_")
            return {name: float(value) for name, value in lines if name.startswith(names)}

        expected = {
            "chatd_polls_total": 2,
            "chatd_poll_votes_total": 3,
            'chatd_polls_closed_total{by="user"}': 1,
            'chatd_polls_closed_total{by="time"}': 1,
            "chatd_thread_replies_total": 1,
        }
        await poll_until(measured, lambda found: found == expected)
