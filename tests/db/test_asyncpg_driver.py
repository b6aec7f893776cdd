"""Statements that are cancelled or cut at any step: the next one gets its own answer, nothing is left open, and no task
waits longer than the deadline. Over a Unix socket, over TCP, and with TLS.
"""

import itertools
import logging
import os
import random
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import trio
from msgspec.structs import replace

from chatd.core.config import PostgresSection
from chatd.core.errors import Refused
from chatd.db.asyncpg_driver import CANCEL_TIMEOUT_S, has_error
from chatd.db.driver_loop import open_driver_loop
from chatd.db.embedded.account import account_for
from chatd.db.postgres import Listener, Postgres, Tx, open_postgres
from tests.conftest import QUICK, Servers, database, memory
from tests.db.system_postgres import SystemPostgres, programs
from tests.faults.proxy import BadLine, line_to_postgres, open_line
from tests.support import PATIENCE, poll_until

SECTION = PostgresSection(pool=1, timeout=2)
NODE = "attacked"
SESSIONS = "select count(*) from pg_stat_activity where application_name like '%attacked'"
OPEN_TRANSACTIONS = f"{SESSIONS} and state like '%in transaction%'"
CERTIFICATE = ["req", "-new", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
NUMBERS = itertools.count(1)
ROUTES = ["unix", "tcp", "tls"]
# Of an operation on an open connection, and of one that opens it.
STEPS, OPENING_STEPS = range(1, 24), range(1, 40, 2)


class Route:
    """A way to Postgres. `line`: the proxy on it, if there is one. `direct`: an address without it."""

    def __init__(self, dsn: str, direct: str, line: BadLine | None = None) -> None:
        self.dsn, self.direct, self.line = dsn, direct, line

    def heal(self) -> None:
        if self.line is not None:
            self.line.heal()
            self.line.cut()


@pytest.fixture
async def route(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[Route]:
    async with open_driver_loop():
        if request.param == "tls":
            async with tls_server() as dsn, open_line(partial(trio.open_tcp_stream, *host_of(dsn))) as line:
                yield Route(dsn.replace(f":{host_of(dsn)[1]}", f":{line.port}"), dsn, line)
            return
        async with database(servers, "chatd") as dsn:
            if request.param == "unix":
                yield Route(dsn, dsn)
                return
            async with line_to_postgres(dsn) as (line, address):
                yield Route(address, dsn, line)


@pytest.fixture
def no_errors(caplog: pytest.LogCaptureFixture) -> Any:
    yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def host_of(dsn: str) -> tuple[str, int]:
    parts = urlsplit(dsn)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


@asynccontextmanager
async def tls_server() -> AsyncIterator[str]:
    """A server with a self-made certificate. Its address requires TLS."""
    with tempfile.TemporaryDirectory(prefix="chatd-tests-", dir=memory()) as folder:
        Path(folder).chmod(0o711)
        certificate, key, data = Path(folder, "tls.crt"), Path(folder, "tls.key"), Path(folder, "postgres")
        command = ["openssl", *CERTIFICATE, "-keyout", str(key), "-out", str(certificate)]
        await trio.run_process(command, capture_stdout=True, capture_stderr=True)
        account = account_for(data)
        if account is not None:
            os.chown(key, account.uid, account.gid)
        key.chmod(0o600)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        settings = {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key), "port": port}
        settings |= {"listen_addresses": "127.0.0.1"}
        server = SystemPostgres(data, programs(), QUICK | settings, ["--locale=C.UTF-8"])
        await server.start()
        try:
            yield f"postgresql://chatd@127.0.0.1:{port}/chatd?sslmode=require"
        finally:
            with trio.CancelScope(shield=True):
                await server.stop()


class CancelAfter(trio.abc.Instrument):
    """Cancels after a number of steps of all tasks."""

    def __init__(self, steps: int, scope: trio.CancelScope) -> None:
        self._left, self._scope = steps, scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self._scope.cancel()


async def first_use(db: Postgres) -> None:
    number = next(NUMBERS)
    assert await db.value(f"select {number} + $1::int", 1) == number + 1


async def type_of_the_database(db: Postgres) -> None:
    assert await db.value(f"select $1::own[], {next(NUMBERS)}", ["a"]) == ["a"]


async def transaction(db: Postgres) -> None:
    async def work(tx: Tx) -> int:
        number = next(NUMBERS)
        await tx.run("insert into kept values ($1)", number)
        assert await tx.value("select x from kept where x = $1", number) == number
        return number

    assert await db.in_transaction(work) > 0


async def failing_transaction(db: Postgres) -> None:
    async def work(tx: Tx) -> None:
        await tx.run("insert into kept values (0)")
        await tx.value("select 1 / 0")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await db.in_transaction(work)


async def cursor(db: Postgres) -> None:
    async def work(connection: Any) -> list[int]:
        async with connection.transaction():
            return [row[0] async for row in connection.cursor("select generate_series(1, 90)", prefetch=20)]

    assert await db.run_on_connection(work) == list(range(1, 91))


async def slow(db: Postgres) -> None:
    assert await db.value("select 9 from pg_sleep(0.005)") == 9


async def large(db: Postgres) -> None:
    assert await db.value("select $1::text", "y" * 1_000_000) == "y" * 1_000_000


OPERATIONS: tuple[Callable[[Postgres], Awaitable[None]], ...] = (
    first_use,
    type_of_the_database,
    transaction,
    failing_transaction,
    cursor,
    slow,
    large,
)


async def prepare(other: Postgres) -> None:
    await other.run("create type own as enum ('a'); create table kept (x int)")


async def check_usable(db: Postgres, other: Postgres) -> None:
    for _ in range(2):
        number = next(NUMBERS)
        assert await db.value("select $1::int", number) == number
    assert await other.value(OPEN_TRANSACTIONS) == 0


@pytest.mark.parametrize("route", ROUTES, indirect=True)
async def test_operation_may_be_cancelled_at_each_step(route: Route, no_errors: None) -> None:
    async with open_postgres(route.direct, PostgresSection(pool=1)) as other:
        await prepare(other)
        async with open_postgres(route.dsn, SECTION, NODE) as db:
            for operation in OPERATIONS:
                for steps in STEPS:
                    await cancelled_after(steps, db, operation)
                    await check_usable(db, other)
                assert db.statistics() == {"size": 1, "idle": 1}
        await poll_until(partial(other.value, SESSIONS), lambda count: count == 0)


@pytest.mark.parametrize("route", ROUTES, indirect=True)
async def test_opening_may_be_cancelled_at_each_step(route: Route, no_errors: None) -> None:
    async with open_postgres(route.direct, PostgresSection(pool=1)) as other:
        await prepare(other)
        for steps in OPENING_STEPS:
            async with open_postgres(route.dsn, SECTION, NODE) as db:
                await cancelled_after(steps, db, transaction)
                await check_usable(db, other)
        await poll_until(partial(other.value, SESSIONS), lambda count: count == 0)


async def cancelled_after(steps: int, db: Postgres, operation: Callable[[Postgres], Awaitable[None]]) -> None:
    began = trio.current_time()
    with trio.CancelScope() as scope:
        instrument = CancelAfter(steps, scope)
        trio.lowlevel.add_instrument(instrument)
        try:
            await operation(db)
        finally:
            trio.lowlevel.remove_instrument(instrument)
    assert trio.current_time() - began < SECTION.timeout


@pytest.mark.parametrize("route", ROUTES, indirect=True)
async def test_concurrent_tasks_are_cancelled_while_connections_break(route: Route, no_errors: None) -> None:
    rng, section = random.Random(1), replace(SECTION, pool=4, timeout=1)

    async def client() -> None:
        while trio.current_time() < ends_at:
            began = trio.current_time()
            try:
                with trio.move_on_after(rng.choice([0.001, 0.01, 0.1, 3])):
                    await rng.choice(OPERATIONS)(db)
            except Refused as refused:
                assert refused.code in ("timeout", "unavailable")
            assert trio.current_time() - began < 2 * section.timeout

    async with open_postgres(route.direct, PostgresSection(pool=1)) as other:
        await prepare(other)
        async with open_postgres(route.dsn, section, NODE) as db:
            ends_at = trio.current_time() + 3
            async with trio.open_nursery() as nursery:
                for _ in range(40):
                    nursery.start_soon(client)
                if route.line is not None:
                    nursery.start_soon(break_often, route.line, rng, ends_at)
            route.heal()
            await poll_until(partial(other.value, OPEN_TRANSACTIONS), lambda count: count == 0)
            await check_usable(db, other)
            assert db.statistics()["size"] <= section.pool
        await poll_until(partial(other.value, SESSIONS), lambda count: count == 0)


@pytest.mark.parametrize("route", ["tcp", "tls"], indirect=True)
async def test_statement_after_a_cancelled_transaction_is_committed(route: Route, no_errors: None) -> None:
    """The answer to BEGIN, COMMIT or a statement is on its way when the task is cancelled."""
    assert route.line is not None
    async with open_postgres(route.direct, PostgresSection(pool=1)) as other:
        await prepare(other)
        async with open_postgres(route.dsn, replace(SECTION, timeout=10), NODE) as db:
            for place in range(20):
                await first_use(db)
                route.line.up.latency = 0.02
                with trio.move_on_after(0.005 + 0.005 * place):
                    await transaction(db)
                route.line.up.latency = 0
                number = next(NUMBERS)
                await db.run("insert into kept values ($1)", number)
                assert await other.value("select count(*) from kept where x = $1", number) == 1
                await transaction(db)


async def break_often(line: BadLine, rng: random.Random, ends_at: float) -> None:
    while trio.current_time() < ends_at:
        await trio.sleep(rng.random() / 2)
        match rng.choice(["cut", "reset", "slow", "lost"]):
            case "cut":
                line.cut()
            case "reset":
                line.reset_peer()
            case "slow":
                line.up.bandwidth = 20_000
            case "lost":
                line.down.timeout = True
        await trio.sleep(rng.random() / 5)
        line.heal()
        line.cut()


@pytest.mark.parametrize("route", ["tcp", "tls"], indirect=True)
@pytest.mark.parametrize("end", ["close", "cut", "reset_peer", "timeout", "cancel"])
async def test_connection_may_end_while_a_large_argument_is_sent(route: Route, end: str, no_errors: None) -> None:
    """More than the socket takes: asyncio sends the rest."""
    assert route.line is not None
    async with open_postgres(route.dsn, replace(SECTION, timeout=0.6), NODE) as db:
        assert await db.value("select 1") == 1
        route.line.up.bandwidth = 1000
        ends = {"close": db.close, "cut": route.line.cut, "reset_peer": route.line.reset_peer}
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def send() -> None:
                with pytest.raises(Refused):
                    await db.value("select $1::text", "x" * 20_000_000)

            await trio.sleep(0.3)
            if end == "cancel":
                nursery.cancel_scope.cancel()
            elif end != "timeout":
                ends[end]()
        route.heal()
        if end == "cancel":
            # The connection has ended while it waited for the end of the cancelled statement.
            with pytest.raises(Refused):
                await db.value("select 2")
        assert await db.value("select 3") == 3


@pytest.mark.parametrize("route", ["tcp", "tls"], indirect=True)
async def test_rollback_after_a_cancellation_does_not_wait_for_a_long_timeout(route: Route, no_errors: None) -> None:
    """The indexer has a minute for a statement, and has to end in seconds."""

    async def work(tx: Tx) -> None:
        assert route.line is not None
        await tx.value("select 1")
        route.line.down.timeout = True
        await tx.value("select 2")

    async with open_postgres(route.dsn, replace(SECTION, timeout=60), NODE) as db:
        began = trio.current_time()
        with trio.move_on_after(0.2), pytest.raises(Refused):
            await db.in_transaction(work)
        assert trio.current_time() - began < 2 * CANCEL_TIMEOUT_S
        route.heal()
        assert await db.value("select 3") == 3


@pytest.mark.parametrize("route", ROUTES, indirect=True)
@pytest.mark.parametrize("after_a_cancelled_statement", [False, True])
async def test_reading_notifications_ends_with_the_connection(
    route: Route, after_a_cancelled_statement: bool, no_errors: None
) -> None:
    payloads: list[str] = []
    async with open_postgres(route.direct, PostgresSection(pool=1)) as other, open_postgres(route.dsn, SECTION) as db:
        listening = db.connection("listening", listener=Listener("news", payloads.append, lambda: None))
        backend = await listening.value("select pg_backend_pid()")
        if after_a_cancelled_statement:
            with trio.move_on_after(0.05):
                await listening.run("select pg_sleep(1)")
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listening.read_notifications)
                await other.all("select pg_notify('news', n::text) from generate_series(1, 50) n")
                while len(payloads) < 50:
                    await trio.sleep(0.01)
                await other.run("select pg_terminate_backend($1)", backend)
        assert await listening.value("select 7") == 7


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (4 + len(body)).to_bytes(4, "big") + body


@pytest.mark.parametrize("before", [b"", message(b"N", b"Enotice"), message(b"S", b"E\0E\0") + message(b"A", b"")])
def test_an_error_between_statements_ends_the_connection(before: bytes) -> None:
    assert not has_error(before)
    farewell = message(b"E", b"SFATAL\0C57P01\0\0")
    assert has_error(before + farewell)
    assert has_error(before + farewell[:1])
