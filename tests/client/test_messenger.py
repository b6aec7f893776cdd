"""The client in a messenger, against a whole daemon: two users, one of whom is sometimes offline."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from chatd.client import Account, Client, connect, sign_up
from chatd.client.types import CommandRefused, ReceiptCounts
from tests.reply import Reply
from tests.support import PATIENCE, Daemon, shared

daemon = shared


@asynccontextmanager
async def client_of(daemon: Daemon, account: Account, **options: Any) -> AsyncIterator[Client]:
    async with connect(daemon.addresses.socket, account, **options) as client:
        yield client


async def next_events(client: Client, *kinds: str) -> list[Reply]:
    """The next events of these types, in this order; other types are skipped. Another order is an error."""
    found: list[Reply] = []
    with trio.fail_after(PATIENCE):
        while len(found) < len(kinds):
            event = await anext(client.events)
            if event.t in kinds:
                assert event.t == kinds[len(found)], [*found, event]
                found.append(event)
    return found


async def two(daemon: Daemon) -> tuple[Account, Account]:
    http = daemon.addresses.http
    return await sign_up(http, name="alice"), await sign_up(http, name="bob")


async def test_changes_of_messages_and_groups_are_emitted(daemon: Daemon) -> None:
    alice, bob = await two(daemon)
    async with client_of(daemon, alice) as a, client_of(daemon, bob) as b:
        group = (await a.create([bob.user], "us")).conversation.id
        first = (await a.send(group, "one")).message
        await a.edit(group, first, "two")
        await b.react(group, first, "👍")
        await a.pin(group, first)
        await a.change(group, title="all of us")
        await a.delete(group, first)
        kinds = ["conversation.update", "message.new", *["message.update"] * 3, "message.new", "conversation.update"]
        events = await next_events(b, *kinds, "message.new", "message.update")
        assert [event.change for event in events if event.t == "message.update"] == [
            "edit",
            "reaction",
            "pin",
            "delete",
        ]
        assert events[6].conversation.title == "all of us"
        revs = [event.rev for event in events[1:]]
        assert revs == list(range(revs[0], revs[0] + 8))


async def test_offline_client_gets_the_same_changes(daemon: Daemon) -> None:
    alice, bob = await two(daemon)
    async with client_of(daemon, alice) as a:
        async with client_of(daemon, bob) as b:
            group = (await a.create([bob.user], "us")).conversation.id
            first = (await a.send(group, "one")).message
            await next_events(b, "message.new")
            position = b.position
            await b.star(group, first)
        carol = await sign_up(daemon.addresses.http, name="carol")
        await a.edit(group, first, "two")
        await a.add(group, [carol.user])
        await a.change(group, title="all of us")
        await a.remove(group, carol.user)
        async with client_of(daemon, bob, position=position) as b:
            kinds = ["session.changed", "conversation.update", "message.update", "message.new", "message.new"]
            events = await next_events(b, *kinds, "member.left", "message.new")
            assert [mark.message for mark in events[0].marks] == [first]
            assert events[0].conversations[0].id == group
            assert events[1].conversation.title == "all of us"
            assert events[2].message.text == "two"
            assert events[5].departure.user == carol.user


async def test_removed_and_readded_member_gets_both_events_and_no_history(daemon: Daemon) -> None:
    alice, bob = await two(daemon)
    async with client_of(daemon, alice) as a, client_of(daemon, bob) as b:
        group = (await a.create([bob.user], "us")).conversation.id
        await a.remove(group, bob.user)
        for text in ("not", "for", "bob"):
            await a.send(group, text)
        await a.add(group, [bob.user])
        await a.send(group, "welcome")
        events = await next_events(b, "member.left", "conversation.gone", "message.new", "message.new")
        assert events[1].reason == "removed"
        assert [event.message.text for event in events[2:]] == [None, "welcome"]
        assert events[2].message.system.act == "member.added"
        await a.call("conversation.dissolve", conversation=group)
        assert (await next_events(b, "conversation.gone"))[0].reason == "dissolved"


async def test_removal_while_offline_is_emitted(daemon: Daemon) -> None:
    alice, bob = await two(daemon)
    async with client_of(daemon, alice) as a:
        async with client_of(daemon, bob) as b:
            group = (await a.create([bob.user], "us")).conversation.id
            await next_events(b, "conversation.update")
            position = b.position
        await a.remove(group, bob.user)
        async with client_of(daemon, bob, position=position) as b:
            assert (await next_events(b, "conversation.gone"))[0].conversation == group
            assert not b.position["conversations"]


async def test_settings_are_emitted_on_the_other_device(daemon: Daemon) -> None:
    alice, bob = await two(daemon)
    async with client_of(daemon, alice) as a, client_of(daemon, bob) as phone, client_of(daemon, bob) as tablet:
        one = (await a.open(bob.user)).conversation.id
        message = (await a.send(one, "hi")).message
        await next_events(tablet, "conversation.update", "message.new")
        await phone.star(one, message)
        assert (await next_events(tablet, "session.changed"))[0].marks[0].message == message
        await phone.settings(one, archived=True)
        assert (await next_events(tablet, "session.changed"))[0].conversations[0].settings.archived is True
        await phone.read(one, 1)
        assert (await next_events(tablet, "conversation.update"))[0].conversation.unread == 0
        assert (await a.receipts(one, message)).counts == ReceiptCounts(members=1, read=1, delivered=0)


async def test_commands_without_an_answer(daemon: Daemon) -> None:
    alice, bob = await two(daemon)
    async with client_of(daemon, alice) as a, client_of(daemon, bob, codec="json") as b:
        one = (await a.open(bob.user)).conversation.id
        await a.send(one, "hi")
        await b.typing(one)
        await b.typing(one, on=False)
        await b.notify("receipt.read", conversation=one, seq=1)
        await b.notify("receipt.read", conversation=one, seq=2)
        events = await next_events(a, "typing.start", "typing.stop", "message.read")
        assert [event.user for event in events] == [bob.user] * 3
        [refused] = await next_events(b, "error")
        assert isinstance(refused, CommandRefused)
        assert (refused.code, refused.command, refused.retryable) == ("not_found", "receipt.read", False)
        assert (await b.ping(1)).ts == 1


async def test_own_forwarded_message_is_not_emitted(daemon: Daemon) -> None:
    alice, bob = await two(daemon)
    async with client_of(daemon, alice) as a, client_of(daemon, bob) as b:
        one = (await a.open(bob.user)).conversation.id
        two_ = (await a.create([bob.user], "us")).conversation.id
        message = (await a.send(one, "hi")).message
        forwarded = await a.forward(two_, one, message)
        await b.send(two_, "seen")
        event = (await next_events(a, "message.new"))[0]
        assert (event.message.text, event.rev) == ("seen", forwarded.rev + 1)
