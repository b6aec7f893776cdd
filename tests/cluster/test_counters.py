"""Devices of one user on two nodes: a read receipt of one updates the other."""

from functools import partial

import trio
from msgspec.structs import replace

from chatd.conversations.settings import MessageSettings
from chatd.core.config import Config
from tests.cluster.test_two_nodes import nodes, pair_on


async def test_a_device_on_another_node_gets_the_unread_counters(config: Config) -> None:
    async with (
        nodes(config) as (one, two),
        pair_on(one, two) as (alice, bob, conversation),
        one.connected(bob.account) as tablet,
    ):
        for _ in range(3):
            await alice.send(conversation)
        await bob.call("receipt.read", conversation=conversation, seq=2)
        mine = (await tablet.event("conversation.update"))["conversation"]
        assert (mine["id"], mine["read_seq"], mine["unread"]) == (conversation, 2, 1)


async def test_unread_counters_reach_devices_in_large_groups(config: Config) -> None:
    few = config.using(replace(config.get(MessageSettings), receipts_up_to=1))
    async with (
        nodes(few) as (one, two),
        pair_on(one, two) as (alice, bob, conversation),
        one.connected(bob.account) as tablet,
    ):
        messages = [await alice.send(conversation) for _ in range(20)]
        async with trio.open_nursery() as nursery:
            for seq in range(1, 21):
                nursery.start_soon(partial(bob.call, "receipt.read", conversation=conversation, seq=seq))
        while (mine := (await tablet.event("conversation.update"))["conversation"]).get("unread") != 0:
            assert mine["rev"] == messages[-1]["rev"]
        assert (mine["read_seq"], mine["rev"]) == (20, messages[-1]["rev"])
        await alice.is_served()
        assert not [event for event in alice.events if event["t"] == "message.read"]
