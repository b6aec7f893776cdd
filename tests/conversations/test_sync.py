"""Synchronization after an absence misses nothing."""

from typing import Any

import trio

from tests.support import NOBODY, Daemon, Person, covers, shared

daemon = shared


async def states(person: Person, cursor: str | None = None, limit: int = 200) -> tuple[list[Any], str]:
    """All pages of session.sync."""
    found: list[Any] = []
    while True:
        page = await person.call("session.sync", limit=limit, **({"cursor": cursor} if cursor else {}))
        found += page["conversations"]
        cursor = page["cursor"]
        if not page["more"]:
            return found, cursor


@covers("session.sync")
async def test_session_sync_lists_only_changed_conversations(daemon: Daemon) -> None:
    async with daemon.people(4) as (alice, *others):
        ids = [(await alice.call("conversation.open", user=other.user)).conversation.id for other in others]
        first, cursor = await states(alice)
        assert sorted(state["id"] for state in first) == sorted(ids)
        nothing, cursor = await states(alice, cursor)
        assert nothing == []
        await others[1].send(ids[1])
        changed, cursor = await states(alice, cursor)
        assert [(state["id"], state["seq"], state["unread"]) for state in changed] == [(ids[1], 1, 1)]
        await others[2].call("receipt.read", conversation=ids[2], seq=0)
        assert (await states(alice, cursor))[0] == []


async def test_session_sync_is_paged(daemon: Daemon) -> None:
    async with daemon.people(6) as (alice, *others):
        ids = [(await alice.call("conversation.open", user=other.user)).conversation.id for other in others]
        found, cursor = await states(alice, limit=2)
        assert sorted(state["id"] for state in found) == sorted(ids)
        for other, id_ in zip(others, ids, strict=True):
            await other.send(id_)
        changed, _ = await states(alice, cursor, limit=2)
        assert sorted(state["id"] for state in changed) == sorted(ids)


async def test_cursor_of_another_database_resets_and_invalid_cursor_is_refused(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, conversation):
        _, cursor = await states(alice)
        foreign = "1.1:" + cursor.partition(":")[2]
        assert [state["id"] for state in (await states(alice, foreign))[0]] == [conversation]
        for wrong in ("x", "1;drop table", cursor + "0", "1.1:-1::" + NOBODY):
            assert (await alice.refused("session.sync", cursor=wrong)).code == "bad_request"


@covers("conversation.sync")
async def test_conversation_sync_returns_states_in_pages(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        for number in range(5):
            await alice.send(conversation, str(number))
        await bob.call("receipt.read", conversation=conversation, seq=4)
        rev, seqs, read = 2, [], {}
        while True:
            page = await bob.call("conversation.sync", conversation=conversation, rev=rev, limit=2)
            seqs += [message["seq"] for message in page["messages"]]
            read |= {member["user"]: member["read_seq"] for member in page["members"]}
            rev = page["rev"]
            if not page["more"]:
                break
        assert seqs == [1, 2, 3, 4, 5]
        assert read == {bob.user: 4}
        assert (await bob.call("conversation.sync", conversation=conversation, rev=rev))["messages"] == []


@covers("conversation.sync", "not_found")
async def test_non_member_cannot_sync(daemon: Daemon) -> None:
    async with daemon.pair() as (_, _, conversation), daemon.person() as stranger:
        for id_ in (conversation, NOBODY):
            assert (await stranger.refused("conversation.sync", conversation=id_, rev=0)).code == "not_found"


async def test_sync_during_writes_misses_nothing(daemon: Daemon) -> None:
    """The fault of timestamp cursors: a reader that syncs while many users write must not lose a row."""
    async with daemon.people(5) as (reader, *writers):
        members = [writer.user for writer in writers]
        ids = [(await reader.call("conversation.create", members=members)).conversation.id for _ in range(3)]
        known = dict.fromkeys(ids, 0)
        seen: dict[str, list[int]] = {id_: [] for id_ in ids}

        async def write(writer: Person) -> None:
            for number in range(20):
                await writer.send(ids[number % 3])

        async def read_once(cursor: str | None) -> str:
            changed, cursor = await states(reader, cursor)
            for state in changed:
                page = await reader.call(
                    "conversation.sync", conversation=state["id"], rev=known[state["id"]], limit=200
                )
                seen[state["id"]] += [message["seq"] for message in page["messages"]]
                known[state["id"]] = page["rev"]
            return cursor

        done = trio.Event()

        async def read() -> None:
            cursor = None
            while not done.is_set():
                cursor = await read_once(cursor)
            await read_once(cursor)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            async with trio.open_nursery() as inner:
                for writer in writers:
                    inner.start_soon(write, writer)
            done.set()
        counts = [28, 28, 24]
        assert {id_: seen[id_] for id_ in ids} == {
            id_: list(range(1, n + 1)) for id_, n in zip(ids, counts, strict=True)
        }


async def test_sync_during_receipts_lists_every_member(daemon: Daemon) -> None:
    """A member who moves between pages is listed: the event contains a read position, but not the member."""
    async with daemon.people(6) as (ann, *others):
        made = await ann.call("conversation.create", members=[other.user for other in others])
        id_ = made.conversation.id
        for _ in range(30):
            await ann.send(id_)

        async def read(person: Person) -> None:
            for seq in range(1, 31):
                await person.call("receipt.read", conversation=id_, seq=seq)

        async with trio.open_nursery() as nursery:
            for person in others:
                nursery.start_soon(read, person)
            for _ in range(40):
                assert len((await ann.call("conversation.sync", conversation=id_, rev=0))["members"]) == 6
