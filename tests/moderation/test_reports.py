"""Reports of users: permissions, evidence, limits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from chatd.client import Refused
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.db.postgres import ForeignKeyViolation, Postgres
from chatd.moderation import reports
from chatd.moderation.settings import ModerationSettings
from tests.admins import NOBODY, administered, daemon, db, done
from tests.conversations.test_groups import group
from tests.support import Daemon, Person, covers, running

__all__ = ["daemon", "db"]
DAY = 86_400_000


async def report(person: Person, **fields: Any) -> str:
    return str((await person.call("report.create", **{"reason": "abuse", **fields}))["report"])


async def transcript(daemon: Daemon, report: str) -> list[Any]:
    return list((await done(daemon, "report", report=report))["transcript"])


async def all_reports(daemon: Daemon) -> list[Any]:
    return list((await done(daemon, "reports", state="any", limit=200))["items"])


@asynccontextmanager
async def strangers(daemon: Daemon) -> AsyncIterator[tuple[Person, Person, str]]:
    """Two matched users, and their conversation."""
    async with daemon.person("alice") as alice, daemon.person("bob") as bob:
        await alice.call("match.find")
        await bob.call("match.find")
        found = await alice.event("match.found")
        await bob.event("match.found")
        yield alice, bob, found["conversation"]


@covers("report.create")
async def test_report_contains_the_surrounding_messages(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        sent = [await (alice, bob)[number % 2].send(conversation, f"message {number}") for number in range(4)]
        id_ = await report(alice, conversation=conversation, message=sent[1]["message"], text="look at this")
        full = await done(daemon, "report", report=id_)
        shown = full["report"]
        assert (shown["reporter"], shown["user"], shown["state"]) == (alice.user, bob.user, "open")
        assert (shown["message"], shown["reason"], shown["text"]) == (sent[1]["message"], "abuse", "look at this")
        assert [(entry["seq"], entry["sender"], entry["text"]) for entry in full["transcript"]] == [
            (number + 1, (alice, bob)[number % 2].user, f"message {number}") for number in range(4)
        ]
        assert [entry["at"] for entry in full["transcript"]] == [ack["created_at"] for ack in sent]


@covers("report.create")
async def test_evidence_survives_deletion(daemon: Daemon, db: Postgres) -> None:
    """The sender deletes the message, the conversation, the account."""
    async with daemon.pair() as (alice, bob, conversation):
        files = [{"type": "link", "url": "https://files.example.org/cat.png"}]
        bad = await bob.send(conversation, "something bad", attachments=files)
        id_ = await report(alice, conversation=conversation, message=bad["message"])
        await db.run("delete from messages where conversation = $1", conversation)
        await db.run("delete from conversations where id = $1", conversation)
        await db.run("delete from users where id = any($1::uuid[])", [alice.user, bob.user])
        (entry,) = await transcript(daemon, id_)
        assert (entry["sender"], entry["text"], entry["attachments"]) == (bob.user, "something bad", files)


@covers("report.create")
async def test_evidence_survives_edits(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        fields = {"conversation": conversation, "message": (await bob.send(conversation, "something bad"))["message"]}
        for text in ("something else", "good morning"):
            await bob.call("message.edit", text=text, **fields)
        id_ = await report(alice, **fields)
        await bob.call("message.delete", **fields)
        (entry,) = await transcript(daemon, id_)
        assert (entry["text"], entry["earlier"]) == ("good morning", ["something bad", "something else"])


@covers("report.create")
async def test_partner_can_be_reported_for_a_day_after_the_match(daemon: Daemon, db: Postgres) -> None:
    """There are no members any more; the messages are stored with the report nevertheless."""
    async with strangers(daemon) as (alice, bob, conversation):
        await bob.send(conversation, "something bad")
        alices, bobs = await alice.alias(conversation), await bob.alias(conversation)
        await bob.call("match.leave")
        assert await db.value("select count(*) from members where conversation = $1", conversation) == 0
        (entry,) = await transcript(daemon, await report(alice, user=bobs))
        assert entry["text"] == "something bad"
        assert (await alice.refused("report.create", user=bob.user, reason="spam")).code == "not_found"
        await db.run("update match_members set ended_at = $1", now_ms() - DAY - 1000)
        assert (await bob.refused("report.create", user=alices, reason="spam")).code == "not_found"
        assert (await alice.refused("report.create", user=bobs, reason="spam")).code == "not_found"


@covers("report.create")
async def test_removed_member_can_report_earlier_messages_for_a_day(daemon: Daemon, db: Postgres) -> None:
    async with group(daemon) as (id_, (ann, ben, _)):
        bad = (await ann.send(id_, "something bad"))["message"]
        await ann.call("member.remove", conversation=id_, user=ben.user)
        after = (await ann.send(id_, "among us"))["message"]
        for fields in ({"conversation": id_, "message": bad}, {"user": ann.user}):
            assert (await transcript(daemon, await report(ben, **fields)))[0]["text"] == "something bad"
        assert (await ben.refused("report.create", reason="abuse", conversation=id_, message=after)).code == "not_found"
        await db.run("update former_members set left_at = $1", now_ms() - DAY - 1000)
        assert (await ben.refused("report.create", reason="spam", conversation=id_, message=bad)).code == "not_found"


@pytest.mark.parametrize("act", ["leave", "dissolve", "erase", "remove", "all leave"])
async def test_former_member_can_be_reported_for_a_day(daemon: Daemon, db: Postgres, act: str) -> None:
    """By user id alone: a report about a user who left or dissolved the group needs no message."""
    async with group(daemon) as (id_, (ann, ben, eve)):
        await ann.send(id_, "something bad")
        if act == "dissolve":
            await ann.call("conversation.dissolve", conversation=id_)
        elif act == "erase":
            await ann.call("me.erase", confirm=True)
            while (await ben.event("member.left"))["departure"]["user"] != ann.user:
                pass
        elif act == "remove":
            await ann.call("conversation.transfer", conversation=id_, user=ben.user)
            await ben.call("member.remove", conversation=id_, user=ann.user)
        else:
            await ann.call("conversation.leave", conversation=id_)
        if act == "all leave":
            for person in (ben, eve):
                await person.call("conversation.leave", conversation=id_)
        for person, place in ((ben, {}), (eve, {"conversation": id_})):
            entries = await transcript(daemon, await report(person, user=ann.user, **place))
            assert entries[0]["text"] == "something bad"
        await db.run("update former_members set left_at = $1", now_ms() - DAY - 1000)
        await db.run("delete from reports")
        assert (await ben.refused("report.create", reason="spam", user=ann.user, conversation=id_)).code == "not_found"


@covers("report.create", "not_found")
async def test_messages_before_joining_cannot_be_reported(daemon: Daemon) -> None:
    async with group(daemon, history="joined") as (id_, (ann, *_)), daemon.person() as eve:
        old = (await ann.send(id_))["message"]
        await ann.call("member.add", conversation=id_, users=[eve.user])
        assert (await eve.refused("report.create", reason="abuse", conversation=id_, message=old)).code == "not_found"
        assert await report(eve, conversation=id_, message=(await ann.send(id_))["message"])


@covers("report.create", "not_found")
async def test_report_requires_a_shared_conversation(daemon: Daemon) -> None:
    """Things that do not exist, and things that the reporter may not see, are refused alike."""
    async with daemon.pair() as (alice, bob, conversation), daemon.person() as eve, daemon.person() as dan:
        message = (await bob.send(conversation))["message"]
        for fields in (
            {"user": bob.user},
            {"user": NOBODY},
            {"user": bob.user, "conversation": conversation},
            {"conversation": conversation, "message": message},
            {"conversation": NOBODY, "message": NOBODY},
        ):
            refused = await eve.refused("report.create", reason="spam", **fields)
            assert (refused.code, refused.message) == ("not_found", "you do not share a conversation with this user")
        own = (await eve.call("conversation.open", user=dan.user))["conversation"]["id"]
        for fields in (
            {"conversation": own, "message": message},
            {"conversation": conversation, "message": message, "user": eve.user},
            {"conversation": own, "user": bob.user},
        ):
            assert (await eve.refused("report.create", reason="spam", **fields)).code == "not_found"
        wrong = {"conversation": conversation, "message": message, "user": eve.user}
        assert (await alice.refused("report.create", reason="spam", **wrong)).code == "not_found"
        assert await all_reports(daemon) == []


async def test_invalid_reports_are_refused(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        mine = (await alice.send(conversation))["message"]
        for fields in (
            {"reason": "boring", "user": bob.user},
            {"reason": "spam"},
            {"reason": "spam", "message": mine},
            {"reason": "spam", "conversation": conversation},
            {"reason": "spam", "conversation": conversation, "message": mine},
            {"reason": "spam", "user": alice.user},
            {"reason": "spam", "user": bob.user, "text": "x" * 2001},
        ):
            assert (await alice.refused("report.create", **fields)).code == "bad_request", fields
        assert await all_reports(daemon) == []


async def test_repeated_report_is_the_same_report(daemon: Daemon, db: Postgres) -> None:
    """Also a thousand times, a hundred at once, over WebSocket and REST."""
    async with daemon.pair() as (alice, bob, conversation):
        messages = [(await bob.send(conversation))["message"] for _ in range(2)]
        found: set[str] = set()

        fingers = trio.CapacityLimiter(100)

        async def press(number: int) -> None:
            async with fingers:
                if number % 50:
                    found.add(await report(alice, user=bob.user))
                else:
                    body = {"reason": "abuse", "user": bob.user}
                    found.add(
                        (await daemon.rest("POST", "/v1/reports", body, alice.account.access_token)).body["report"]
                    )

        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(press, number)
        assert len(found) == 1
        more = [await report(alice, conversation=conversation, message=message) for message in (*messages, *messages)]
        assert (len(set(more)), len(await all_reports(daemon))) == (2, 3)
        assert await report(bob, user=alice.user) not in found
        await db.run("update reports set created_at = created_at - $1::bigint", DAY)
        assert await report(alice, user=bob.user) not in found


async def test_reports_per_hour_are_limited(config: Config) -> None:
    """On every node together: Postgres counts."""
    settings = administered(config).using(ModerationSettings(reports_per_hour=3))
    async with running(settings) as one, running(settings) as two, one.pair() as (alice, bob, conversation):
        messages = [(await bob.send(conversation))["message"] for _ in range(20)]
        outcomes: list[str] = []

        async def press(person: Person, message: str) -> None:
            try:
                await report(person, conversation=conversation, message=message)
                outcomes.append("ok")
            except Refused as refused:
                assert refused.retry_after is not None
                assert 3500 < refused.retry_after <= 3600
                outcomes.append(refused.code)

        async with two.connected(alice.account) as there, trio.open_nursery() as nursery:
            for number, message in enumerate(messages):
                nursery.start_soon(press, (alice, there)[number % 2], message)
        assert sorted(outcomes) == ["ok"] * 3 + ["rate_limited"] * 17
        assert await report(bob, user=alice.user)


async def test_evidence_is_bounded(config: Config) -> None:
    """The nearest messages, and the one that was reported in any case."""
    few = ModerationSettings(evidence_messages=5, evidence_bytes=2000)
    async with running(administered(config).using(few)) as daemon, daemon.pair() as (alice, bob, conversation):
        messages = [(await bob.send(conversation, f"message {number}"))["message"] for number in range(20)]
        by_message = await report(alice, conversation=conversation, message=messages[9])
        assert [entry["seq"] for entry in await transcript(daemon, by_message)] == [8, 9, 10, 11, 12]
        by_user = await report(alice, user=bob.user)
        assert [entry["seq"] for entry in await transcript(daemon, by_user)] == [16, 17, 18, 19, 20]
        await bob.send(conversation, "x" * 1500)
        long = (await bob.send(conversation, "y" * 10_000))["message"]
        await bob.send(conversation, "z")
        by_long = await report(alice, conversation=conversation, message=long)
        assert [entry["seq"] for entry in await transcript(daemon, by_long)] == [22]
        edited = {"conversation": conversation, "message": (await bob.send(conversation, "a" * 1500))["message"]}
        for letter in "bcd":
            await bob.call("message.edit", text=letter * 800, **edited)
        (entry,) = await transcript(daemon, await report(alice, **edited))
        # The first form, and whichever stood longer of the other two.
        assert [text[0] for text in entry["earlier"]] in (["a", "b"], ["a", "c"])


async def add_upload(db: Postgres, owner: str, number: int, removed_at: int | None = None) -> str:
    id_ = f"0190a3c4-0000-7000-8000-{number:012x}"
    await db.run(
        "insert into uploads (tenant, id, owner, key, mime, size, sha256, created_at, removed_at) "
        "values ('default', $1, $2, $1::uuid::text, 'image/png', 1, '', 0, $3)",
        id_,
        owner,
        removed_at,
    )
    return id_


@covers("report.create", "not_found")
async def test_picture_must_be_an_own_upload(daemon: Daemon, db: Postgres) -> None:
    async with daemon.pair() as (alice, bob, _):
        mine, removed = await add_upload(db, alice.user, 1), await add_upload(db, alice.user, 2, removed_at=1)
        for picture in (await add_upload(db, bob.user, 3), removed, NOBODY):
            refused = await alice.refused("report.create", reason="spam", user=bob.user, picture=picture)
            assert (refused.code, "$.picture" in refused.message) == ("not_found", True)
        id_ = await report(alice, user=bob.user, picture=mine)
        assert (await done(daemon, "report", report=id_))["report"]["picture"] == mine
        with pytest.raises(ForeignKeyViolation):
            await db.run("delete from uploads where id = $1", mine)


async def test_old_reports_are_swept_once_they_are_resolved(daemon: Daemon, db: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        messages = [(await bob.send(conversation))["message"] for _ in range(2)]
        first, second = [await report(alice, conversation=conversation, message=message) for message in messages]
        await done(daemon, "report.resolve", report=first, outcome="dismissed")
        settings = daemon.config.get(ModerationSettings)
        await reports.sweep(db, settings, now_ms())
        assert len(await all_reports(daemon)) == 2
        await reports.sweep(db, settings, now_ms() + round(settings.keep_reports * 1000) + 1000)
        assert [item["id"] for item in await all_reports(daemon)] == [second]
