"""Requests and contacts where other subsystems meet them: files, reports, matches, backends, scheduled messages, export
and erasure.
"""

import pytest

from chatd.core.clock import now_ms
from chatd.core.config import PostgresSection
from chatd.db.postgres import open_postgres
from tests.consent.test_contacts import listed
from tests.consent.test_groups import reserve
from tests.consent.test_requests import request, requests
from tests.files import picture, stored
from tests.matching.test_commands import matched
from tests.privacy.test_export import exported, of
from tests.server_api.backend import backend_of
from tests.support import PATIENCE, Daemon, poll_until, shared

daemon = shared


async def test_files_of_a_request_are_not_readable(daemon: Daemon) -> None:
    async with request(daemon) as (ann, ben, id_):
        file = await stored(daemon, ann.account.access_token, picture())
        await ann.send(id_, "look", attachments=[{"type": "image", "upload": file["id"]}])
        [found] = await requests(ben)
        assert found["messages"][0]["attachments"][0]["upload"] == file["id"]
        path = f"/v1/uploads/{file['id']}"
        assert (await daemon.rest("GET", path, None, ben.account.access_token)).status == 404
        await ben.call("request.accept", conversation=id_)
        assert (await daemon.rest("GET", path, None, ben.account.access_token)).status == 200


async def test_a_request_can_be_reported(daemon: Daemon) -> None:
    async with request(daemon) as (ann, ben, id_):
        sent = await ann.send(id_, "buy my pills")
        await ben.call("request.decline", conversation=id_)
        for what in ({"message": sent["message"]}, {"user": ann.user}):
            assert "report" in await ben.call("report.create", conversation=id_, reason="spam", **what)


async def test_a_kept_match_makes_contacts(daemon: Daemon) -> None:
    async with matched(daemon) as (alice, bob, *_):
        for person in (alice, bob):
            await person.call("user.settings", allow_messages="nobody", allow_groups="contacts")
        await alice.call("match.keep")
        await bob.call("match.keep")
        await alice.event("match.kept")
        assert (await listed(alice), await listed(bob)) == ([bob.user], [alice.user])
        assert (await alice.call("session.sync"))["own"]
        assert "invited" not in await alice.call("conversation.create", members=[bob.user])


async def test_a_backend_asks_nobody(daemon: Daemon) -> None:
    async with request(daemon, allow_messages="nobody", allow_groups="nobody") as (ann, ben, id_):
        backend = await backend_of(daemon)
        opened = await backend.done("POST", "/conversations/direct", {"user": ann.user, "other": ben.user})
        assert (opened["conversation"]["id"], opened["conversation"]["requested"]) == (id_, None)
        assert (await ann.event("member.update"))["member"]["user"] == ben.user
        assert await requests(ben) == []
        group = await backend.group(ann.user, ben.user)
        assert (await ben.call("conversation.get", conversation=group)).conversation["member_count"] == 2


async def test_a_scheduled_message_waits_for_acceptance_too(daemon: Daemon, loop: None) -> None:
    async with request(daemon) as (ann, _, id_):
        for _ in range(3):
            await ann.send(id_)
        at = now_ms() + 3_600_000
        await ann.call("message.schedule", conversation=id_, client_id="later", text="4", at=at)
        async with open_postgres(daemon.config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db:
            await db.run("update scheduled_messages set due_at = 1 where conversation = $1", id_)
        assert (await ann.event("schedule.failed"))["code"] == "forbidden"


async def test_an_export_has_requests_but_no_answers_of_others(daemon: Daemon) -> None:
    async with request(daemon) as (ann, ben, id_):
        await ann.call("contact.add", user=ben.user)
        await ben.call("request.decline", conversation=id_)
        sent, received = await exported(daemon, ann), await exported(daemon, ben)
        [own] = of(sent, "sent_request")
        assert (own["user"], own["conversation"]) == (ben.user, id_)
        assert "declined_at" not in own
        assert [one["user"] for one in of(sent, "contact")] == [ben.user]
        [asked] = of(received, "request")
        assert (asked["sender"], asked["conversation"]) == (ann.user, id_)
        assert asked["declined_at"] > 0


@pytest.mark.parametrize("who", ["sender", "recipient"])
async def test_requests_end_with_either_account(daemon: Daemon, who: str) -> None:
    async with request(daemon) as (ann, ben, id_):
        await reserve(ben)
        await ann.call("conversation.create", members=[ben.user])
        await ann.send(id_, "hello")
        assert len(await requests(ben)) == 2
        await (ann if who == "sender" else ben).call("me.erase", confirm=True)
        if who == "sender":
            await poll_until(lambda: requests(ben), lambda found: not found)
            assert (await ben.refused("request.accept", conversation=id_)).code == "not_found"
        else:
            # For the sender nothing has changed.
            assert (await ann.call("conversation.open", user=ben.user)).conversation["requested"] == ben.user
            assert (await ann.send(id_, "hello?"))["seq"] == 2
