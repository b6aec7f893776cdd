"""Paged lists whose rows move, appear, disappear and change between pages: a row that stays is on exactly one page."""

from collections.abc import Awaitable, Callable
from typing import Any

from chatd.core.clock import now_ms
from tests.conversations.test_groups import group
from tests.support import Daemon, Person, shared

daemon = shared

Change = Callable[[], Awaitable[Any]]


async def paged(person: Person, command: str, change: Change, **fields: Any) -> list[Any]:
    """The items of all pages of two; `change` runs after the first page."""
    page = await person.call(command, limit=2, **fields)
    found = list(page["items"])
    await change()
    while page["cursor"]:
        page = await person.call(command, limit=2, cursor=page["cursor"], **fields)
        found += page["items"]
    return found


async def test_pages_of_blocks_are_complete_despite_changes(daemon: Daemon) -> None:
    async with daemon.people(7) as (ann, *others):
        users = sorted(other.user for other in others)
        for user in users:
            await ann.call("user.block", user=user)

        async def change() -> None:
            for user in (users[0], users[3], users[5]):
                await ann.call("user.unblock", user=user)
            for user in (users[0], users[5]):
                await ann.call("user.block", user=user)

        assert [one["user"] for one in await paged(ann, "block.list", change)] == [*users[:3], *users[4:]]


async def test_pages_of_members_and_reactions_are_complete_despite_changes(daemon: Daemon) -> None:
    async with group(daemon, 7) as (id_, people):
        ann, by_id = people[0], sorted(people[1:], key=lambda person: person.user)
        message = (await ann.send(id_))["message"]
        for person in people:
            await person.call("reaction.add", conversation=id_, message=message, emoji="👍")
        here = {"conversation": id_, "message": message}
        users = sorted(person.user for person in people)

        async def react() -> None:
            for person in (by_id[0], by_id[5]):
                await person.call("reaction.add", **here, emoji="🔥")
                await person.call("reaction.remove", **here, emoji="👍")

        assert [one["user"] for one in await paged(ann, "reaction.list", react, **here)] == users

        async def move() -> None:
            await ann.call("member.role", conversation=id_, user=by_id[4].user, role="admin")
            await by_id[3].call("conversation.leave", conversation=id_)
            await by_id[1].call("receipt.read", conversation=id_, seq=1)

        found = [one["user"] for one in await paged(ann, "member.list", move, conversation=id_)]
        assert found == [user for user in users if user != by_id[3].user]


async def test_pages_of_scheduled_messages_are_complete_despite_changes(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, conversation):
        at, ids = now_ms() + 10_000_000, list[str]()
        for number in range(7):
            fields = {"client_id": f"{number}", "text": "x", "at": at + number}
            ids.append((await alice.call("message.schedule", conversation=conversation, **fields))["id"])

        async def change() -> None:
            await alice.call("schedule.edit", id=ids[0], at=at + 1000)
            await alice.call("schedule.edit", id=ids[5], at=at - 1000)
            for id_ in (ids[1], ids[3]):
                await alice.call("schedule.cancel", id=id_)

        found = [ids.index(one["id"]) for one in await paged(alice, "schedule.list", change)]
        assert found == [0, 1, 2, 4, 5, 6]


async def test_pages_of_search_results_and_edits_are_complete_despite_changes(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        sent = [(await alice.send(conversation, f"zebra {number}"))["message"] for number in range(7)]
        while len((await alice.call("message.search", query="zebra"))["items"]) < 7:
            pass
        here = {"conversation": conversation}

        async def change() -> None:
            await alice.call("message.edit", **here, message=sent[6], text="zebra six")
            await alice.call("message.edit", **here, message=sent[1], text="zebra one")
            await alice.call("message.delete", **here, message=sent[3])
            await alice.send(conversation, "zebra new")
            while "zebra new" not in str(await alice.call("message.search", query="zebra new")):
                pass

        found = [one["message"]["id"] for one in await paged(alice, "message.search", change, query="zebra")]
        assert found == [sent[6], sent[5], sent[4], sent[2], sent[1], sent[0]]
        for number in range(5):
            await alice.call("message.edit", **here, message=sent[0], text=f"form {number}")

        async def edit() -> None:
            await bob.call("reaction.add", **here, message=sent[0], emoji="👍")
            await alice.call("message.edit", **here, message=sent[0], text="the last")

        forms = [one["text"] for one in await paged(alice, "message.edits", edit, **here, message=sent[0])]
        assert forms == ["zebra 0", *(f"form {number}" for number in range(5))]
