"""Delivered and read."""

from tests.support import NOBODY, Daemon, covers


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
