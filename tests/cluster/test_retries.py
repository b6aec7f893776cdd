"""The same request to several nodes at the same time takes effect once."""

from contextlib import AsyncExitStack

import trio

from chatd.core.config import Config
from tests.cluster.test_two_nodes import nodes, seen
from tests.reply import Reply
from tests.support import Person, eventually

TIMES = 60


async def test_one_client_id_sent_to_three_nodes_at_once_is_one_message(config: Config) -> None:
    """All three get the same `seq` and id, and one of them is the first."""
    async with (
        nodes(config, 3) as (one, two, three),
        one.person("alice") as alice,
        three.person("bob") as bob,
        AsyncExitStack() as stack,
    ):
        others = [await stack.enter_async_context(node.connected(alice.account)) for node in (two, three)]
        conversation = (await alice.call("conversation.open", user=bob.user)).conversation.id
        for number in range(TIMES):
            acks = await at_once([alice, *others], conversation, f"m{number}")
            assert {(ack["message"], ack["seq"], ack["rev"]) for ack in acks} == {
                (acks[0]["message"], number + 1, acks[0]["rev"])
            }
            assert sorted(ack["duplicate"] for ack in acks) == [False, True, True]
        await eventually(lambda: len(seen(bob, conversation)) >= TIMES)
        assert seen(bob, conversation) == list(range(1, TIMES + 1))
        history = await bob.call("message.history", conversation=conversation, limit=200)
        assert [item["client_id"] for item in history["items"]] == [f"m{number}" for number in range(TIMES)]
        for message in history["items"]:
            event = next(
                body for kind, body in bob.log if kind == "event" and body.get("message", {}).get("id") == message["id"]
            )
            assert event["message"]["text"] == message["text"]


async def at_once(devices: list[Person], conversation: str, client_id: str) -> list[Reply]:
    """The acks of one message that every device sends, each with a different text."""
    acks: list[Reply] = []

    async def send(device: Person, text: str) -> None:
        acks.append(await device.send(conversation, text, client_id=client_id))

    async with trio.open_nursery() as nursery:
        for number, device in enumerate(devices):
            nursery.start_soon(send, device, f"{client_id} of device {number}")
    return acks
