"""The list of conversations: filters, order, and pages that stay complete while conversations move."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.conversations.test_groups import group
from tests.support import Daemon, Person, covers, shared

daemon = shared


async def listed(person: Person, **fields: Any) -> list[str]:
    """The ids of all pages, in their order."""
    found, cursor = list[str](), dict[str, str]()
    while True:
        page = await person.call("conversation.list", **fields, **cursor)
        found += [item["id"] for item in page["items"]]
        if page["cursor"] is None:
            return found
        cursor = {"cursor": page["cursor"]}


async def groups(ann: Person, ben: Person, count: int) -> list[str]:
    """Groups of the two, the last one active first in the list."""
    return [(await ann.call("conversation.create", members=[ben.user]))["conversation"]["id"] for _ in range(count)]


async def settle(person: Person, conversation: str, **fields: Any) -> None:
    await person.call("conversation.settings", conversation=conversation, **fields)


@covers("conversation.list")
async def test_each_filter_selects(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben):
        plain, archived, hidden, read, empty, own = await groups(ann, ben, 6)
        direct = (await ann.call("conversation.open", user=ben.user)).conversation.id
        for id_ in (plain, archived, hidden, read):
            await ben.send(id_)
        await ann.send(own)
        await settle(ann, archived, archived=True)
        await settle(ann, hidden, hidden=True)
        await ann.call("receipt.read", conversation=read, seq=1)
        everything = {plain, archived, hidden, read, empty, own, direct}
        assert set(await listed(ann)) == everything
        assert set(await listed(ann, kind="direct")) == {direct}
        assert set(await listed(ann, kind="group")) == everything - {direct}
        assert set(await listed(ann, archived=True)) == {archived}
        assert set(await listed(ann, archived=False)) == everything - {archived}
        assert set(await listed(ann, hidden=True)) == {hidden}
        assert set(await listed(ann, unread=True)) == {plain, archived, hidden}
        assert set(await listed(ann, unread=False, limit=2)) == {read, empty, own, direct}
        assert set(await listed(ann, unread=True, archived=False, hidden=False, kind="group")) == {plain}


@covers("conversation.list")
async def test_pinned_conversations_are_first_if_requested(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben):
        ids = await groups(ann, ben, 5)
        for id_ in ids:
            await ben.send(id_)
        latest_first = ids[::-1]
        for id_ in (ids[0], ids[2]):
            await settle(ann, id_, pinned=True)
        assert await listed(ann, limit=2) == latest_first
        rest = [id_ for id_ in latest_first if id_ not in (ids[0], ids[2])]
        assert await listed(ann, limit=2, order="pinned") == [ids[2], ids[0], *rest]
        assert await listed(ben, limit=2, order="pinned") == latest_first


MOVES: list[Callable[[Person, Person, str], Awaitable[Any]]] = [
    lambda ann, ben, id_: settle(ann, id_, pinned=True),
    lambda ann, ben, id_: settle(ann, id_, pinned=False),
    lambda ann, ben, id_: ben.send(id_),
]


@covers("conversation.list")
async def test_no_conversation_is_left_out_while_they_move(daemon: Daemon) -> None:
    """What was not listed yet is pinned, unpinned or becomes active: whichever way it moves, it is on some page."""
    async with daemon.people(2) as (ann, ben):
        ids = await groups(ann, ben, 8)
        for order in ("active", "pinned"):
            for number, move in enumerate(MOVES):
                for id_ in ids[number::3]:
                    await settle(ann, id_, pinned=number == 1)
                seen, cursor = list[str](), dict[str, str]()
                while True:
                    page = await ann.call("conversation.list", limit=2, order=order, **cursor)
                    seen += [item["id"] for item in page["items"]]
                    if page["cursor"] is None:
                        break
                    cursor = {"cursor": page["cursor"]}
                    unseen = [id_ for id_ in ids if id_ not in seen]
                    for id_ in {*unseen[:1], *unseen[-1:]}:
                        await move(ann, ben, id_)
                    assert len(seen) < 100
                assert set(seen) == set(ids), (order, number)


@covers("conversation.list")
async def test_what_comes_to_match_a_filter_during_the_paging_is_listed(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben):
        ids = await groups(ann, ben, 6)
        for id_ in ids[:4]:
            await ben.send(id_)
        first = await ann.call("conversation.list", limit=2, unread=True)
        await ben.send(ids[4])
        found, cursor = [item["id"] for item in first["items"]], first["cursor"]
        while cursor is not None:
            page = await ann.call("conversation.list", limit=2, unread=True, cursor=cursor)
            found, cursor = found + [item["id"] for item in page["items"]], page["cursor"]
        assert set(found) == set(ids[:5])


async def test_many_conversations_without_unread_messages_are_skipped(daemon: Daemon) -> None:
    """More than one page examines: a page may be empty, and the list is still complete."""
    async with daemon.people(2) as (ann, ben):
        oldest = (await ann.call("conversation.open", user=ben.user)).conversation.id
        await ben.send(oldest)
        ids = await groups(ann, ben, 205)
        for id_ in ids:
            await ann.send(id_)
        page = await ann.call("conversation.list", limit=10, unread=True)
        assert (page["items"], page["cursor"] is None) == ([], False)
        assert await listed(ann, limit=10, unread=True) == [oldest]


@covers("conversation.list")
async def test_a_cursor_of_another_filter_is_refused(daemon: Daemon) -> None:
    async with group(daemon, 2) as (_, (ann, ben)):
        await groups(ann, ben, 3)
        cursor = (await ann.call("conversation.list", limit=1, kind="group"))["cursor"]
        for other in ({}, {"kind": "direct"}, {"kind": "group", "order": "pinned"}, {"kind": "group", "label": "x"}):
            assert (await ann.refused("conversation.list", cursor=cursor, **other)).code == "bad_request"
        assert len((await ann.call("conversation.list", cursor=cursor, kind="group"))["items"]) == 3


@covers("conversation.list")
async def test_filters_over_rest(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben):
        one, two = await groups(ann, ben, 2)
        await settle(ann, one, archived=True, labels=["at work"])
        for query, expected in [("archived=true", one), ("archived=false&kind=group", two), ("label=at%20work", one)]:
            answer = await daemon.rest("GET", f"/v1/conversations?{query}", token=ann.account.access_token)
            assert [item["id"] for item in answer.body["items"]] == [expected]
