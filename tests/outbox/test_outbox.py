"""The outbox has one row for each change that a consumer wants to know of, in the transaction of the change."""

import re
from typing import Any
from uuid import uuid4

from chatd.core.ids import uuid7
from chatd.db import queries
from chatd.db.postgres import Postgres, Tx
from chatd.outbox.consumers import lock_consumer, oldest, set_interests, silence
from tests.support import poll_until

LOG = queries.load("conversations/log")
APPENDS, OF_CONVERSATIONS = "conversations/schema/functions.sql", "conversations/transaction.sql"
# Messages of another system, which are no news.
IMPORTS = "importing/importing.sql"
ROWS = "select consumer, tenant, type, key::text, subject::text, seq, user_id::text from outbox order by id"


async def conversation(store: Postgres, tenant: str) -> tuple[str, str]:
    """A group with one member: conversation, user."""
    user, group = str(uuid4()), str(uuid4())
    await store.run("insert into tenants (id, created_at) values ($1, 0) on conflict do nothing", tenant)
    await store.run("insert into users (tenant, id, created_at) values ($1, $2, 0)", tenant, user)
    sql = (
        "insert into conversations (tenant, id, kind, members, created_at, active_at) values ($1, $2, 'group', 1, 0, 0)"
    )
    await store.run(sql, tenant, group)
    sql = "insert into members (tenant, conversation, user_id, joined_at, rev) values ($1, $2, $3, 0, 0)"
    await store.run(sql, tenant, group, user)
    return group, user


async def append(db: Any, tenant: str, group: str, user: str, messages: list[tuple[str, str]]) -> list[str]:
    """Append messages: client id and id of each. Returns the outcomes."""
    clients, ids = [client for client, _ in messages], [id_ for _, id_ in messages]
    count = len(messages)
    fields = ([tenant] * count, [group] * count, [user] * count, clients, ids, ["x"] * count)
    rows = await db.all(LOG.append_messages, *fields, None, None, None, None, 1_770_000_000_000)
    return [row["outcome"] for row in rows]


async def in_savepoint(tx: Tx, tenant: str, group: str, user: str, messages: list[tuple[str, str]]) -> None:
    await tx.run("savepoint inner_part")
    await append(tx, tenant, group, user, messages)
    await tx.run("release savepoint inner_part")


async def test_a_row_for_each_new_message_and_consumer(store: Postgres) -> None:
    group, user = await conversation(store, "one")
    other, stranger = await conversation(store, "two")
    for consumer in ("push", "webhooks"):
        await store.in_transaction(set_interests, consumer, "one", ["message.created", "member.added"])
    messages = [(f"c{number}", uuid7(number)) for number in range(3)]
    assert await append(store, "one", group, user, messages) == ["new"] * 3
    assert await append(store, "two", other, stranger, [("c", uuid7(9))]) == ["new"]
    expected = [("one", "message.created", group, id_, seq, user) for seq, (_, id_) in enumerate(messages, 1)]
    rows = [tuple(row) for row in await store.all(ROWS)]
    assert [row[1:] for row in rows if row[0] == "push"] == expected
    assert [row[1:] for row in rows if row[0] == "webhooks"] == expected
    assert len(rows) == 6
    await store.in_transaction(set_interests, "push", "one", [])
    await append(store, "one", group, user, [("c9", uuid7(9))])
    assert [row["consumer"] for row in await store.all(ROWS)][6:] == ["webhooks"]
    assert await oldest(store, "push") == 1_770_000_000_000
    assert await oldest(store, "nobody") is None


async def test_a_batch_that_is_repeated_adds_no_row_twice(store: Postgres) -> None:
    """With the same ids, as the log repeats a batch whose outcome is unknown, and with others, as clients do."""
    group, user = await conversation(store, "one")
    await store.in_transaction(set_interests, "webhooks", "one", ["message.created"])
    first = [("a", uuid7(1)), ("b", uuid7(2))]
    assert await append(store, "one", group, user, first) == ["new", "new"]
    assert await append(store, "one", group, user, first) == ["duplicate", "duplicate"]
    again = [("a", uuid7(3)), *first[1:], ("c", uuid7(4))]
    assert await append(store, "one", group, user, again) == ["duplicate", "duplicate", "new"]
    assert [row["seq"] for row in await store.all(ROWS)] == [1, 2, 3]


async def test_part_of_a_transaction_adds_rows(store: Postgres) -> None:
    group, user = await conversation(store, "one")
    await store.in_transaction(set_interests, "webhooks", "one", ["message.created"])
    await store.in_transaction(in_savepoint, "one", group, user, [("a", uuid7(1))])
    assert [row["seq"] for row in await store.all(ROWS)] == [1]


async def rename(tx: Tx, user: str, name: str, *, silently: bool) -> None:
    if silently:
        await silence(tx)
    await tx.run("update users set name = $2 where id = $1", user, name)


async def test_an_import_adds_no_rows(store: Postgres) -> None:
    """Until the end of its transaction."""
    _, user = await conversation(store, "one")
    await store.in_transaction(set_interests, "webhooks", "one", ["user.updated"])
    await store.in_transaction(rename, user, "imported", silently=True)
    assert await store.all(ROWS) == []
    await store.in_transaction(rename, user, "changed", silently=False)
    assert len(await store.all(ROWS)) == 1


async def test_one_transaction_at_a_time_takes_the_rows_of_a_consumer(store: Postgres) -> None:
    holder = store.connection("holder")
    await holder.run("select pg_advisory_lock(hashtextextended('chatd outbox webhooks', 0))")
    assert not await store.in_transaction(lock_consumer, "webhooks")
    assert await store.in_transaction(lock_consumer, "push")
    holder.close()
    await poll_until(lambda: store.in_transaction(lock_consumer, "webhooks"))


def test_every_statement_that_adds_messages_adds_them_to_the_outbox() -> None:
    """append_messages() does, and a trigger for system messages. A trigger for all of them would cost each message."""
    folder = queries.folder()
    found = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.sql")
        if re.search(r"\binsert into messages\b", path.read_text())
    }
    assert found == {APPENDS, OF_CONVERSATIONS, IMPORTS}, (
        "let it add its messages to the outbox, as append_messages() does"
    )
    assert set(
        re.findall(r"-- name: (\w+)\n(?:--.*\n)*insert into messages", (folder / OF_CONVERSATIONS).read_text())
    ) == {"add_system_message"}
