"""The schema and its history."""

import pytest
import trio

from chatd.core.config import PostgresSection
from chatd.db.migrations import Migration, SchemaError, available, migrate, pending
from chatd.db.postgres import open_postgres


async def test_each_is_applied_once_even_by_several_nodes(empty_dsn: str) -> None:
    applied: list[Migration] = []

    async def start() -> None:
        async with open_postgres(empty_dsn, PostgresSection()) as db:
            applied.extend(await migrate(db))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(start)
    assert [migration.version for migration in applied] == [migration.version for migration in available()]
    async with open_postgres(empty_dsn, PostgresSection()) as db:
        assert await pending(db) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("update schema_migrations set checksum = 'x' where version = 2", "was changed after it had been applied"),
        ("insert into schema_migrations values (9999, 'future', 'x')", "Upgrade chatd"),
    ],
)
async def test_a_database_with_another_history_is_refused(empty_dsn: str, change: str, said: str) -> None:
    async with open_postgres(empty_dsn, PostgresSection()) as db:
        await migrate(db)
        await db.run(change)
        with pytest.raises(SchemaError, match=said):
            await migrate(db)
