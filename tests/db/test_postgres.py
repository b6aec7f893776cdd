"""The Postgres client: whatever is cancelled or cut, no caller gets the answer of another one."""

import random
import re
import socket
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import trio
from msgspec.structs import replace

from chatd.core.config import Config, PostgresSection
from chatd.core.errors import Refused
from chatd.db.postgres import Postgres, UniqueViolation, open_postgres
from tests.support import PATIENCE, eventually, poll_until, running

SECTION = PostgresSection(pool=4)
OTHERS = """
select count(*) from pg_stat_activity
where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
"""


async def test_many_cancellations_mix_up_no_answers(dsn: str) -> None:
    """Trap 13."""
    rng = random.Random(1)
    answered = 0

    async def ask(db: Postgres, number: int) -> None:
        nonlocal answered
        with trio.move_on_after(rng.random() * 0.05):
            sql = "select $1::int, pg_sleep($2)" if number % 3 else "select $1::int, $2::float"
            assert await db.value(sql, number, rng.random() * 0.01) == number
            answered += 1

    async with open_postgres(dsn, SECTION) as db:
        async with trio.open_nursery() as nursery:
            for number in range(800):
                nursery.start_soon(ask, db, number)
                await trio.sleep(rng.random() * 0.002)
        assert 100 < answered < 800
        assert await db.value("select 7") == 7
        assert db.statistics()["size"] <= SECTION.pool


async def test_cancelled_transaction_is_rolled_back(dsn: str) -> None:
    async def work(connection) -> None:  # type: ignore[no-untyped-def]
        async with connection.transaction():
            await connection.execute("create table half (x int)")
            await connection.execute("select pg_sleep(10)")

    async with open_postgres(dsn, replace(SECTION, pool=1)) as db:
        with trio.move_on_after(0.3):
            await db.run_on_connection(work)
        assert await db.value("select to_regclass('half')") is None
        assert await db.value("select pg_current_xact_id_if_assigned()") is None


async def test_a_slow_statement_is_a_timeout_and_the_next_one_works(dsn: str) -> None:
    async with open_postgres(dsn, replace(SECTION, pool=1, timeout=0.3)) as db:
        with pytest.raises(Refused) as caught:
            await db.run("select pg_sleep(5)")
        assert caught.value.code == "timeout"
        assert await db.value("select 1") == 1


async def test_waiting_for_a_connection_has_a_timeout(dsn: str) -> None:
    one = replace(SECTION, pool=1, timeout=PATIENCE)
    async with open_postgres(dsn, one) as other, open_postgres(dsn, one) as db:
        await other.value("select pg_advisory_lock(1)")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(db.run, "select pg_advisory_lock(1)")
            waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            await poll_until(lambda: other.value(waiting))
            for _ in range(2):
                with pytest.raises(Refused) as caught:
                    await db.run_on_connection(lambda connection: connection.execute("select 1"), 0.2)
                assert caught.value.code == "timeout"
            await other.value("select pg_advisory_unlock(1)")
        assert await db.value("select 1") == 1


async def test_driver_errors_are_translated(dsn: str) -> None:
    async with open_postgres(dsn, SECTION) as db:
        await db.run("create table one (x int primary key)")
        await db.run("insert into one values (1)")
        with pytest.raises(UniqueViolation):
            await db.run("insert into one values (1)")
    async with open_postgres("postgresql://u@127.0.0.1:1/x", SECTION) as db:
        with pytest.raises(Refused) as caught:
            await db.value("select 1")
        assert caught.value.code == "unavailable"


async def test_unresponsive_connection_is_closed(dsn: str, tmp_path: Path) -> None:
    """A failover without a reset: nothing comes back any more, on the connections that were open."""
    folder = re.search(r"host=([^&]+)", dsn)
    assert folder is not None
    (tmp_path / "pg").mkdir()

    async def carry(near: trio.SocketStream) -> None:
        async with (
            await trio.open_unix_socket(f"{unquote(folder[1])}/.s.PGSQL.5432") as far,
            trio.open_nursery() as nursery,
        ):
            with trio.CancelScope() as scope:
                scopes.append(scope)
                nursery.start_soon(copy, near, far)
                await copy(far, near)
            await trio.sleep_forever()

    async def copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        async for part in source:
            await sink.send_all(part)

    scopes: list[trio.CancelScope] = []
    listener = trio.socket.socket(socket.AF_UNIX)
    await listener.bind(str(tmp_path / "pg" / ".s.PGSQL.5432"))
    listener.listen()
    section = replace(SECTION, pool=1, timeout=0.5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, carry, [trio.SocketListener(listener)])
        async with open_postgres(dsn.replace(folder[1], str(tmp_path / "pg")), section) as db:
            assert await db.value("select 1") == 1
            for scope in scopes:
                scope.cancel()
            with pytest.raises(Refused) as caught:
                await db.value("select 2")
            assert caught.value.code == "timeout"
            assert await db.value("select 3") == 3
        nursery.cancel_scope.cancel()


async def test_array_types_of_postgres_are_read_once_and_those_of_a_database_in_each_connection(
    dsn: str, empty_dsn: str
) -> None:
    queries: list[str] = []

    async def read(connection: Any) -> list[Any]:
        queries.clear()
        with connection.query_logger(lambda record: queries.append(record.query)):
            return [
                await connection.fetchval("select $1::int2[]", [1, None]),
                await connection.fetchval("select '{a}'::own[]"),
            ]

    for address in (dsn, empty_dsn):
        async with open_postgres(address, SECTION) as db:
            await db.run("create table shift (x int)" if address == dsn else "select 1")
            await db.run("create type own as enum ('a')")
            await db.value("select $1::int2[]", [1])
            for number in range(2):
                connection = db.connection(f"test {number}")
                assert await connection.run_on_connection(read, 5) == [[1, None], ["a"]]
                connection.close()
                # asyncio calls the logger, in its next turns.
                await eventually(lambda: any("'{a}'::own[]" in query for query in queries))
                assert "typeinfo_tree" not in queries[0]
                assert len([query for query in queries if "typeinfo_tree" in query]) == 1


async def test_no_connection_outlives_the_pool(store: Postgres, dsn: str) -> None:
    async with open_postgres(dsn, SECTION) as db:
        dedicated = db.connection("dedicated")
        assert [await one.value("select 1") for one in (db, dedicated)] == [1, 1]
        assert await others(store) == 2
    await poll_until(partial(others, store), lambda count: count == 0)


async def test_no_connection_outlives_the_daemon(config: Config, store: Postgres) -> None:
    async with running(config) as daemon, daemon.pair() as (alice, _, conversation):
        await alice.send(conversation)
        assert await others(store) > 2
    await poll_until(partial(others, store), lambda count: count == 0)


async def others(db: Postgres) -> int:
    """Other connections to the same database."""
    return int(await db.value(OTHERS))


async def backend_of(db: Postgres) -> int:
    return int(await db.value("select pg_backend_pid()"))


async def test_connection_that_ended_while_idle_is_replaced(dsn: str) -> None:
    async with open_postgres(dsn, replace(SECTION, pool=1)) as db, open_postgres(dsn, SECTION) as other:
        for _ in range(3):
            before = await backend_of(db)
            assert await other.value("select pg_terminate_backend($1)", before)
            while await other.value("select exists (select 1 from pg_stat_activity where pid = $1)", before):
                await trio.sleep(0.01)
            assert await backend_of(db) != before


async def test_connection_that_ends_within_a_statement_is_unavailable(dsn: str) -> None:
    async with open_postgres(dsn, replace(SECTION, pool=1)) as db, open_postgres(dsn, SECTION) as other:
        before, began = await backend_of(db), trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(terminate_when_busy, other, before)
            with pytest.raises(Refused) as caught:
                await db.run("select pg_sleep(30)")
        assert caught.value.code == "unavailable"
        assert trio.current_time() - began < SECTION.timeout
        assert await backend_of(db) != before


async def terminate_when_busy(db: Postgres, backend: int) -> None:
    while not await db.value("select state = 'active' from pg_stat_activity where pid = $1", backend):
        await trio.sleep(0.01)
    assert await db.value("select pg_terminate_backend($1)", backend)


async def test_connection_that_is_closed_within_a_statement_is_unavailable(dsn: str) -> None:
    async with open_postgres(dsn, SECTION) as db:
        connection = db.connection("one")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def close() -> None:
                await trio.sleep(0.3)
                connection.close()

            with trio.fail_after(PATIENCE), pytest.raises(Refused) as caught:
                await connection.run("select pg_sleep(30)")
        assert caught.value.code == "unavailable"
        assert await connection.value("select 7") == 7
        connection.close()


async def test_large_arguments_and_results(dsn: str) -> None:
    """More than the socket takes, and more than one read returns."""
    text = "x" * 20_000_000
    async with open_postgres(dsn, replace(SECTION, pool=1, timeout=30)) as db:
        assert await db.value("select $1::text", text) == text
        assert len(await db.all("select n, repeat('x', 100) from generate_series(1, 50000) n")) == 50_000


async def test_statement_after_a_cancelled_one_gets_its_own_answer(dsn: str) -> None:
    """The first one, and those after it, which are not run by asyncio any more."""
    async with open_postgres(dsn, replace(SECTION, pool=1)) as db:
        before = await backend_of(db)
        for number in range(20):
            with trio.move_on_after(0.02):
                await db.value("select 1 from pg_sleep(10)")
            assert [await db.value("select $1::int", number + after) for after in range(3)] == [
                number,
                number + 1,
                number + 2,
            ]
        assert await backend_of(db) == before
