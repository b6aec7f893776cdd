"""Delivered and read."""

import trio

from chatd.client import Refused
from tests.support import NOBODY, Daemon, Person, covers


@covers("receipt.delivered")
@covers("receipt.read")
async def test_positions_move_forward_only_and_everybody_is_told(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        for _ in range(3):
            await alice.send(conversation)
        await bob.call("receipt.delivered", conversation=conversation, seq=2)
        told = await alice.event("message.delivered")
        assert (told["user"], told["seq"]) == (bob.user, 2)
        await bob.call("receipt.read", conversation=conversation, seq=3)
        told = await alice.event("message.read")
        assert (told["seq"], told["unread"]) == (3, 0)
        await bob.call("receipt.read", conversation=conversation, seq=1)
        await bob.call("receipt.delivered", conversation=conversation, seq=3)
        await alice.is_served()
        assert not alice.events
        members = (await alice.call("conversation.sync", conversation=conversation, rev=0))["members"]
        assert {m["user"]: (m["delivered_seq"], m["read_seq"]) for m in members}[bob.user] == (3, 3)


@covers("receipt.delivered", "not_found")
@covers("receipt.read", "not_found")
async def test_neither_strangers_nor_the_future(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.person() as stranger:
        await alice.send(conversation)
        for command in ("receipt.read", "receipt.delivered"):
            assert (await stranger.refused(command, conversation=conversation, seq=1)).code == "not_found"
            assert (await bob.refused(command, conversation=conversation, seq=2)).code == "not_found"
            assert (await bob.refused(command, conversation=NOBODY, seq=1)).code == "not_found"


async def test_another_device_of_the_reader_is_told_too(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.connected(bob.account) as tablet:
        await alice.send(conversation)
        await bob.call("receipt.read", conversation=conversation, seq=1)
        assert (await tablet.event("message.read"))["unread"] == 0


@covers("receipt.read")
async def test_devices_that_tell_at_the_same_moment_are_answered_each(daemon: Daemon) -> None:
    """One batch may hold several receipts of one member; one that is wrong does not spoil the others."""
    async with daemon.pair() as (alice, bob, conversation), daemon.connected(bob.account) as also_bob:
        for number in range(5):
            await alice.send(conversation, str(number))
        results: list[str] = []

        async def tell(person: Person, seq: int) -> None:
            try:
                results.append((await person.call("receipt.read", conversation=conversation, seq=seq))["t"])
            except Refused as refused:
                results.append(refused.code)

        async with trio.open_nursery() as nursery:
            for seq in (1, 2, 3, 4, 5):
                nursery.start_soon(tell, bob, seq)
                nursery.start_soon(tell, also_bob, seq + 2)
        assert sorted(results) == ["not_found"] * 2 + ["ok"] * 8
        state = await alice.call("conversation.get", conversation=conversation)
        assert {member["user"]: member["read_seq"] for member in state["conversation"]["members"]}[bob.user] == 5
