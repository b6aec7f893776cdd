"""A reported user cannot remove the evidence first: not by edits, deletion, a timer, or removal of the file."""

from pathlib import Path
from typing import Any

import pytest

from chatd.conversations.settings import MessageSettings
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.db.postgres import Postgres
from chatd.moderation import reports
from chatd.moderation.settings import ModerationSettings
from chatd.uploads.folder_store import Folder
from chatd.uploads.quotas import DAY_MS as DAY
from chatd.uploads.settings import RemovalSettings
from chatd.uploads.sweep import Sweep
from tests.admins import administered, daemon, order
from tests.conversations.test_groups import group
from tests.files import PDF, fetched, picture, stored
from tests.moderation.test_reports import report, strangers, transcript
from tests.privacy.test_export import exported
from tests.support import Daemon, Person, covers, operator, poll_until, running
from tests.uploads.test_commands import SweepNode, files

__all__ = ["daemon"]
LONG = 16_000


async def edited(person: Person, message: dict[str, Any], *texts: str) -> None:
    for text in texts:
        await person.call("message.edit", **message, text=text)


@covers("report.create")
async def test_first_and_longest_lasting_versions_are_kept(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        sent = await bob.send(conversation, "first, bad")
        message = {"conversation": conversation, "message": sent["message"]}
        await edited(bob, message, "second, bad too", *("xyzabc"[n] * LONG for n in range(6)), "good morning")
        # The second form stood for an hour.
        await store.run("update message_edits set until = until + 3600000 where text <> 'first, bad'")
        (entry,) = await transcript(daemon, await report(alice, **message))
        assert (entry["text"], entry["earlier"][:2]) == ("good morning", ["first, bad", "second, bad too"])
        assert len(str(entry)) < 65_536


async def test_first_version_is_kept_at_any_size_with_its_context(config: Config) -> None:
    small = config.using(ModerationSettings(evidence_bytes=2000))
    async with running(administered(small)) as daemon, daemon.pair() as (alice, bob, conversation):
        before = await bob.send(conversation, "context")
        sent = await bob.send(conversation, "b" * LONG)
        message = {"conversation": conversation, "message": sent["message"]}
        await edited(bob, message, *(str(n) * LONG for n in range(4)), "hi")
        entries = await transcript(daemon, await report(alice, **message))
        assert (entries[-1]["earlier"][0], len(entries[-1]["earlier"])) == ("b" * LONG, 2)
        await edited(
            bob, {"conversation": conversation, "message": before["message"]}, *(str(n) * LONG for n in range(4)), "hm"
        )
        entries = await transcript(daemon, await report(alice, conversation=conversation, message=before["message"]))
        assert entries[0]["earlier"][0] == "context"


@covers("message.edit", "too_large")
async def test_edits_of_a_message_are_limited_in_number_and_rate(config: Config, store: Postgres) -> None:
    few = config.using(MessageSettings(edits=4, edits_per_minute=3))
    async with running(administered(few)) as daemon, daemon.pair() as (alice, bob, conversation):
        message = {"conversation": conversation, "message": (await bob.send(conversation, "0"))["message"]}
        await edited(bob, message, "1", "2", "3")
        refused = await bob.refused("message.edit", **message, text="4")
        assert (refused.code, 0 < (refused.retry_after or 0) <= 60) == ("rate_limited", True)
        other = {"conversation": conversation, "message": (await bob.send(conversation, "0"))["message"]}
        await edited(bob, other, "1")
        await store.run("update message_edits set until = until - 61000")
        await edited(bob, message, "4")
        refused = await bob.refused("message.edit", **message, text="5")
        assert (refused.code, refused.row.retryable) == ("too_large", False)
        assert [one["text"] for one in await earlier_forms(alice, message, limit=2)] == ["0", "1", "2", "3"]


async def earlier_forms(person: Person, message: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    found, cursor = list[dict[str, Any]](), None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        page = await person.call("message.edits", **message, limit=limit, **more)
        found += page["items"]
        cursor = page["cursor"]
        if cursor is None:
            return found


async def test_earlier_versions_are_paged(daemon: Daemon, store: Postgres) -> None:
    """Also of messages that were edited more often before there was a bound."""
    async with daemon.pair() as (alice, bob, conversation):
        sent = await bob.send(conversation, "now")
        sql = "insert into message_edits select 'default', $1, $2, n, n::text, n from generate_series(1, 430) as n"
        await store.run(sql, conversation, sent["seq"])
        message = {"conversation": conversation, "message": sent["message"]}
        assert [one["text"] for one in await earlier_forms(alice, message, 200)] == [str(n) for n in range(1, 431)]
        for wrong in ("x", "-1", "1.5", "9" * 30):
            assert (await alice.refused("message.edits", **message, cursor=wrong)).code == "bad_request"


@covers("report.create")
async def test_deleted_message_can_be_reported_for_a_limited_time(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        link = [{"type": "link", "url": "https://x.test/a"}]
        sent = await bob.send(conversation, "something bad", attachments=link)
        message = {"conversation": conversation, "message": sent["message"]}
        await edited(bob, message, "something else")
        await bob.call("message.delete", **message)
        await nobody_reads_it(daemon, alice, bob, conversation)
        (entry,) = await transcript(daemon, await report(alice, **message))
        assert (entry["text"], entry["earlier"], entry["attachments"]) == ("something else", ["something bad"], link)
        assert entry["removed_at"] > 0
        # Once the time is over it is gone, also before anything is swept, and then for good; the report keeps it.
        await store.run("delete from reports")
        await store.run("update withheld_messages set until = $1", now_ms() - 1)
        (entry,) = await transcript(daemon, await report(alice, **message))
        assert (entry["text"], entry["earlier"], entry["removed_at"]) == (None, [], None)
        await reports.sweep(store, ModerationSettings(), now_ms())
        assert await store.value("select count(*) from withheld_messages") == 0


async def nobody_reads_it(daemon: Daemon, alice: Person, bob: Person, conversation: str) -> None:
    """The deleted text is in no answer to any user."""
    for person in (alice, bob):
        seen = [
            await person.call("message.history", conversation=conversation),
            await person.call("conversation.sync", conversation=conversation, rev=0),
            await person.call("conversation.list"),
            await person.call("message.search", query="something"),
        ]
        assert "something" not in str(seen)


@pytest.mark.parametrize("keep", [0.0, 3600.0])
async def test_time_to_report_deleted_messages_is_configured(config: Config, store: Postgres, keep: float) -> None:
    async with (
        running(administered(config).using(RemovalSettings(keep_removed=keep))) as daemon,
        daemon.pair() as (alice, bob, here),
    ):
        message = {"conversation": here, "message": (await bob.send(here, "something bad"))["message"]}
        await bob.call("message.delete", **message)
        left = await store.all("select until from withheld_messages")
        assert [abs(row["until"] - now_ms() - 3_600_000) < 60_000 for row in left] == ([True] if keep else [])
        (entry,) = await transcript(daemon, await report(alice, **message))
        assert entry["text"] == ("something bad" if keep else None)


@covers("conversation.edit", "forbidden")
async def test_non_member_cannot_delete_messages(daemon: Daemon) -> None:
    async with strangers(daemon) as (alice, _, conversation):
        for rule in ({"disappear": 1}, {"keep_days": 1}, {"disappear": 0}):
            assert (await alice.refused("conversation.edit", conversation=conversation, **rule)).code == "forbidden"


@covers("report.create")
async def test_expired_message_can_be_reported(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        await bob.call("conversation.edit", conversation=conversation, disappear=1)
        sent = await bob.send(conversation, "something bad")
        while (await bob.event("message.update"))["change"] != "expire":
            pass
        message = {"conversation": conversation, "message": sent["message"]}
        entry = next(
            one for one in await transcript(daemon, await report(alice, **message)) if one["message"] == sent["message"]
        )
        assert (entry["text"], entry["removed_at"] > 0) == ("something bad", True)


@covers("report.create")
async def test_messages_of_an_erased_account_stay_as_evidence(daemon: Daemon, store: Postgres) -> None:
    """For the same while; then nothing of them is left."""
    async with daemon.pair() as (alice, bob, conversation):
        sent = await bob.send(conversation, "something bad")
        await bob.call("me.erase", confirm=True)
        while (await alice.event("message.update"))["change"] != "delete":
            pass
        (entry,) = await transcript(daemon, await report(alice, conversation=conversation, message=sent["message"]))
        assert entry["text"] == "something bad"
        await reports.sweep(store, ModerationSettings(), now_ms() + DAY + 60_000)
        assert await store.value("select count(*) from withheld_messages") == 0


async def test_evidence_keeps_its_file(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        token = bob.account.access_token
        ids = [(await stored(daemon, token, PDF))["id"] for _ in range(3)]
        sent = [await bob.send(conversation, "look", attachments=[{"upload": id_}]) for id_ in ids]
        await bob.call("message.delete", conversation=conversation, message=sent[0]["message"])
        await bob.call("upload.delete", upload=ids[1])
        id_ = await report(alice, conversation=conversation, message=sent[2]["message"])
        await bob.call("upload.delete", upload=ids[2])
        for file in ids:
            assert (await fetched(daemon, alice.account.access_token, file)).status == 404 or file == ids[0]
        assert (await fetched(daemon, alice.account.access_token, ids[0])).status == 404
        sweep = Sweep(SweepNode(store, Folder(Path(daemon.config.data.dir) / "uploads")))  # type: ignore[arg-type]
        await sweep.run(now_ms())
        assert len(files(daemon)) == 3
        later = now_ms() + 2 * DAY
        await reports.sweep(store, ModerationSettings(), later)
        await sweep.run(later)
        # All three messages are in the evidence, and an admin can open their files.
        for file in ids:
            assert (await store.in_transaction(reports.find_file, operator(), id_, file)).size == len(PDF)
        assert len(files(daemon)) == 3
        await store.run("delete from reports where id = $1", id_)
        await sweep.run(later)
        assert len(files(daemon)) == 0


@pytest.mark.parametrize("act", ["upload.delete", "me.erase"])
async def test_report_keeps_its_picture(daemon: Daemon, store: Postgres, act: str) -> None:
    """When its owner deletes it, or the account: what protects others is kept as long as the report."""
    async with daemon.pair() as (alice, bob, _):
        picture = (await stored(daemon, alice.account.access_token, PDF))["id"]
        id_ = await report(alice, user=bob.user, picture=picture)
        await alice.call(act, **({"upload": picture} if act == "upload.delete" else {"confirm": True}))
        await poll_until(lambda: store.value("select removed_at from uploads"))
        sweep = Sweep(SweepNode(store, Folder(Path(daemon.config.data.dir) / "uploads")))  # type: ignore[arg-type]
        await sweep.run(now_ms() + 2 * DAY)
        assert (await order(daemon, "report.file", report=id_, upload=picture)).body == PDF
        await store.run("delete from reports")
        await sweep.run(now_ms() + 2 * DAY)
        assert files(daemon) == []


@covers("report.create")
async def test_meta_and_system_messages_are_evidence(daemon: Daemon, store: Postgres) -> None:
    """Also after they were deleted; `meta` counts towards the bound like text."""
    async with group(daemon) as (id_, (ann, ben, _)):
        await ann.call("conversation.edit", conversation=id_, title="insult")
        (title,) = (await ann.call("message.history", conversation=id_, limit=1))["items"]
        sent = await ann.send(id_, "look", meta={"caption": "worse"})
        for deleted in (False, True):
            for message in (title["id"], sent["message"]) if deleted else ():
                await ann.call("message.delete", conversation=id_, message=message)
            entries = await transcript(daemon, await report(ben, conversation=id_, message=sent["message"]))
            assert (entries[-1]["meta"], entries[-1]["system"]) == ({"caption": "worse"}, None)
            (system,) = [entry["system"] for entry in entries if entry["message"] == title["id"]]
            assert (system["act"], system["title"]) == ("conversation.edited", "insult")
            assert [entry["removed_at"] is not None for entry in entries][-2:] == [deleted, deleted]
            await store.run("delete from reports")


@covers("report.create")
async def test_meta_counts_towards_the_evidence_limit(config: Config) -> None:
    small = config.using(ModerationSettings(evidence_bytes=4000))
    async with running(administered(small)) as daemon, daemon.pair() as (alice, bob, conversation):
        sent = [await bob.send(conversation, "x", meta={"a": "b" * 3000}) for _ in range(3)]
        entries = await transcript(daemon, await report(alice, conversation=conversation, message=sent[2]["message"]))
        assert [entry["seq"] for entry in entries] == [3]


async def test_the_picture_of_a_group_is_evidence(daemon: Daemon, store: Postgres) -> None:
    async with group(daemon) as (id_, (ann, ben, _)):
        image = (await stored(daemon, ann.account.access_token, picture()))["id"]
        other = (await stored(daemon, ann.account.access_token, PDF))["id"]
        await ann.call("conversation.edit", conversation=id_, picture=image)
        await ann.send(id_, "look", meta={"attachments": [{"upload": other}], "system": {"picture": other}})
        id_ = await report(ben, user=ann.user, conversation=id_)
        assert (await reports.find_file(store, operator(), id_, image)).size > 0
        with pytest.raises(Refused):
            await reports.find_file(store, operator(), id_, other)


@covers("report.create", "not_found")
async def test_readded_member_can_report_messages_of_both_memberships(daemon: Daemon) -> None:
    """Whatever the group shows to new members; but not what they never saw."""
    async with group(daemon) as (id_, (ann, ben, _)):
        seen = [(await ann.send(id_, "something bad"))["message"]]
        await ann.call("conversation.edit", conversation=id_, history="joined")
        hidden = []
        for _ in range(2):
            await ann.call("member.remove", conversation=id_, user=ben.user)
            hidden.append((await ann.send(id_, "among us"))["message"])
            await ann.call("member.add", conversation=id_, users=[ben.user])
            history = await ben.call("message.history", conversation=id_)
            assert {message["id"] for message in history["items"]}.isdisjoint([*seen, *hidden])
            assert (
                await ben.refused("report.create", reason="abuse", conversation=id_, message=hidden[-1])
            ).code == "not_found"
        for message in hidden:
            assert (
                await ben.refused("report.create", reason="abuse", conversation=id_, message=message)
            ).code == "not_found"
        for message in seen:
            entries = await transcript(daemon, await report(ben, conversation=id_, message=message))
            assert "something bad" in [entry["text"] for entry in entries]


async def test_export_contains_withheld_messages(daemon: Daemon) -> None:
    async with daemon.pair() as (_, bob, conversation):
        sent = await bob.send(conversation, "something bad")
        await bob.call("message.delete", conversation=conversation, message=sent["message"])
        rows = [row for row in await exported(daemon, bob) if row["type"] == "removed_message"]
        assert [(row["text"], row["seq"]) for row in rows] == [("something bad", sent["seq"])]
