"""Drafts with attachments, a quoted message and a thread."""

from pathlib import Path

from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.uploads.folder_store import Folder
from chatd.uploads.quotas import DAY_MS
from chatd.uploads.sweep import Sweep
from tests.files import PDF, stored
from tests.support import NOBODY, Daemon, Person, covers, running, shared
from tests.uploads.test_commands import SweepNode

daemon = shared


async def settings(person: Person, conversation: str) -> dict[str, object]:
    return dict((await person.call("conversation.get", conversation=conversation)).conversation.settings)


async def draft(person: Person, conversation: str, **fields: object) -> dict[str, object]:
    changed = await person.call("conversation.settings", conversation=conversation, **fields)
    return dict(changed.conversation.settings)


@covers("conversation.settings")
async def test_a_draft_has_all_that_a_message_has(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, id_), daemon.connected(alice.account) as tablet:
        file = await stored(daemon, alice.account.access_token, PDF)
        root = (await bob.send(id_, "root")).message
        cursor = (await tablet.call("session.sync"))["cursor"]
        place = {"type": "location", "latitude": 38.7, "longitude": -9.1}
        parts = {"attachments": [{"upload": file["id"]}, place], "reply_to": root, "thread": root}
        mine = await draft(alice, id_, draft="look:", draft_parts=parts)
        assert (mine["draft"], mine["draft_parts"]) == ("look:", parts)
        await tablet.event("session.behind")
        (state,) = (await tablet.call("session.sync", cursor=cursor))["conversations"]
        assert state["settings"] == mine
        assert (await draft(alice, id_, draft="look here:"))["draft_parts"] == parts
        only_files = {"attachments": parts["attachments"]}
        changed = await draft(alice, id_, draft="", draft_parts=only_files)
        assert (changed["draft"], changed["draft_parts"], changed["draft_at"] is None) == (None, only_files, False)
        assert "draft_parts" not in await settings(bob, id_)
        gone = await draft(alice, id_, draft="")
        assert ("draft_parts" in gone, gone["draft_at"]) == (False, None)
        await draft(alice, id_, draft_parts=only_files)
        without = await draft(alice, id_, draft_parts={})
        assert ("draft_parts" in without, without["draft_at"]) == (False, None)
        sent = await alice.send(id_, "look:", **parts)
        assert sent["duplicate"] is False


@covers("conversation.settings", "not_found")
@covers("conversation.settings", "conflict")
@covers("conversation.settings", "too_large")
async def test_drafts_of_what_could_not_be_sent_are_refused(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, id_), daemon.person() as eve:
        foreign = await stored(daemon, bob.account.access_token, PDF)
        root = (await bob.send(id_, "root")).message
        reply = (await bob.send(id_, "reply", thread=root)).message
        await draft(alice, id_, draft="stays")
        links = [{"url": f"https://x.test/{'y' * 1900}"}] * 6
        for parts, code in [
            ({"attachments": [{"upload": foreign["id"]}]}, "not_found"),
            ({"attachments": [{"upload": NOBODY}]}, "not_found"),
            ({"reply_to": NOBODY}, "not_found"),
            ({"thread": NOBODY}, "not_found"),
            ({"thread": reply}, "conflict"),
            ({"attachments": links}, "too_large"),
            ({"attachments": [{"url": "https://x.test"}] * 11}, "bad_request"),
            ({"attachments": [{"type": "image"}]}, "bad_request"),
            ({"text": "x"}, "bad_request"),
        ]:
            refused = await alice.refused("conversation.settings", conversation=id_, draft="no", draft_parts=parts)
            assert refused.code == code, parts
        assert (await settings(alice, id_))["draft"] == "stays"
        assert (await eve.refused("conversation.settings", conversation=id_, draft_parts={"reply_to": root})).code == (
            "not_found"
        )


async def test_files_of_drafts_are_in_use_until_the_draft_ends(config: Config, store: Postgres, tmp_path: Path) -> None:
    async with running(config) as daemon, daemon.pair() as (alice, _, id_):
        kept, replaced = [(await stored(daemon, alice.account.access_token, PDF))["id"] for _ in range(2)]
        await draft(alice, id_, draft_parts={"attachments": [{"upload": kept}, {"upload": replaced}]})
        await draft(alice, id_, draft_parts={"attachments": [{"upload": kept}]})
        sweep = Sweep(SweepNode(store, Folder(tmp_path)))  # type: ignore[arg-type]
        await sweep.run(now_ms() + 2 * DAY_MS)
        assert await removed(store) == {kept: False, replaced: True}
        await draft(alice, id_, draft="")
        await sweep.run(now_ms() + 2 * DAY_MS)
        assert await removed(store) == {kept: True, replaced: True}


async def removed(store: Postgres) -> dict[str, bool]:
    """Whether each upload is removed."""
    rows = await store.all("select id::text, removed_at is not null as removed from uploads")
    return {row["id"]: row["removed"] for row in rows}
