"""Postgres: asyncpg in Trio, as a pool and as dedicated connections.

The calling task runs the coroutines of asyncpg, see `asyncpg_driver.py`; asyncio opens the connections. Exceptions of
asyncpg are translated: to a `Refused` for clients, or to a violation that handlers expect; others are bugs and are
raised unchanged. While the server is unreachable, calls are refused `unavailable`.

jsonb is converted to and from Python values. uuid parameters are text; statements select `::text`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from types import SimpleNamespace
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar
from weakref import WeakSet

import asyncpg
import trio
import trio_asyncio

from chatd.core import setting_rules
from chatd.core.config import PostgresSection
from chatd.core.errors import OperatorError, Refused
from chatd.core.histogram import Histogram
from chatd.db.asyncpg_driver import Driver
from chatd.db.deadline import deadline
from chatd.db.fair_share import ACCOUNT, FairShare
from chatd.db.jsonb import from_jsonb, to_jsonb
from chatd.db.postgres_faults import (
    CONNECTION_ERRORS,
    TOO_SLOW,
    Faults,
    ForeignKeyViolation,
    NoSchema,
    UniqueViolation,
    translated,
)

__all__ = [
    "BadAddress",
    "Connection",
    "ForeignKeyViolation",
    "Listener",
    "NoSchema",
    "Postgres",
    "Row",
    "Tx",
    "UniqueViolation",
    "open_postgres",
]

# The time for a rollback after a timeout.
ROLLBACK_S = 0.2
READ_WRITE, SNAPSHOT = {"isolation": "read_committed"}, {"isolation": "repeatable_read", "readonly": True}
# Types below this oid come with Postgres: they have the same oid on every server.
MIN_ASSIGNED_OID = 10_000
# For asyncpg: no unnamed statement has replaced the one that it prepared.
NO_STATEMENT = SimpleNamespace(name="none")
T = TypeVar("T")
P = ParamSpec("P")
Row = asyncpg.Record
Work = Callable[[Any], Awaitable[T]]


class BadAddress(OperatorError):
    """The dsn cannot be parsed. The text omits the wrong part, which may belong to the password."""


class Database:
    """Statements and transactions on a connection: one of a pool (`Postgres`), or a dedicated one (`Connection`).

    All methods raise as `run_on_connection` does.
    """

    async def run_on_connection(self, work: Work[T], timeout: float | None = None) -> T:
        """Run `work(connection)`, which awaits nothing but the connection: for what the other methods cannot do.

        `timeout` in seconds.

        Raises Refused (`unavailable`, `timeout`), UniqueViolation, ForeignKeyViolation.
        """
        raise NotImplementedError

    async def one(self, sql: str, *args: Any) -> Row | None:
        """The first row, or None."""
        return await self.run_on_connection(lambda connection: connection.fetchrow(sql, *args))

    async def all(self, sql: str, *args: Any) -> list[Row]:
        """All rows."""
        return await self.run_on_connection(lambda connection: connection.fetch(sql, *args))

    async def value(self, sql: str, *args: Any) -> Any:
        """The first column of the first row, or None."""
        return await self.run_on_connection(lambda connection: connection.fetchval(sql, *args))

    async def run(self, sql: str, *args: Any) -> None:
        """Run a statement without a result."""
        await self.run_on_connection(lambda connection: connection.execute(sql, *args))

    async def in_transaction(
        self, work: Callable[Concatenate["Tx", P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(tx, *args)` in one transaction; it awaits nothing but `tx`. Raises what `work` raises, too."""
        return await self.run_on_connection(
            lambda connection: in_transaction(connection, READ_WRITE, work, *args, **kwargs)
        )

    async def in_snapshot(
        self, work: Callable[Concatenate["Tx", P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """The same, and all its statements read one snapshot of the database."""
        return await self.run_on_connection(
            lambda connection: in_transaction(connection, SNAPSHOT, work, *args, **kwargs)
        )


class Postgres(Database):
    """A pool of connections, each lent to one call at a time. Opened by `open_postgres`.

    It replaces asyncpg's pool, which takes ten steps of asyncio to lend a connection; each costs a step of Trio.
    """

    def __init__(self, dsn: str, settings: PostgresSection, node: str = "") -> None:
        self._dsn = dsn
        self._settings = settings
        self._node = node
        self._free = trio.Semaphore(settings.pool)
        self._idle: list[Connection] = []
        # Those of the pool, and dedicated ones that are in use.
        self._connections = WeakSet[Connection]()
        self._shares = FairShare(settings)
        self.faults = Faults()
        # How long statements and transactions waited for a connection of the pool, and used it.
        self.wait_seconds, self.use_seconds = Histogram(), Histogram()

    @property
    def timeout_s(self) -> float:
        """The timeout of a statement."""
        return self._settings.timeout

    async def run_on_connection(self, work: Work[T], timeout: float | None = None) -> T:
        """Like `Database.run_on_connection`. The deadline of the command applies as well, see `chatd/db/deadline.py`.

        Raises also Refused (`rate_limited`) if other statements of the user use up that time.
        """
        timeout = self._settings.timeout if timeout is None else timeout
        now = trio.current_time()
        ends_at = min(now + timeout, deadline())
        if ends_at <= now:
            raise Refused("timeout", TOO_SLOW)
        account, began, asked_at = ACCOUNT.get(), None, perf_counter()
        with trio.move_on_at(ends_at) as wait_scope:
            if account is None:
                return await self._lend(work, timeout, wait_scope, asked_at)
            await self._shares.acquire(account)
            began = perf_counter()
            try:
                return await self._lend(work, timeout, wait_scope, asked_at)
            finally:
                account.used_s += perf_counter() - began
                self._shares.release(account)
        if account is not None and began is None:
            raise self._shares.refusal(account)
        raise Refused("timeout", TOO_SLOW)

    async def _lend(self, work: Work[T], timeout: float, wait_scope: trio.CancelScope, asked_at: float) -> T:
        await acquire(self._free)
        try:
            connection = self._idle.pop() if self._idle else self.connection("pool")
            began = perf_counter()
            self.wait_seconds.observe(began - asked_at)
            try:
                return await connection.run_on_connection(work, timeout)
            finally:
                self.use_seconds.observe(perf_counter() - began)
                if wait_scope.cancel_called:
                    connection.close()
                    # A timeout that was mostly spent waiting for a connection is not a fault of Postgres.
                    if perf_counter() - began > timeout / 2:
                        self.faults.note_timeout(timeout)
                self._idle.append(connection)
        finally:
            self._free.release()

    @property
    def dsn(self) -> str:
        """The connection string, which may contain a password: for processes of this daemon, never for a log."""
        return self._dsn

    def connection(
        self, name: str, prelude: str = "", timeout_s: float | None = None, listener: "Listener | None" = None
    ) -> "Connection":
        """A dedicated connection, which runs the statements of the prelude first. `timeout_s`: of its statements."""
        timeout_s = self._settings.timeout if timeout_s is None else timeout_s
        application = f"{name} {self._node}".rstrip()
        connection = Connection(self._dsn, self._settings, self.faults, application, prelude, timeout_s, listener)
        self._connections.add(connection)
        return connection

    def close(self) -> None:
        """Terminate all connections, dedicated ones too."""
        for connection in self._connections:
            connection.close()

    def statistics(self) -> dict[str, int]:
        lent = self._settings.pool - self._free.value
        return {"size": len(self._idle) + lent, "idle": len(self._idle)}


async def acquire(semaphore: trio.Semaphore) -> None:
    """Take a slot. If one is free, this is no checkpoint: the statement that follows is one."""
    try:
        semaphore.acquire_nowait()
    except trio.WouldBlock:
        await semaphore.acquire()


class Tx:
    """A transaction, or one connection, with the methods of `Database`. For one statement at a time."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def one(self, sql: str, *args: Any) -> Row | None:
        row: Row | None = await self._connection.fetchrow(sql, *args)
        return row

    async def all(self, sql: str, *args: Any) -> list[Row]:
        rows: list[Row] = await self._connection.fetch(sql, *args)
        return rows

    async def value(self, sql: str, *args: Any) -> Any:
        return await self._connection.fetchval(sql, *args)

    async def run(self, sql: str, *args: Any) -> None:
        await self._connection.execute(sql, *args)


async def in_transaction(
    connection: Any,
    options: dict[str, Any],
    work: Callable[Concatenate[Tx, P], Awaitable[T]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    async with connection.transaction(**options):
        return await work(Tx(connection), *args, **kwargs)


@dataclass(frozen=True, slots=True)
class Listener:
    """Receives the notifications of a channel (LISTEN). `on_open` is called when the connection was opened: earlier
    notifications are lost. Both functions are called without awaiting.
    """

    channel: str
    on_payload: Callable[[str], None]
    on_open: Callable[[], None]


class Connection(Database):
    """One connection, opened when it is used, and again after it broke. For one task at a time."""

    def __init__(
        self,
        dsn: str,
        settings: PostgresSection,
        faults: Faults,
        name: str,
        prelude: str,
        timeout_s: float,
        listener: Listener | None = None,
    ) -> None:
        self._dsn = dsn
        self._settings = settings
        self._faults = faults
        self._name = name
        self._prelude = prelude
        self._timeout_s = timeout_s
        self._listener = listener
        self._connection: Session | None = None
        self._driver: Driver | None = None

    async def run_on_connection(self, work: Work[T], timeout: float | None = None) -> T:
        timeout = self._timeout_s if timeout is None else timeout
        with trio.move_on_after(timeout):
            result = await self._run(work, timeout + ROLLBACK_S)
            if self._faults.open:
                self._faults.succeeded()
            return result
        self.close()
        self._faults.note_timeout(timeout)
        raise Refused("timeout", TOO_SLOW)

    async def _run(self, work: Work[T], at_most_s: float) -> T:
        """Translates exceptions. The cause of a `Refused` is for operators only."""
        try:
            return await self._run_opened(work, at_most_s)
        except Exception as error:
            self._faults.note(error)
            ours = translated(error)
            try:
                if ours is error:
                    raise
                raise ours from error
            finally:
                # The error refers to this frame.
                del ours

    async def _run_opened(self, work: Work[T], at_most_s: float) -> T:
        connection, driver = await self._opened()
        try:
            return await driver.run(started(work, connection), at_most_s)
        except CONNECTION_ERRORS:
            driver.terminate()
            raise
        finally:
            # Cancelled inside a transaction: the next task must not continue it.
            if not connection.is_closed() and connection.may_be_in_transaction():
                driver.terminate()

    async def _opened(self) -> "tuple[Session, Driver]":
        if self._driver is not None and not self._driver.is_open():
            self.close()
        if self._connection is None or self._driver is None:
            self._connection = await trio_asyncio.aio_as_trio(self._open)()
            self._driver = Driver(self._connection, self._connection.transport)
        return self._connection, self._driver

    async def _open(self) -> "Session":
        """Open the connection. Runs in asyncio."""
        connection = await connect(self._dsn, self._settings, self._name)
        try:
            if self._prelude:
                await connection.execute(self._prelude)
            if self._listener is not None:
                await listen(connection, self._listener)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def read_notifications(self) -> None:
        """Pass on the notifications that arrive while no statement runs, until the connection ends.

        It has to be cancelled before the next statement.
        """
        if self._driver is not None:
            await self._driver.read_between_statements()

    def close(self) -> None:
        """Terminate the connection, even during a statement."""
        if self._driver is not None:
            self._driver.terminate()
        self._connection = self._driver = None


async def started(work: Work[T], connection: Any) -> T:
    """A coroutine of the work, which may be any awaitable."""
    return await work(connection)


async def listen(connection: Any, listener: Listener) -> None:
    def receive(connection: object, pid: int, channel: str, payload: str) -> None:
        listener.on_payload(payload)

    await connection.add_listener(listener.channel, receive)
    listener.on_open()


def server_settings(settings: PostgresSection, name: str) -> dict[str, str]:
    """The settings of every session. Times in milliseconds.

    `application_name` ends with the id of the node: while it has sessions, other nodes know that it can still commit
    (`cluster/peer_watch.py`). Keepalives end the sessions of a lost machine, and release their locks, within half a
    minute.

    A statement keeps one plan for all values, and conversations differ in size by a factor of a million. Without bitmap
    scans Postgres reads an index in order and stops at the limit, instead of reading and sorting all of a large
    conversation. Full-text search needs bitmap scans and enables them for itself.
    """
    limit = str(int(settings.timeout * 1000))
    return {
        "application_name": f"chatd {name}",
        "jit": "off",
        "enable_bitmapscan": "off",
        "random_page_cost": "1.1",
        "statement_timeout": limit,
        "lock_timeout": limit,
        "idle_in_transaction_session_timeout": limit,
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "4",
    }


class Session(asyncpg.Connection):
    """A connection of asyncpg with its transport.

    It reads the description of an array type of Postgres once: asyncpg reads it in each connection, 5 ms of Postgres
    each.
    """

    _types: ClassVar[dict[int, Row]] = {}

    def __init__(self, protocol: Any, transport: asyncio.Transport, *args: Any) -> None:
        super().__init__(protocol, transport, *args)
        self.transport = transport

    def may_be_in_transaction(self) -> bool:
        """Whether a transaction is open, or its BEGIN was cancelled before the answer: the server may have carried it
        out. For that asyncpg has a private attribute only; it would send SAVEPOINT in place of the next BEGIN.
        """
        return self.is_in_transaction() or self._top_xact is not None  # type: ignore[attr-defined]

    async def _introspect_types(self, oids: Collection[int], timeout: float | None) -> tuple[list[Row], Any]:
        if all(oid in self._types for oid in oids):
            return [self._types[oid] for oid in oids], NO_STATEMENT
        rows, statement = await super()._introspect_types(oids, timeout)  # type: ignore[misc]
        self._types.update((row["oid"], row) for row in rows if row["oid"] < MIN_ASSIGNED_OID)
        return rows, statement


async def connect(dsn: str, settings: PostgresSection, name: str) -> Session:
    try:
        setting_rules.postgres_address(dsn)
        connection = await asyncpg.connect(
            dsn, connection_class=Session, server_settings=server_settings(settings, name), timeout=settings.timeout
        )
    except ValueError:
        form = "postgresql://USER:PASSWORD@HOST:PORT/NAME"
        raise BadAddress(
            f"postgres.dsn is not valid. Expected {form}, with / @ : in a password as %2F %40 %3A"
        ) from None
    await prepare(connection)
    return connection


async def prepare(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=to_jsonb,
        decoder=from_jsonb,
    )


@asynccontextmanager
async def open_postgres(dsn: str, settings: PostgresSection, node: str = "") -> AsyncIterator[Postgres]:
    """The pool. Connections open when they are used. `node`: the id of the node, if it serves."""
    db = Postgres(dsn, settings, node)
    try:
        yield db
    finally:
        db.close()
