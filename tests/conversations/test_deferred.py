"""Conversations whose rows are locked: each is committed soon after its own lock ends, whatever happens to the others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from chatd.conversations.log.entries import Advanced, Appended, Item, NewMessage, Receipt
from chatd.conversations.log.writer import MessageLog, open_message_log
from chatd.conversations.settings import MessageLogSettings
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.core.settlement import settlement
from chatd.db import queries
from chatd.db.postgres import Postgres, Tx
from tests.support import PATIENCE

ALICE, BOB = uuid7(1), uuid7(2)
# Each of them would delay the others by 0.25 s.
COUNT = 24
LOCK = "select from conversations where id = any($1) for update"
DELETE = "delete from conversations where id = any($1)"
# A round of retries lasts up to 0.25 s, and there are 0.2 s between two rounds.
SOON_S = 1.5


async def groups(db: Postgres, count: int) -> list[str]:
    people = "insert into users (tenant, id, created_at) values ('default', $1, 0), ('default', $2, 0)"
    await db.run(people, ALICE, BOB)
    ids = [uuid7(number) for number in range(count)]
    for id_ in ids:
        create = queries.load("conversations/conversations").create_group
        await db.run(create, "default", id_, "us", ALICE, [ALICE, BOB], 0)
    return ids


@asynccontextmanager
async def locked(db: Postgres, *ids: str, sql: str = LOCK) -> AsyncIterator[None]:
    """Lock these conversations, by this statement, as long as the block lasts."""
    held, done = trio.Event(), trio.Event()

    async def work(tx: Tx) -> None:
        await tx.run(sql, ids)
        held.set()
        while not done.is_set():
            await tx.run("select pg_sleep(0.02)")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(db.in_transaction, work)
        await held.wait()
        yield
        done.set()


class Log:
    """A log with one shard, and what became of the messages that were sent."""

    def __init__(self, message_log: MessageLog) -> None:
        self._log = message_log
        self._number = 0
        self.outcomes: dict[str, Appended | Advanced | str] = {}

    async def send(self, conversation: str) -> None:
        self._number += 1
        item = NewMessage("default", conversation, BOB, f"{self._number}", uuid7(1), "x", None, None, None, None)
        try:
            self.outcomes[conversation] = await self._append(item)
        except Refused as refused:
            self.outcomes[conversation] = refused.code

    async def read(self, conversation: str, user: str) -> None:
        """Send a receipt, whose outcome is under the conversation and the user."""
        self.outcomes[conversation + user] = await self._append(Receipt("default", conversation, user, 0, 0, 1))

    async def _append(self, item: Item) -> Any:
        async def publish(_: Any) -> None: ...

        return await settlement(partial(self._log.append, item, publish, trio.current_time()))

    async def committed(self, conversation: str) -> float:
        """Seconds until it is."""
        began = trio.current_time()
        with trio.fail_after(PATIENCE):
            while conversation not in self.outcomes:
                await trio.sleep(0.01)
        assert isinstance(self.outcomes[conversation], Appended)
        return trio.current_time() - began


@asynccontextmanager
async def open_log(db: Postgres) -> AsyncIterator[tuple[Log, trio.Nursery]]:
    async def on_gap(*gap: Any) -> None:
        raise AssertionError

    async with (
        open_message_log(db, MessageLogSettings(flushers=1, deadline=30.0), on_gap) as message_log,
        trio.open_nursery() as nursery,
    ):
        yield Log(message_log), nursery


async def test_a_released_conversation_does_not_wait_for_those_that_are_locked(db: Postgres) -> None:
    *stuck, released = await groups(db, COUNT)
    async with open_log(db) as (log, nursery), locked(db, *stuck):
        async with locked(db, released):
            for conversation in (*stuck, released):
                nursery.start_soon(log.send, conversation)
            await trio.sleep(1)
            assert log.outcomes == {}
        assert await log.committed(released) < SOON_S
        assert list(log.outcomes) == [released]


async def test_all_conversations_are_committed_once_they_are_released(db: Postgres) -> None:
    ids = await groups(db, COUNT)
    async with open_log(db) as (log, nursery):
        async with locked(db, *ids):
            for conversation in ids:
                nursery.start_soon(log.send, conversation)
            await trio.sleep(1)
            assert log.outcomes == {}
        assert max([await log.committed(conversation) for conversation in ids]) < SOON_S


async def test_messages_and_receipts_that_are_deferred_together_are_all_settled(db: Postgres) -> None:
    """Each kind has a statement of its own, and the first one waits for the lock in vain more than once."""
    (conversation,) = await groups(db, 1)
    async with open_log(db) as (log, nursery):
        async with locked(db, conversation):
            nursery.start_soon(log.send, conversation)
            for user in (ALICE, BOB):
                nursery.start_soon(log.read, conversation, user)
            await trio.sleep(2)
            assert log.outcomes == {}
        with trio.fail_after(PATIENCE):
            while len(log.outcomes) < 3:
                await trio.sleep(0.01)


async def test_a_deleted_conversation_is_refused_while_others_are_locked(db: Postgres) -> None:
    *stuck, deleted = await groups(db, COUNT)
    async with open_log(db) as (log, nursery), locked(db, *stuck):
        async with locked(db, deleted, sql=DELETE):
            for conversation in (*stuck, deleted):
                nursery.start_soon(log.send, conversation)
            await trio.sleep(1)
            assert log.outcomes == {}
        with trio.fail_after(PATIENCE):
            while deleted not in log.outcomes:
                await trio.sleep(0.01)
        assert log.outcomes == {deleted: "not_found"}


async def test_a_conversation_that_is_always_locked_gets_its_turn(db: Postgres) -> None:
    """Other transactions lock it one after another, so it is never free when the log looks."""
    *stuck, busy = await groups(db, 3)
    async with open_log(db) as (log, nursery), locked(db, *stuck), trio.open_nursery() as lockers:

        async def lock_again() -> None:
            async def work(tx: Tx) -> None:
                await tx.run(LOCK, [busy])
                await tx.run("select pg_sleep(0.1)")

            while True:
                await db.in_transaction(work)

        for _ in range(2):
            lockers.start_soon(lock_again)
        await trio.sleep(0.05)
        nursery.start_soon(log.send, busy)
        for conversation in stuck:
            nursery.start_soon(log.send, conversation)
        await log.committed(busy)
        lockers.cancel_scope.cancel()
