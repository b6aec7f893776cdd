"""Pinned messages."""

from tests.conversations.test_groups import group
from tests.support import NOBODY, Daemon, covers, shared

daemon = shared


@covers("message.pin")
@covers("message.unpin")
@covers("message.pins")
async def test_pin_is_shared_by_all_members(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        first = await alice.send(conversation, "keep this")
        fields = {"conversation": conversation, "message": first.message}
        for _ in range(2):
            await bob.call("message.pin", **fields)
        event = await alice.event("message.update")
        assert (event["change"], event["by"], event["on"]) == ("pin", bob.user, True)
        assert (await alice.event("message.new"))["message"]["system"] == {
            "act": "message.pinned",
            "message": first.message,
        }
        (pinned,) = (await alice.call("message.pins", conversation=conversation))["items"]
        assert (pinned["text"], pinned["pinned_at"] > 0) == ("keep this", True)
        for _ in range(2):
            await alice.call("message.unpin", **fields)
        assert (await alice.call("message.pins", conversation=conversation))["items"] == []


@covers("message.pin", "not_found")
@covers("message.pin", "forbidden")
@covers("message.pin", "conflict")
@covers("message.unpin", "not_found")
@covers("message.unpin", "forbidden")
@covers("message.pins", "not_found")
async def test_invalid_pins_are_refused(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, _)), daemon.person() as eve:
        fields = {"conversation": id_, "message": (await ben.send(id_)).message}
        for command in ("message.pin", "message.unpin"):
            assert (await ben.refused(command, **fields)).code == "forbidden"
            assert (await eve.refused(command, **fields)).code == "not_found"
            assert (await ann.refused(command, conversation=id_, message=NOBODY)).code == "not_found"
        assert (await eve.refused("message.pins", conversation=id_)).code == "not_found"
        await ben.call("message.delete", **fields)
        assert (await ann.refused("message.pin", **fields)).code == "conflict"


@covers("message.pin", "too_large")
async def test_pins_are_limited(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, conversation):
        for _ in range(100):
            message = (await alice.send(conversation)).message
            await alice.call("message.pin", conversation=conversation, message=message)
        one_more = (await alice.send(conversation)).message
        assert (await alice.refused("message.pin", conversation=conversation, message=one_more)).code == "too_large"
