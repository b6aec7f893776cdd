"""Each committed change is sent once, with its content, to the endpoints that want it."""

from typing import Any

from chatd.core.config import Config
from tests.admins import done
from tests.support import poll_until
from tests.webhooks.receiver import deliveries, listed, receiving, sending


async def test_messages_are_sent_with_signatures(config: Config) -> None:
    async with sending(config) as daemon, receiving(daemon, types=["message.*"]) as receiver, daemon.pair() as pair:
        alice, bob, conversation = pair
        sent = await alice.send(conversation, "hello", meta={"k": 1}, mentions=[bob.user])
        (created,) = await receiver.wait(1)
        assert created["type"] == "message.created"
        assert created["tenant"] == "default"
        data = created["data"]
        assert (data["conversation"], data["message"], data["seq"]) == (conversation, sent.message, 1)
        assert (data["sender"], data["text"], data["meta"]) == (alice.user, "hello", {"k": 1})
        assert (data["mentions"], data["mentions_everybody"], data["deleted_at"]) == ([bob.user], False, None)
        await alice.call("message.edit", conversation=conversation, message=sent.message, text="hi")
        edited = (await receiver.wait(1, "message.edited"))[0]["data"]
        assert (edited["text"], edited["edited_at"] is not None) == ("hi", True)
        await alice.call("message.delete", conversation=conversation, message=sent.message)
        deleted = (await receiver.wait(1, "message.deleted"))[0]["data"]
        assert (deleted["text"], deleted["meta"], deleted["deleted_at"] is not None) == (None, None, True)
        assert [event["type"].partition(".")[2] for event in receiver.events()] == ["created", "edited", "deleted"]
        assert len({event["id"] for event in receiver.events()}) == 3
        for asked in receiver.server.asked:
            assert receiver.verify(asked) == asked.json
        await eventually_delivered(daemon, receiver, 3)


async def eventually_delivered(daemon: Any, receiver: Any, count: int) -> None:
    await poll_until(
        lambda: deliveries(daemon, receiver), lambda found: [item["state"] for item in found] == ["delivered"] * count
    )
    assert (await listed(daemon, receiver))["pending"] == 0


async def test_events_of_other_types_and_tenants_are_not_sent(config: Config) -> None:
    async with (
        sending(config) as daemon,
        receiving(daemon, types=["user.created"]) as users,
        receiving(daemon, tenant="acme") as other,
        daemon.pair() as (alice, bob, conversation),
    ):
        await alice.send(conversation)
        created = await users.wait(2)
        assert {event["data"]["user"] for event in created} == {alice.user, bob.user}
        assert {event["data"]["name"] for event in created} == {"alice", "bob"}
        await done(daemon, "webhook.test", endpoint=users.id)
        await users.wait(1, "webhook.test")
        assert len(users.events()) == 3
        assert other.events() == []
