"""Delivery and read receipts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import pytest
import trio
import trio_asyncio

from chatd.client import Refused
from tests.support import NOBODY, Daemon, Person, covers, metric, poll_until, shared

daemon = shared
ENTRIES, WAITING = "chatd_message_log_entries_total", "chatd_message_log_waiting_entries"


@covers("receipt.delivered")
@covers("receipt.read")
async def test_receipts_only_move_forward_and_are_sent_to_all_members(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        for _ in range(3):
            await alice.send(conversation)
        await bob.call("receipt.delivered", conversation=conversation, seq=2)
        event = await alice.event("message.delivered")
        assert (event["user"], event["seq"]) == (bob.user, 2)
        await bob.call("receipt.read", conversation=conversation, seq=3)
        event = await alice.event("message.read")
        assert (event["seq"], event["unread"]) == (3, 0)
        await bob.call("receipt.read", conversation=conversation, seq=1)
        await bob.call("receipt.delivered", conversation=conversation, seq=3)
        await alice.is_served()
        assert not alice.events
        members = (await alice.call("conversation.sync", conversation=conversation, rev=0))["members"]
        assert {m["user"]: (m["delivered_seq"], m["read_seq"]) for m in members}[bob.user] == (3, 3)


@covers("receipt.delivered", "not_found")
@covers("receipt.read", "not_found")
async def test_receipt_is_refused_for_non_members_and_future_messages(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.person() as stranger:
        await alice.send(conversation)
        for command in ("receipt.read", "receipt.delivered"):
            assert (await stranger.refused(command, conversation=conversation, seq=1)).code == "not_found"
            assert (await bob.refused(command, conversation=conversation, seq=2)).code == "not_found"
            assert (await bob.refused(command, conversation=NOBODY, seq=1)).code == "not_found"


async def test_receipt_is_sent_to_other_devices_of_the_reader(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.connected(bob.account) as tablet:
        await alice.send(conversation)
        await bob.call("receipt.read", conversation=conversation, seq=1)
        assert (await tablet.event("message.read"))["unread"] == 0


@covers("receipt.read")
async def test_simultaneous_receipts_of_devices_are_all_answered(daemon: Daemon) -> None:
    """A batch may contain several receipts of one member; an invalid one does not affect the others."""
    async with daemon.pair() as (alice, bob, conversation), daemon.connected(bob.account) as also_bob:
        for number in range(5):
            await alice.send(conversation, str(number))
        results: list[str] = []

        async def send_receipt(person: Person, seq: int) -> None:
            try:
                results.append((await person.call("receipt.read", conversation=conversation, seq=seq))["t"])
            except Refused as refused:
                results.append(refused.code)

        async with trio.open_nursery() as nursery:
            for seq in (1, 2, 3, 4, 5):
                nursery.start_soon(send_receipt, bob, seq)
                nursery.start_soon(send_receipt, also_bob, seq + 2)
        assert sorted(results) == ["not_found"] * 2 + ["ok"] * 8
        state = await alice.call("conversation.get", conversation=conversation)
        assert {member["user"]: member["read_seq"] for member in state["conversation"]["members"]}[bob.user] == 5


async def test_other_device_of_the_reader_gets_unread_counters(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.connected(bob.account) as tablet:
        for _ in range(3):
            await alice.send(conversation)
        await bob.call("receipt.read", conversation=conversation, seq=2)
        received = await tablet.event("conversation.update")
        assert "rev" not in received
        mine = received["conversation"]
        assert (mine["id"], mine["read_seq"], mine["unread"], mine["mentions"], mine["role"]) == (
            conversation,
            2,
            1,
            0,
            "member",
        )
        assert "members" not in mine
        await bob.is_served()
        await alice.is_served()
        counters = [event for event in [*bob.events, *alice.events] if event["t"] == "conversation.update"]
        assert ["unread" in event["conversation"] for event in counters] == [False], "more than that it was opened"


async def test_simultaneous_receipts_of_one_member_are_one_change(daemon: Daemon) -> None:
    """Another transaction delays the message log; the receipts that arrive in the meantime are one batch."""
    async with (
        daemon.pair() as (alice, bob, conversation),
        daemon.connected(bob.account) as also_bob,
        daemon.connected(bob.account) as phone,
    ):
        for number in range(6):
            await alice.send(conversation, str(number))
        before = (await alice.call("conversation.get", conversation=conversation))["conversation"]["rev"]
        entries = await metric(daemon, ENTRIES)
        async with trio.open_nursery() as nursery, held(daemon, conversation):
            nursery.start_soon(partial(alice.call, "receipt.delivered", conversation=conversation, seq=1))
            # The first receipt is in a batch of its own, which waits for the lock.
            await poll_until(lambda: metric(daemon, ENTRIES), lambda count: count > entries)
            for person, seq in ((bob, 3), (also_bob, 6), (phone, 5)):
                nursery.start_soon(partial(person.call, "receipt.read", conversation=conversation, seq=seq))
            # The others have gathered behind it.
            await poll_until(lambda: metric(daemon, WAITING), lambda count: count >= 4)
        event = await alice.event("message.read")
        assert (event["seq"], event["unread"], event["rev"]) == (6, 0, before + 2)
        await alice.is_served()
        assert not alice.events
        assert (await alice.call("conversation.get", conversation=conversation))["conversation"]["rev"] == before + 2


async def test_change_of_both_positions_reports_both(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.connected(bob.account) as also_bob:
        for number in range(6):
            await alice.send(conversation, str(number))
        entries = await metric(daemon, ENTRIES)
        async with trio.open_nursery() as nursery, held(daemon, conversation):
            nursery.start_soon(partial(alice.call, "receipt.delivered", conversation=conversation, seq=1))
            # The first receipt is in a batch of its own, which waits for the lock.
            await poll_until(lambda: metric(daemon, ENTRIES), lambda count: count > entries)
            nursery.start_soon(partial(bob.call, "receipt.read", conversation=conversation, seq=3))
            nursery.start_soon(partial(also_bob.call, "receipt.delivered", conversation=conversation, seq=6))
            # The others have gathered behind it.
            await poll_until(lambda: metric(daemon, WAITING), lambda count: count >= 3)
        event = await alice.event("message.read")
        assert (event["seq"], event["delivered"]) == (3, 6)
        await bob.call("receipt.read", conversation=conversation, seq=6)
        assert "delivered" not in await alice.event("message.read")


@pytest.mark.parametrize("after", ["receipt.delivered", "receipt.read"])
@pytest.mark.parametrize("under", ["receipt.delivered", "receipt.read"])
async def test_first_receipt_after_a_block_reports_the_whole_position(daemon: Daemon, under: str, after: str) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        for number in range(4):
            await alice.send(conversation, str(number))
        await bob.call("user.block", user=alice.user)
        await bob.call(under, conversation=conversation, seq=3)
        await bob.call("user.unblock", user=alice.user)
        await bob.call(after, conversation=conversation, seq=4)
        reads = "receipt.read" in (under, after)
        event = await alice.event("message.read" if reads else "message.delivered")
        shown = (await alice.call("conversation.get", conversation=conversation))["conversation"]["members"]
        member = next(one for one in shown if one["user"] == bob.user)
        read, delivered = (event["seq"], event.get("delivered", event["seq"])) if reads else (0, event["seq"])
        assert (member["read_seq"], member["delivered_seq"], member["rev"]) == (read, delivered, event["rev"])


@asynccontextmanager
async def held(daemon: Daemon, conversation: str) -> AsyncIterator[None]:
    """Lock the conversation while the block runs."""
    async with trio_asyncio.open_loop():
        connection = await trio_asyncio.aio_as_trio(asyncpg.connect)(daemon.config.postgres.dsn)
        transaction = connection.transaction()
        try:
            await trio_asyncio.aio_as_trio(transaction.start)()
            await trio_asyncio.aio_as_trio(connection.execute)(
                "select 1 from conversations where id = $1 for update", conversation
            )
            yield
            await trio_asyncio.aio_as_trio(transaction.rollback)()
        finally:
            await trio_asyncio.aio_as_trio(connection.close)()


@covers("message.receipts")
async def test_message_receipts_lists_readers(daemon: Daemon) -> None:
    async with daemon.people(4) as (ann, ben, cat, dan):
        made = await ann.call("conversation.create", members=[ben.user, cat.user, dan.user], title="us")
        place = {"conversation": made["conversation"]["id"]}
        one, two = [await ann.send(place["conversation"]) for _ in range(2)]
        await ben.call("receipt.read", **place, seq=2)
        await cat.call("receipt.read", **place, seq=1)
        await cat.call("receipt.delivered", **place, seq=2)
        first = await dan.call("message.receipts", **place, message=one["message"])
        assert {member["user"] for member in first["read"]} == {ben.user, cat.user}
        assert (first["delivered"], first["counts"], first["cursor"]) == (
            [],
            {"members": 3, "read": 2, "delivered": 0},
            None,
        )
        second = await ann.call("message.receipts", **place, message=two["message"])
        assert [member["name"] for member in second["read"]] == ["p1"]
        assert [member["user"] for member in second["delivered"]] == [cat.user]
        assert second["counts"] == {"members": 3, "read": 1, "delivered": 1}
        page = await ann.call("message.receipts", **place, message=two["message"], limit=1)
        rest = await ann.call("message.receipts", **place, message=two["message"], limit=1, cursor=page["cursor"])
        assert (len(page["read"] + page["delivered"]), rest["cursor"]) == (1, None)
        assert {member["user"] for member in page["read"] + page["delivered"] + rest["read"] + rest["delivered"]} == {
            ben.user,
            cat.user,
        }


async def test_new_member_has_not_read_earlier_messages(daemon: Daemon) -> None:
    async with daemon.people(3) as (ann, ben, eve):
        made = await ann.call("conversation.create", members=[ben.user], title="us")
        place = {"conversation": made["conversation"]["id"]}
        message = await ann.send(place["conversation"])
        await ann.call("member.add", **place, users=[eve.user])
        receipts = await eve.call("message.receipts", **place, message=message["message"])
        assert receipts["counts"] == {"members": 1, "read": 0, "delivered": 0}
        path = f"/v1/conversations/{place['conversation']}/messages/{message['message']}/receipts"
        assert (await daemon.rest("GET", path, token=ann.account.access_token)).body["counts"] == receipts["counts"]


@covers("message.receipts", "not_found")
async def test_receipts_are_not_visible_to_non_members(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.person() as stranger:
        message = await alice.send(conversation)
        wish = {"conversation": conversation, "message": message["message"]}
        assert (await stranger.refused("message.receipts", **wish)).code == "not_found"
        assert (await bob.refused("message.receipts", **(wish | {"message": NOBODY}))).code == "not_found"
        other = await bob.call("conversation.open", user=stranger.user)
        wish["conversation"] = other["conversation"]["id"]
        assert (await stranger.refused("message.receipts", **wish)).code == "not_found"
