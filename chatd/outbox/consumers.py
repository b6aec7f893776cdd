"""What consumers of the outbox need: their interests, and their turn.

A consumer takes its rows with a statement of its own, in one transaction with what it makes of them: `delete from
outbox where consumer = ... returning`, by `id`. `lock_consumer` at the beginning of that transaction keeps the order:
two nodes that take rows at the same time would commit them in any order.
"""

from collections.abc import Iterable

from chatd.db import queries
from chatd.db.postgres import Database, Tx

SQL = queries.load("outbox/outbox")


async def lock_consumer(tx: Tx, consumer: str) -> bool:
    """Whether this transaction may take rows of the consumer. False while another one does."""
    return bool(await tx.value(SQL.lock_consumer, consumer))


async def wait_for_consumer(tx: Tx, consumer: str) -> None:
    """Wait until no other transaction takes rows of the consumer; none does until the end of this one. For what changes
    many rows of its queue.
    """
    await tx.run(SQL.wait_for_consumer, consumer)


async def set_interests(tx: Tx, consumer: str, tenant: str, types: Iterable[str]) -> None:
    """Replace the types of changes in a tenant that the consumer wants to know of."""
    await tx.run(SQL.set_interests, consumer, tenant, sorted(types))


async def silence(tx: Tx) -> None:
    """Let the rest of the transaction add nothing to the outbox: for an import, whose changes are no news."""
    await tx.run(SQL.silence)


async def oldest(db: Database, consumer: str) -> int | None:
    """The time of the oldest change that the consumer has not taken, in milliseconds; None if it has taken all."""
    at: int | None = await db.value(SQL.oldest, consumer)
    return at
