"""Messages of a backend: as the system, for a user, edited and deleted."""

from typing import Any
from uuid import uuid4

import pytest

from tests.server_api.backend import Backend, backend_of
from tests.support import NOBODY, Daemon, covers, shared

daemon = shared
SYSTEM = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def backend(daemon: Daemon) -> Backend:
    return await backend_of(daemon)


def message(text: str = "Your parcel is on its way.", **fields: Any) -> dict[str, Any]:
    return {"client_id": str(uuid4()), "text": text, **fields}


@covers("server.message.send")
async def test_a_message_of_the_system_reaches_all_members(daemon: Daemon, backend: Backend) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        sent = message()
        ack = await backend.done("POST", f"/conversations/{conversation}/messages", sent)
        assert (ack["t"], ack["seq"], ack["duplicate"]) == ("message.ack", 1, False)
        for person in (alice, bob):
            event = await person.event("message.new")
            assert (event["message"]["sender"], event["message"]["text"]) == (SYSTEM, sent["text"])
        again = await backend.done("POST", f"/conversations/{conversation}/messages", sent)
        assert (again["message"], again["duplicate"]) == (ack["message"], True)
        seen = await alice.call("conversation.get", conversation=conversation)
        assert (seen["conversation"]["seq"], seen["conversation"]["unread"]) == (1, 1)


async def test_the_system_replies_and_mentions(daemon: Daemon, backend: Backend) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        asked = await alice.send(conversation, "Where is it?")
        sent = message(reply_to=asked["message"], mentions=[bob.user], attachments=[{"url": "https://example.org/1"}])
        await backend.done("POST", f"/conversations/{conversation}/messages", sent)
        await bob.event("message.new")
        event = await bob.event("message.new")
        assert (event["message"]["quote"]["text"], event["message"]["mentions"]) == ("Where is it?", [bob.user])


@covers("server.message.send")
async def test_messages_in_threads(daemon: Daemon, backend: Backend) -> None:
    """Of the system, and of a user. A member who is mentioned follows the thread."""
    async with daemon.pair() as (alice, bob, conversation):
        root = (await alice.send(conversation, "Where is it?"))["message"]
        path = f"/conversations/{conversation}/messages"
        await backend.done("POST", path, message(thread=root, mentions=[bob.user]))
        reply = await backend.done("POST", path, message("Thank you", thread=root, sender=alice.user))
        read = await bob.call("thread.history", conversation=conversation, thread=root)
        assert [(one["sender"], one["thread"]) for one in read["items"]] == [(SYSTEM, root), (alice.user, root)]
        listed = (await bob.call("thread.list"))["items"][0]
        assert (listed["unread"], listed["thread"]["replies"]["participants"]) == (2, [SYSTEM, alice.user])
        refused = await backend.ask("POST", path, message(thread=reply["message"]))
        assert (refused.status, refused.body["code"]) == (409, "conflict")
        assert await backend.refused("POST", path, message(thread=NOBODY)) == "not_found"


async def test_a_repeated_message_of_a_user_who_has_left_is_a_duplicate(daemon: Daemon, backend: Backend) -> None:
    async with daemon.people(2) as (alice, bob):
        group = (await alice.call("conversation.create", members=[bob.user]))["conversation"]["id"]
        sent, path = message(sender=bob.user), f"/conversations/{group}/messages"
        first = await backend.done("POST", path, sent)
        await bob.call("conversation.leave", conversation=group)
        again = await backend.done("POST", path, sent)
        assert (again["message"], again["duplicate"]) == (first["message"], True)
        other = await backend.ask("POST", path, message(sender=bob.user))
        assert (other.status, other.body["message"].partition(":")[0]) == (404, "$.sender")


async def test_the_system_may_write_where_members_may_not(daemon: Daemon, backend: Backend) -> None:
    """Announcements only, slow mode, a block."""
    async with daemon.people(2) as (alice, bob):
        group = (await alice.call("conversation.create", members=[bob.user]))["conversation"]["id"]
        await alice.call("conversation.edit", conversation=group, announce=True, slow_seconds=3600)
        direct = (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]
        await alice.call("user.block", user=bob.user)
        for conversation in (group, group, direct):
            await backend.done("POST", f"/conversations/{conversation}/messages", message())


@covers("server.message.send")
async def test_a_message_for_a_user_is_theirs(daemon: Daemon, backend: Backend) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        sent = message("hello", sender=alice.user)
        ack = await backend.done("POST", f"/conversations/{conversation}/messages", sent)
        for person in (alice, bob):
            assert (await person.event("message.new"))["message"]["sender"] == alice.user
        edited = await alice.call("message.edit", conversation=conversation, message=ack["message"], text="hi")
        assert edited["message"]["text"] == "hi"
        same = await alice.call("message.send", conversation=conversation, client_id=sent["client_id"], text="hello")
        assert (same["message"], same["duplicate"]) == (ack["message"], True)


@covers("server.message.send", "not_found", "conflict", "too_large", "blocked", "forbidden")
async def test_messages_that_are_refused(daemon: Daemon, backend: Backend) -> None:
    writer = await backend_of(daemon, "messages:write")
    async with daemon.pair() as (alice, bob, conversation), daemon.person() as carol:
        other = (await alice.call("conversation.open", user=carol.user))["conversation"]["id"]
        path, sent = f"/conversations/{conversation}/messages", message()
        await writer.done("POST", path, sent)
        assert await writer.refused("POST", f"/conversations/{other}/messages", sent) == "conflict"
        assert await writer.refused("POST", f"/conversations/{NOBODY}/messages", message()) == "not_found"
        assert await writer.refused("POST", path, message(reply_to=NOBODY)) == "not_found"
        assert await writer.refused("POST", path, message("x" * 20_000)) == "too_large"
        assert await writer.refused("POST", path, message("")) == "bad_request"
        assert await writer.refused("POST", path, message(sender=alice.user)) == "forbidden"
        for sender in (carol.user, NOBODY, SYSTEM):
            assert await backend.refused("POST", path, message(sender=sender)) == "not_found"
        await bob.call("user.block", user=alice.user)
        assert await backend.refused("POST", path, message(sender=alice.user)) == "blocked"
        seen = await backend.done("GET", f"{path}?limit=10")
        assert [one["text"] for one in seen["items"]] == [sent["text"]], "nothing half done"


async def test_a_dissolved_group_gets_no_messages(daemon: Daemon, backend: Backend) -> None:
    async with daemon.person() as alice:
        group = (await alice.call("conversation.create", members=[]))["conversation"]["id"]
        await alice.call("conversation.dissolve", conversation=group)
        assert await backend.refused("POST", f"/conversations/{group}/messages", message()) == "not_found"


async def test_a_message_of_the_system_cannot_be_reported(daemon: Daemon, backend: Backend) -> None:
    async with daemon.pair() as (alice, _, conversation):
        ack = await backend.done("POST", f"/conversations/{conversation}/messages", message())
        refused = await alice.refused("report.create", reason="spam", conversation=conversation, message=ack["message"])
        assert refused.code == "not_found"
        assert (await alice.refused("conversation.open", user=SYSTEM)).code == "not_found"
        assert (await alice.refused("user.block", user=SYSTEM)).code == "not_found"


@covers("server.message.edit")
async def test_a_message_is_edited(daemon: Daemon, backend: Backend) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        ack = await backend.done("POST", f"/conversations/{conversation}/messages", message())
        path = f"/conversations/{conversation}/messages/{ack['message']}"
        assert (await backend.done("PATCH", path, {"text": "It has arrived."}))["message"]["text"] == "It has arrived."
        event = await bob.event("message.update")
        assert (event["message"]["text"], "by" in event) == ("It has arrived.", False)
        versions = await bob.call("message.edits", conversation=conversation, message=ack["message"])
        assert [one["text"] for one in versions["items"]] == [message()["text"]]
        of_alice = await alice.send(conversation)
        edited = await backend.done(
            "PATCH", f"/conversations/{conversation}/messages/{of_alice['message']}", {"text": "better"}
        )
        assert (edited["message"]["text"], edited["message"]["sender"]) == ("better", alice.user)


@covers("server.message.edit", "not_found", "forbidden", "conflict", "too_large")
async def test_edits_that_are_refused(daemon: Daemon, backend: Backend) -> None:
    writer = await backend_of(daemon, "messages:write")
    async with daemon.pair() as (alice, _, conversation):
        of_alice = await alice.send(conversation)
        path = f"/conversations/{conversation}/messages"
        own = (await writer.done("POST", path, message()))["message"]
        assert await writer.refused("PATCH", f"{path}/{of_alice['message']}", {"text": "x"}) == "forbidden"
        assert await writer.refused("PATCH", f"{path}/{NOBODY}", {"text": "x"}) == "not_found"
        assert await writer.refused("PATCH", f"{path}/{own}", {"text": "x" * 20_000}) == "too_large"
        assert await writer.refused("PATCH", f"{path}/{own}", {"text": " "}) == "bad_request"
        await writer.done("DELETE", f"{path}/{own}")
        assert await writer.refused("PATCH", f"{path}/{own}", {"text": "x"}) == "conflict"


@covers("server.message.delete")
async def test_a_message_is_deleted(daemon: Daemon, backend: Backend) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        sent = await alice.send(conversation)
        path = f"/conversations/{conversation}/messages/{sent['message']}"
        assert (await backend.done("DELETE", path))["t"] == "ok"
        event = await bob.event("message.update")
        assert (event["change"], event["message"]["text"]) == ("delete", None)
        assert (await backend.done("DELETE", path))["t"] == "ok"
        assert (await alice.call("conversation.get", conversation=conversation))["conversation"]["rev"] == event["rev"]


@covers("server.message.delete", "not_found")
async def test_an_unknown_message_is_not_deleted(daemon: Daemon, backend: Backend) -> None:
    async with daemon.pair() as (_, _, conversation):
        assert await backend.refused("DELETE", f"/conversations/{conversation}/messages/{NOBODY}") == "not_found"
        assert await backend.refused("DELETE", f"/conversations/{NOBODY}/messages/{NOBODY}") == "not_found"
