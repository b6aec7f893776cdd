"""The group commit if an answer of Postgres is lost."""

from collections.abc import Sequence
from functools import partial
from math import inf
from typing import Any

import trio

from chatd.conversations.log.entries import Appended, Entry, Item, NewMessage, Publish, Receipt
from chatd.conversations.log.statements import (
    NESTED,
    Result,
    append_messages,
    in_publishing_order,
    is_in_order,
)
from chatd.conversations.log.writer import MessageLog, open_message_log
from chatd.conversations.settings import MessageLogSettings
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.core.settlement import settlement
from chatd.db import queries
from chatd.db.postgres import Connection, Postgres, Row

ALICE, BOB, GROUP, QUIET = uuid7(1), uuid7(2), uuid7(3), uuid7(4)


async def append(message_log: MessageLog, item: Item, publish: Publish) -> Any:
    return await settlement(partial(message_log.append, item, publish, trio.current_time()))


async def not_called(*_: Any) -> None:
    raise AssertionError


class LosesAnAnswer:
    """A connection whose first statement is committed but appears to fail."""

    def __init__(self, real: Connection) -> None:
        self._real = real
        self._lost = False

    async def all(self, sql: str, *args: Any) -> Sequence[Row]:
        rows = await self._real.all(sql, *args)
        if not self._lost:
            self._lost = True
            raise Refused("unavailable")
        return rows


async def test_receipt_with_lost_answer_is_sent_to_own_devices(db: Postgres) -> None:
    await db.run("insert into users (tenant, id, created_at) values ('default', $1, 0), ('default', $2, 0)", ALICE, BOB)
    await db.run(
        queries.load("conversations/conversations").create_group, "default", GROUP, "us", ALICE, [ALICE, BOB], 0
    )
    await db.run("update conversations set seq = 5, rev = rev + 5 where id = $1", GROUP)
    gaps, events = [], []

    async def on_gap(*gap: Any) -> None:
        gaps.append(gap[:2])

    async def publish(result: Any) -> None:
        events.append(result)

    async with open_message_log(db, MessageLogSettings(flushers=1), on_gap) as message_log:
        shard: Any = message_log._shards[0]
        shard._connection = LosesAnAnswer(shard._connection)
        done = await append(message_log, Receipt("default", GROUP, BOB, 0, 4, shared_up_to=1), publish)
        assert (done.read_seq, done.rev, done.unread, done.uncertain) == (4, None, None, True)
        again = await append(message_log, Receipt("default", GROUP, BOB, 0, 5, shared_up_to=1), publish)
        assert (again.read_seq, again.rev, again.unread, again.uncertain) == (5, None, 0, False)
    assert events == [done, again]
    assert gaps == [("default", GROUP)]


async def test_a_batch_whose_answer_was_lost_is_committed_once(db: Postgres) -> None:
    """It is sent again, with all that belongs to its messages: mentions and uploads."""
    people = "insert into users (tenant, id, created_at) values ('default', $1, 0), ('default', $2, 0)"
    await db.run(people, ALICE, BOB)
    await db.run(
        queries.load("conversations/conversations").create_group, "default", GROUP, "us", ALICE, [ALICE, BOB], 0
    )
    upload = uuid7(2)
    columns = "tenant, id, owner, key, mime, size, sha256, created_at"
    await db.run(f"insert into uploads ({columns}) values ('default', $1, $2, 'k', 'x/y', 1, '', 0)", upload, ALICE)
    attachments = f'[{{"type":"file","upload":"{upload}"}}]'
    extra = f'{{"mentions":["{ALICE}"],"everybody":true}}'
    items = [
        NewMessage("default", GROUP, ALICE, name, uuid7(1), "x", attachments, None, None, extra) for name in ("a", "b")
    ]
    batch = [Entry(item, not_called, inf, settled=not_called) for item in items]
    connection = db.connection("test", NESTED)

    first, again = [await append_messages(connection, batch) for _ in range(2)]

    places = [(result.id, result.seq, result.rev, result.duplicate) for _, result in first]
    assert [(result.id, result.seq, result.rev, result.duplicate) for _, result in again] == places
    assert await db.value("select count(*) from mentions") == 4
    assert await db.value("select count(*) from upload_uses") == 2


async def test_batch_entries_get_separate_results(db: Postgres) -> None:
    """One entry of a statement is refused; a message that occurs twice in it, and again later, gets the same ack."""
    people = "insert into users (tenant, id, created_at) values ('default', $1, 0), ('default', $2, 0)"
    await db.run(people, ALICE, BOB)
    create = queries.load("conversations/conversations").create_group
    await db.run(create, "default", GROUP, "us", ALICE, [ALICE, BOB], 0)
    await db.run(create, "default", QUIET, "news", ALICE, [ALICE, BOB], 0)
    await db.run("update conversations set announce = true where id = $1", QUIET)
    outcomes: dict[str, Any] = {}

    async def send(name: str, conversation: str, client_id: str, extra: str | None = None) -> None:
        async def publish(result: Any) -> None:
            outcomes[name] = result

        item = NewMessage("default", conversation, BOB, client_id, uuid7(1), "x", None, None, None, extra)
        try:
            done = await append(message_log, item, publish)
            assert outcomes[name] is done
        except Refused as refused:
            outcomes[name] = (refused.code, refused.message)

    async def on_gap(*gap: Any) -> None:
        raise AssertionError

    async with open_message_log(db, MessageLogSettings(flushers=1), on_gap) as message_log:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, "first", GROUP, "a")
            nursery.start_soon(send, "again", GROUP, "a")
            nursery.start_soon(send, "elsewhere", QUIET, "a")
            nursery.start_soon(send, "announcement", QUIET, "b")
            nursery.start_soon(send, "everybody", GROUP, "c", '{"everybody":true}')
            nursery.start_soon(send, "stranger", ALICE, "d")
            nursery.start_soon(send, "second", GROUP, "e")
        await send("later", GROUP, "a")
    first = outcomes["first"] if not outcomes["first"].duplicate else outcomes["again"]
    for name in ("first", "again", "later"):
        same = outcomes[name]
        assert (same.id, same.seq, same.rev, same.created_at) == (first.id, first.seq, first.rev, first.created_at)
    assert sorted(outcomes[name].duplicate for name in ("first", "again", "later")) == [False, True, True]
    assert {outcomes["second"].seq, first.seq} == {1, 2}
    assert outcomes["announcement"] == ("forbidden", "only moderators and above may write in this conversation")
    assert outcomes["everybody"] == ("forbidden", "only moderators and above may mention everybody")
    assert outcomes["stranger"] == ("not_found", "no such conversation")
    assert outcomes["elsewhere"][0] in ("conflict", "forbidden")


async def test_messages_of_two_attempts_are_published_in_the_order_of_rev() -> None:
    """The first attempt has refused a message that the second one has stored; the rest keeps its place."""

    async def publish(_: Any) -> None: ...

    def entry(conversation: str) -> Entry:
        item = NewMessage("default", conversation, ALICE, "c", uuid7(5), "x", None, None, None)
        return Entry(item, publish, 0.0, lambda _: None)

    def new(rev: int, *, duplicate: bool = False) -> Appended:
        return Appended(uuid7(6), rev, rev, 0, duplicate, 0, 1)

    refused = Refused("conflict")
    results: list[Result] = [
        (entry(GROUP), new(7)), (entry(QUIET), new(30)), (entry(GROUP), refused), (entry(GROUP), new(5)),
        (entry(GROUP), new(1, duplicate=True)), (entry(QUIET), new(31)), (entry(GROUP), new(6)),
    ]  # fmt: skip
    ordered = in_publishing_order(results)
    assert [is_in_order(results), is_in_order(ordered)] == [False, True]
    places = [result.rev if isinstance(result, Appended) else result.code for _, result in ordered]
    assert places == [5, 30, "conflict", 6, 1, 31, 7]
    assert {id(one) for one in ordered} == {id(one) for one in results}
