"""The group commit, where an answer of Postgres is lost on its way."""

from collections.abc import Sequence
from typing import Any

import trio

from chatd.config import Journal
from chatd.errors import Refused
from chatd.ids import uuid7
from chatd.store import queries
from chatd.store.entries import Receipt
from chatd.store.journal import open_journal
from chatd.store.postgres import Connection, Postgres, Row

ALICE, BOB, GROUP = uuid7(1), uuid7(2), uuid7(3)


class LosesAnAnswer:
    """A real connection whose first statement is committed although it seems to fail."""

    def __init__(self, real: Connection) -> None:
        self._real = real
        self._lost = False

    async def call(self, sql: str, *args: Any) -> Sequence[Row]:
        rows = await self._real.call(sql, *args)
        if not self._lost:
            self._lost = True
            raise Refused("unavailable")
        return rows


async def test_a_receipt_whose_answer_was_lost_is_told_to_own_devices_all_the_same(db: Postgres) -> None:
    await db.run("insert into users (tenant, id, created_at) values ('default', $1, 0), ('default', $2, 0)", ALICE, BOB)
    await db.run(queries.load("conversations").create_group, "default", GROUP, "us", ALICE, [ALICE, BOB], 0)
    await db.run("update conversations set seq = 5, rev = rev + 5 where id = $1", GROUP)
    gaps, told = [], []

    async def on_gap(*gap: Any) -> None:
        gaps.append(gap[:2])

    async def tell(result: Any) -> None:
        told.append(result)

    async with open_journal(db, Journal(flushers=1), on_gap) as journal:
        share: Any = journal._shares[0]
        share._connection = LosesAnAnswer(share._connection)
        done = await journal.append(Receipt("default", GROUP, BOB, 0, 4, shared_up_to=1), tell, trio.current_time())
        assert (done.read_seq, done.rev, done.unread, done.doubtful) == (4, None, None, True)
        again = await journal.append(Receipt("default", GROUP, BOB, 0, 5, shared_up_to=1), tell, trio.current_time())
        assert (again.read_seq, again.rev, again.unread, again.doubtful) == (5, None, 0, False)
    assert told == [done, again]
    assert gaps == [("default", GROUP)]
