"""The indexer misses nothing, whatever writes, is killed or indexes at the same time."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID, uuid4

import trio

from chatd.cluster.signals import EventSent
from chatd.conversations.entities import Message
from chatd.conversations.events import MessageUpdate
from chatd.core.config import PostgresSection
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db.postgres import Postgres, open_postgres
from chatd.search.index_watch import read_status
from chatd.search.indexer import Indexer, IndexerTunables, batch_of, entry_of
from chatd.search.notices import Notices
from chatd.wire.connection_events import SessionBehind
from tests.support import PATIENCE, poll_until

SENDER = str(UUID(int=9))
MESSAGE = Message(
    id=SENDER, seq=1, rev=1, sender=SENDER, client_id="x", text="", attachments=[], reply_to=None, created_at=0, meta=None
)  # fmt: skip
EVENT = MessageUpdate(conversation=SENDER, rev=1, message=MESSAGE, change="edit")
HANG_UP = """
select pg_terminate_backend(pid) from pg_stat_activity
where application_name = 'chatd search' and datname = current_database()
"""
ALL = """
select m.tenant, m.conversation::text, m.seq, m.sender::text, m.created_at, m.text, m.attachments,
    m.deleted_at is null and m.system is null as is_searchable
from messages m
"""


async def conversations(db: Postgres, count: int) -> list[str]:
    await db.run("insert into users (tenant, id, created_at) values ('default', $1, 0) on conflict do nothing", SENDER)
    made = sorted(str(uuid4()) for _ in range(count))
    await db.run(
        "insert into conversations (tenant, id, kind, members, created_at, active_at) "
        "select 'default', unnest($1::uuid[]), 'group', 1, 0, 0",
        made,
    )
    return made


async def write(db: Postgres, conversation: str, text: str, rng: random.Random, *, seq: int | None = None) -> None:
    """A message, or with `seq` another text for one ("" deletes it), as the message log does: numbers under the row
    lock.
    """

    async def work(connection: Any) -> None:
        async with connection.transaction():
            step = int(seq is None)
            row = await connection.fetchrow(
                "update conversations set seq = seq + $2, rev = rev + 1 where id = $1 returning seq, rev",
                conversation,
                step,
            )
            await connection.execute("select pg_sleep($1)", rng.random() * 0.003)
            if seq is None:
                await connection.execute(
                    "insert into messages (tenant, conversation, seq, rev, id, sender, client_id, text, created_at) "
                    "values ('default', $1, $2, $3, $4, $5, $6, $7, $8)",
                    conversation, row["seq"], row["rev"], uuid7(5), SENDER, str(uuid4()), text, rng.randrange(10**12),
                )  # fmt: skip
            else:
                await connection.execute(
                    "update messages set rev = $3, text = nullif($4, ''), deleted_at = case when $4 = '' then 1 end "
                    "where conversation = $1 and seq = $2",
                    conversation, seq, row["rev"], text,
                )  # fmt: skip

    await db.run_on_connection(work)


async def state(db: Postgres) -> tuple[dict[Any, set[str]], dict[Any, set[str]]]:
    """What the index has, and what it should have."""
    rows = await db.all(
        "select conversation::text as c, seq, created_at, tsvector_to_array(words) as words from search_index"
    )
    there = {(row["c"], row["created_at"], row["seq"]): set(row["words"]) for row in rows}
    entries = [await entry_of(row) for row in await db.all(ALL)]
    expected = {
        (entry.conversation, entry.created_at, entry.seq): set(entry.words.split(" "))
        for entry in entries
        if entry.words is not None
    }
    return there, expected


async def check(db: Postgres) -> None:
    there, expected = await state(db)
    assert there == expected


async def wait_until_whole(db: Postgres) -> None:
    await poll_until(lambda: state(db), lambda found: found[0] == found[1], 3 * PATIENCE)


async def writers(db: Postgres, places: list[str], rng: random.Random, count: int) -> None:
    """Six at once: messages, edits, deletions, removals."""

    async def one(number: int) -> None:
        for step in range(count):
            place = rng.choice(places)
            top = await db.value("select seq from conversations where id = $1", place)
            chance = rng.random()
            if top and chance < 0.2:
                await write(db, place, f"edited {number} {step}", rng, seq=rng.randint(1, top))
            elif top and chance < 0.3:
                await write(db, place, "", rng, seq=rng.randint(1, top))
            elif top and chance < 0.35:
                await db.run("delete from messages where conversation = $1 and seq = $2", place, rng.randint(1, top))
            else:
                await write(db, place, f"said {number} {step} 東京都", rng)

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(one, number)


@asynccontextmanager
async def at_work(*indexers: Indexer) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        for one in indexers:
            nursery.start_soon(one.run)
        yield
        nursery.cancel_scope.cancel()


async def test_existing_messages_are_indexed_in_any_number_of_batches(db: Postgres) -> None:
    small = IndexerTunables(batch_messages=7, batch_conversations=3, batch_fresh=2, sweep_conversations=4)
    rng = random.Random(1)
    places = await conversations(db, 10)
    for number in range(60):
        await write(db, places[number % 7], f"number {number}", rng)
    indexer = Indexer(db, small)
    await indexer.catch_up()
    await check(db)
    assert indexer.indexed == 60
    await indexer.catch_up()
    assert indexer.indexed == 60
    await write(db, places[0], "", rng, seq=1)
    await db.run("delete from messages where conversation = $1 and seq = 2", places[0])
    await indexer.catch_up()
    await check(db)
    await db.run("delete from conversations where id = $1", places[0])
    await check(db)
    assert await db.value("select count(*) from search_positions") == 6


async def test_nothing_is_missed_by_two_indexers_at_once(db: Postgres, dsn: str) -> None:
    """One that gets no announcements, and one that gets all and does not know that the other one is active."""
    eager = IndexerTunables(sweep_pause_s=0.02, gather_s=0.0, batch_messages=20, rest_ratio=0.0)
    rng = random.Random(2)
    places = await conversations(db, 5)
    async with open_postgres(dsn, PostgresSection(timeout=PATIENCE)) as other:
        one, two = Indexer(db, eager), Indexer(other, eager)
        async with at_work(one):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(writers, db, places, rng, 60)
                for _ in range(100):
                    two.backlog.note(("default", rng.choice(places)), 1)
                    # A batch that meets a deletion fails, and is tried again.
                    with suppress(Refused):
                        await two.next_batch()
                    await trio.sleep(0.005)
            await wait_until_whole(db)
        assert one.indexed
        assert two.indexed


async def test_one_indexer_is_active_and_another_takes_over(db: Postgres, dsn: str) -> None:
    quick = IndexerTunables(sweep_pause_s=0.02, standby_s=0.05, report_s=0.05)
    rng = random.Random(8)
    (place,) = await conversations(db, 1)
    async with open_postgres(dsn, PostgresSection(timeout=PATIENCE)) as other:
        one, two = Indexer(db, quick), Indexer(other, quick)
        async with at_work(one):
            await write(db, place, "first", rng)
            await wait_until_whole(db)
            async with at_work(two):
                await write(db, place, "second", rng)
                await wait_until_whole(db)
                assert (one.indexed, two.indexed) == (2, 0)
                # The session of the active one ends; it may become active again, or the other one may.
                for text in ("third", "fourth"):
                    await db.run(HANG_UP)
                    await write(db, place, text, rng)
                    await wait_until_whole(db)
        one._connection.close()
        async with at_work(two):
            await write(db, place, "fifth", rng)
            await wait_until_whole(db)
        assert two.indexed


async def test_killed_indexer_leaves_a_consistent_index(db: Postgres) -> None:
    small = IndexerTunables(batch_messages=10)
    rng = random.Random(3)
    places = await conversations(db, 4)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writers, db, places, rng, 40)
        for _ in range(60):
            with trio.move_on_after(rng.random() * 0.04), suppress(Refused):
                await Indexer(db, small).catch_up()
            for row in await db.all(
                "select p.rev, c.rev as top from search_positions p join conversations c on c.id = p.conversation"
            ):
                assert row["rev"] <= row["top"]
    await Indexer(db, small).catch_up()
    await check(db)


async def test_concurrent_indexers_write_each_batch_once(db: Postgres) -> None:
    """One indexer has read and pauses while a text is edited and the other one indexes it."""
    rng = random.Random(4)
    (place,) = await conversations(db, 1)
    await write(db, place, "before", rng)
    slow, quick = Indexer(db), Indexer(db)
    old = await batch_of(await slow._read([("default", place)]), 10)
    await write(db, place, "after", rng, seq=1)
    await quick.catch_up()
    await slow._write(old)
    await check(db)
    assert await db.value("select rev from search_positions") == 2


async def test_a_message_that_is_deleted_after_the_read_is_not_written(db: Postgres) -> None:
    """Neither if its row remains, nor if it is removed; the next batch finds nothing to remove."""
    rng = random.Random(5)
    (place,) = await conversations(db, 1)
    for text in ("kept", "deleted", "removed"):
        await write(db, place, text, rng)
    indexer = Indexer(db)
    read = await batch_of(await indexer._read([("default", place)]), 10)
    await write(db, place, "", rng, seq=2)
    await db.run("delete from messages where conversation = $1 and seq = 3", place)
    await indexer._write(read)
    await check(db)
    assert await db.value("select count(*) from search_index") == 1


@asynccontextmanager
async def announcing(db: Postgres) -> AsyncIterator[Notices]:
    notices = Notices(db, gather_s=0.01)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notices.run)
        yield notices
        nursery.cancel_scope.cancel()


async def test_announced_messages_are_indexed_without_the_sweep(db: Postgres) -> None:
    rng = random.Random(5)
    places = await conversations(db, 2)
    indexer = Indexer(db, IndexerTunables(sweep_pause_s=1000.0))
    await write(db, places[0], "before", rng)
    async with at_work(indexer), announcing(db) as notices:
        await wait_until_whole(db)
        # The first sweep is over, and the next one far away.
        await write(db, places[1], "after", rng)
        notices.note(EventSent("default", places[0], SessionBehind()))
        assert not notices._noted
        notices.note(EventSent("default", places[1], EVENT))
        notices.note(EventSent("default", places[1], EVENT))
        await wait_until_whole(db)
    assert indexer.indexed == 2


async def test_lost_announcements_cause_a_sweep_of_all_conversations(db: Postgres) -> None:
    """Postgres ends the connection, and with it the LISTEN."""
    rng = random.Random(9)
    places = await conversations(db, 30)
    indexer = Indexer(db, IndexerTunables(sweep_pause_s=1000.0, sweep_conversations=4, report_s=0.05))
    await write(db, places[0], "before", rng)
    async with at_work(indexer):
        await wait_until_whole(db)
        await db.run(HANG_UP)
        for place in places:
            await write(db, place, "not announced", rng)
        # It notices at its next report that the connection is lost.
        await wait_until_whole(db)


async def test_an_overflow_of_announcements_causes_a_sweep(db: Postgres) -> None:
    rng = random.Random(10)
    places = await conversations(db, 5)
    indexer = Indexer(db, IndexerTunables(sweep_pause_s=0.05, sweep_conversations=2))
    for place in places:
        await write(db, place, "hello", rng)
    indexer.backlog.overflowed = True
    async with at_work(indexer):
        await wait_until_whole(db)
    assert not indexer.backlog.overflowed


async def test_announcements_survive_an_outage(db: Postgres) -> None:
    """A node that cannot reach Postgres keeps what it has noted, within a limit."""
    notices = Notices(db)
    notices.note(EventSent("default", SENDER, EVENT))
    noted, notices._noted = notices._noted, {}
    notices.note(EventSent("default", SENDER, EVENT))
    notices._keep(noted)
    assert notices._noted == {("default", SENDER): 2}


async def test_the_state_of_the_index_is_reported(db: Postgres) -> None:
    await db.run("update search_status set reported_at = 0")
    assert not (await read_status(db)).is_running
    rng = random.Random(11)
    (place,) = await conversations(db, 1)
    async with at_work(Indexer(db, IndexerTunables(report_s=0.05))):
        await write(db, place, "hello", rng)
        await wait_until_whole(db)
        status = await poll_until(lambda: read_status(db), lambda found: found.is_running and not found.changes)
        assert status.behind_s == 0


async def test_indexer_retries_after_a_lost_connection(db: Postgres) -> None:
    rng = random.Random(6)
    places = await conversations(db, 3)
    async with at_work(Indexer(db, IndexerTunables(sweep_pause_s=0.05))):
        for number in range(10):
            await write(db, rng.choice(places), f"text {number}", rng)
            await db.run(HANG_UP)
            await trio.sleep(0.02)
        await wait_until_whole(db)


async def test_concurrent_deletion_does_not_block_the_indexer(db: Postgres) -> None:
    """The indexer releases its locks at once, and tries again later: no deadlock."""
    rng = random.Random(7)
    (place,) = await conversations(db, 1)
    for number in range(3):
        await write(db, place, f"text {number}", rng)

    deleted = trio.Event()

    async def work(connection: Any) -> None:
        async with connection.transaction():
            await connection.execute("delete from messages where seq = 2")
            deleted.set()
            await connection.execute("select pg_sleep(0.5)")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(db.run_on_connection, work)
        await deleted.wait()
        async with at_work(Indexer(db)):
            await wait_until_whole(db)
    assert await db.value("select count(*) from search_index") == 2
