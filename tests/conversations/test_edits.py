"""Editing and deleting messages."""

from chatd.conversations.settings import MessageSettings
from chatd.core.config import Config
from tests.support import NOBODY, Daemon, covers, running, shared

daemon = shared


@covers("message.edit")
@covers("message.edits")
async def test_edit_is_sent_to_all_members_and_stored_in_history(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        first = await alice.send(conversation, "helo")
        edited = (
            await alice.call("message.edit", conversation=conversation, message=first.message, text="hello")
        ).message
        event = await bob.event("message.update")
        assert (event["message"], event["change"], event["by"]) == (edited, "edit", alice.user)
        assert (edited.text, edited.seq, edited.rev, edited.edited_at > 0) == ("hello", 1, first.rev + 1, True)
        changes = await bob.call("conversation.sync", conversation=conversation, rev=first.rev)
        assert changes["messages"] == [edited]
        earlier = await bob.call("message.edits", conversation=conversation, message=first.message)
        assert [item["text"] for item in earlier["items"]] == ["helo"]


@covers("message.edit", "not_found")
@covers("message.edit", "forbidden")
@covers("message.edit", "conflict")
@covers("message.edit", "too_large")
@covers("message.edits", "not_found")
async def test_edit_is_refused_without_permission(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.person() as eve:
        first = await alice.send(conversation, "mine")
        fields = {"conversation": conversation, "message": first.message}
        assert (await bob.refused("message.edit", text="yours", **fields)).code == "forbidden"
        for command, more in (("message.edit", {"text": "x"}), ("message.edits", {}), ("message.delete", {})):
            assert (await eve.refused(command, **fields, **more)).code == "not_found"
            other = {"conversation": conversation, "message": NOBODY}
            assert (await alice.refused(command, **other, **more)).code == "not_found"
        assert (await alice.refused("message.edit", text="é" * 9000, **fields)).code == "too_large"
        await alice.call("message.delete", **fields)
        assert (await alice.refused("message.edit", text="back", **fields)).code == "conflict"


@covers("message.edit", "forbidden")
async def test_forwarded_message_cannot_be_edited(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        message = (await alice.send(conversation, "no")).message
        place = {"conversation": conversation, "source": conversation, "message": message}
        mine = (await bob.call("message.forward", client_id="f", **place)).message
        assert (
            await bob.refused("message.edit", conversation=conversation, message=mine, text="yes")
        ).code == "forbidden"
        (shown,) = (await alice.call("message.history", conversation=conversation, limit=1))["items"]
        assert (shown["text"], shown["forwarded"]["sender"]) == ("no", alice.user)


@covers("message.edits", "forbidden")
async def test_earlier_versions_are_readable_as_configured(config: Config) -> None:
    settings = config.using(MessageSettings(edit_history="sender", edit_window=0.000001))
    async with running(settings) as daemon, daemon.pair() as (alice, bob, conversation):
        fields = {"conversation": conversation, "message": (await alice.send(conversation)).message}
        assert (await bob.refused("message.edits", **fields)).code == "forbidden"
        assert (await alice.call("message.edits", **fields))["items"] == []
        assert (await alice.refused("message.edit", text="too late", **fields)).code == "forbidden"


@covers("message.delete")
@covers("message.delete", "forbidden")
@covers("message.delete", "not_found")
async def test_deleted_message_leaves_only_a_tombstone(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        first = await alice.send(conversation, "secret", attachments=[{"url": "https://x.test/a"}], meta={"b": 2})
        await bob.send(conversation, "what?", reply_to=first.message)
        fields = {"conversation": conversation, "message": first.message}
        await alice.call("message.edit", text="secret 2", **fields)
        assert (await bob.refused("message.delete", **fields)).code == "forbidden"
        for _ in range(2):
            await alice.call("message.delete", **fields)
        update = await bob.event("message.update")
        while update["change"] != "delete":
            update = await bob.event("message.update")
        gone, reply = (await bob.call("message.history", conversation=conversation))["items"]
        assert gone == update["message"]
        assert (gone["text"], gone["attachments"], gone["meta"], gone["deleted_at"] > 0) == (None, [], None, True)
        assert (reply["quote"]["deleted"], reply["quote"]["text"]) == (True, None)
        assert (await alice.call("message.edits", **fields))["items"] == []


async def test_deletion_for_oneself_applies_to_own_devices_only(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.connected(bob.account) as tablet:
        first = await alice.send(conversation, "noise")
        await alice.send(conversation, "signal")
        await bob.call("message.delete", conversation=conversation, message=first.message, scope="me")
        await tablet.event("session.behind")
        for person, texts in ((bob, ["signal"]), (tablet, ["signal"]), (alice, ["noise", "signal"])):
            history = await person.call("message.history", conversation=conversation)
            assert [item["text"] for item in history["items"]] == texts
