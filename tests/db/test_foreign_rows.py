"""Rows that other programs have written: a malformed one stops no service, and affects no answer to other users."""

from pathlib import Path

from msgspec import convert

from chatd.app.audit_log import write
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.moderation import reports
from chatd.moderation.report_admin_commands import Evidence
from chatd.uploads.folder_store import Folder
from chatd.uploads.sweep import Sweep
from tests.admins import administered, done
from tests.db.test_jsonb import MISSHAPEN, eventually_found
from tests.files import PDF, fetched, stored
from tests.support import Daemon, operator, running
from tests.uploads.test_commands import SweepNode


async def test_malformed_messages_and_versions_fail_no_report(daemon: Daemon, store: Postgres) -> None:
    """The report that contains them is made, and read by an admin; well-formed messages beside them are kept."""
    async with daemon.pair() as (alice, bob, conversation):
        for number in range(3):
            await bob.send(conversation, f"number {number}")
        sent = (await bob.call("message.history", conversation=conversation))["items"]
        await bob.call("message.delete", conversation=conversation, message=sent[0]["id"])
        link = {"type": "link", "url": "https://x.test/a"}
        attachments = (*MISSHAPEN, '[{"type": "file", "upload": "x"}]', '[{"type": "file", "upload": {"a": [1]}}]')
        for text in attachments:
            await store.run("update messages set attachments = $1::text::jsonb where seq = 2", text)
            await store.run("update messages set meta = $1::text::jsonb, system = $1::text::jsonb where seq = 2", text)
            columns = ", ".join(f"{column} = $1::text::jsonb" for column in ("attachments", "edits", "meta", "system"))
            await store.run(f"update withheld_messages set {columns}", text)
            await store.run("update messages set attachments = $1 where seq = 3", [link])
            made = (await alice.call("report.create", user=bob.user, reason="abuse"))["report"]
            transcript = (await store.in_transaction(reports.read, operator(), made))["transcript"]
            entries = convert(transcript, list[Evidence])
            assert [entry.text for entry in entries] == ["number 0", "number 1", "number 2"]
            assert entries[2].attachments == [link]
            await store.run("delete from reports")


async def test_invalid_times_fail_no_search(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        other = (await alice.call("conversation.create", members=[bob.user]))["conversation"]["id"]
        await alice.send(other, "odd")
        await alice.send(conversation, "heliotrope")
        await eventually_found(bob, "heliotrope")
        await eventually_found(bob, "odd")
        for time in (-(2**63), -1, 0, 2**53, 10**16, 2**63 - 1):
            for table in ("search_index", "messages"):
                await store.run(f"update {table} set created_at = $1 where conversation = $2", time, other)
            for person in (alice, bob):
                for fields in ({}, {"limit": 1}, {"after": 1_700_000_000_000}, {"conversation": conversation}):
                    found = await person.call("message.search", query="heliotrope", **fields)
                    assert [hit["message"]["text"] for hit in found["items"]] == ["heliotrope"]
                await person.call("message.search", query="odd")
                assert (await person.call("message.history", conversation=other))["items"]


async def test_malformed_audit_log_entries_are_read(config: Config, store: Postgres) -> None:
    async with running(administered(config)) as daemon:
        for text in ("null", "1", '"x"', "[]", '[{"a": 1}]', "1e400", '{"n": 1e400}', "{}"):
            await store.run("delete from audit_log")
            await write(store, operator(), "user.kick", "somebody", {"a": 1})
            await store.run(
                "insert into audit_log (tenant, id, at, actor, act, subject, details)"
                " values ('default', gen_random_uuid(), 0, '', '', '', $1::text::jsonb)",
                text,
            )
            items = (await done(daemon, "audit"))["items"]
            assert sorted(item["act"] for item in items) == ["", "user.kick"]


async def test_files_with_foreign_keys_do_not_stop_the_sweep(daemon: Daemon, store: Postgres) -> None:
    async with daemon.person("alice") as alice:
        token = alice.account.access_token
        for key in ("../../etc/passwd", "", "/etc/passwd", "A" * 40, "a" * 41, f"{'a' * 40}\n", "gone"):
            good, bad, old = [(await stored(daemon, token, PDF))["id"] for _ in range(3)]
            await store.run("update uploads set key = $2 where id = $1", bad, f"{key}")
            assert (await fetched(daemon, token, bad)).status == 404
            assert (await fetched(daemon, token, good)).status == 200
            await store.run("update uploads set created_at = 0 where id = any($1::uuid[])", [bad, old])
            await Sweep(SweepNode(store, Folder(Path(daemon.config.data.dir) / "uploads"))).run(now_ms())  # type: ignore[arg-type]
            assert await store.value("select count(*) from uploads where removed_at is null and created_at = 0") == 0
            await store.run("delete from uploads")


async def test_match_without_its_users_ends_and_others_are_notified(daemon: Daemon, store: Postgres) -> None:
    """A user was deleted from the table; the criteria of the other one are malformed."""
    async with daemon.people(4) as (ann, ben, eve, dan):
        for person in (ann, ben):
            await person.call("match.find", queue="one")
        met = await ann.event("match.found")
        await store.run("delete from match_members where user_id = $1", ben.user)
        await store.run("update match_members set criteria = '[1]', announced = false")
        async with daemon.connected(ann.account) as phone:
            assert (await phone.event("match.ended"))["match"] == met["match"]
            for person in (eve, dan):
                await person.call("match.find", queue="two")
            found = await eve.event("match.found")
            await store.run("update match_members set criteria = '{\"tags\": 1}'")
            await eve.call("match.skip", ticket=None)
            assert (await dan.event("match.ended"))["match"] == found["match"]
