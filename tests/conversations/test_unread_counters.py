"""One statement counts the unread messages of a few conversations, however many a user has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chatd.conversations.commands.user_settings import MAX_UNREAD_CONVERSATIONS
from chatd.conversations.read_model import COUNTED_PER_STATEMENT
from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import Connection, Postgres
from tests.support import Daemon, Person

CONVERSATIONS = 230
EACH = 8
# An index scan counts a row twice: in the index and in the table.
MAX_READS = 2 * EACH * COUNTED_PER_STATEMENT
WRITE = """
insert into messages (tenant, conversation, seq, rev, id, sender, client_id, text, created_at)
select 'default', w.id, g, 2 + g, gen_random_uuid(), $2, w.id || '-' || g, 'hello', 1
from unnest($1::uuid[]) as w (id) cross join generate_series(1, $3::int) g"""
READS = """
select coalesce(sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), 0)::int
from pg_stat_xact_user_tables where relname = 'messages'"""


async def conversations(db: Postgres, sender: Person, reader: Person, seq: int) -> list[str]:
    """Groups of the two users, each more recently active than the one before, with a few messages; `seq` is their
    number.
    """
    ids = [uuid7(number) for number in range(CONVERSATIONS)]
    for number, id_ in enumerate(ids):
        members = [sender.user, reader.user]
        await db.run(
            queries.load("conversations/conversations").create_group,
            "default",
            id_,
            "many",
            members[0],
            members,
            number,
        )
    await db.run(WRITE, ids, sender.user, EACH)
    await db.run("update conversations set seq = $2, rev = rev + $2 where id = any($1::uuid[])", ids, seq)
    await db.run("analyze")
    return ids


@contextmanager
def counted_reads() -> Iterator[list[int]]:
    """The message rows that each kind of work reads while the block runs."""
    found: list[int] = []
    original = Connection.run_on_connection

    async def run_on_connection(self: Connection, work: Any, timeout: float | None = None) -> Any:
        async def counted(connection: Any) -> Any:
            async with connection.transaction():
                before = await connection.fetchval(READS)
                result = await work(connection)
                found.append(await connection.fetchval(READS) - before)
                return result

        # The indexer reads messages of its own accord.
        is_indexer = self._name.startswith("search")
        return await original(self, work if is_indexer else counted, timeout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "run_on_connection", run_on_connection)
        yield found


async def test_unread_of_few_conversations_takes_one_statement(daemon: Daemon, db: Postgres) -> None:
    async with daemon.person() as ann, daemon.person() as ben:
        ids = await conversations(db, ann, ben, EACH)
        with counted_reads() as reads:
            total = (await ben.call("unread.total"))["total"]
        assert total == {"unread": EACH * 200, "conversations": MAX_UNREAD_CONVERSATIONS, "mentions": 0}
        assert EACH * COUNTED_PER_STATEMENT <= max(reads) <= MAX_READS
        with counted_reads() as reads:
            listed = await ben.call("conversation.list", limit=200)
        assert {one["unread"] for one in listed["items"]} == {EACH}
        assert max(reads) <= MAX_READS
        # What is muted does not take the place of what counts.
        muted = "update members set muted_until = 9e15 where user_id = $1 and conversation = any($2::uuid[])"
        await db.run(muted, ben.user, ids[10:])
        assert (await ben.call("unread.total"))["total"] == {"unread": EACH * 10, "conversations": 10, "mentions": 0}


async def test_sync_page_ends_at_the_limit_of_counted_messages(daemon: Daemon, db: Postgres) -> None:
    async with daemon.person() as ann, daemon.person() as ben:
        ids = await conversations(db, ann, ben, 100_000)
        sizes, found, more, cursor = [], [], True, {}
        while more:
            state = await ben.call("session.sync", **cursor, limit=100)
            cursor, more = {"cursor": state["cursor"]}, state["more"]
            sizes.append(len(state["conversations"]))
            found += [one["id"] for one in state["conversations"]]
        assert found == sorted(ids)
        # Each may have 5000 messages to look at.
        assert max(sizes) == 51
        assert not (await ben.call("session.sync", **cursor))["conversations"]
