"""The door to Postgres: asyncpg behind trio-asyncio, a pool for everybody and connections of one's own for the journal.

Every call crosses into asyncio once, with all it has to do there, because the crossing costs more than a small query. Foreign
exceptions end here: what a client may see becomes a `Refused`, what a handler may expect one of the violations below,
anything else is a bug and passes. A server that goes away is answered `unavailable` until it is back.

jsonb goes in and comes out as Python values; uuid goes in as text and comes out as text when the statement says `::text`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import asyncpg
import msgspec
import trio_asyncio

from chatd.config import PostgresSection
from chatd.errors import Refused

T = TypeVar("T")
Row = asyncpg.Record

AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What asyncpg says when its connection is shut down in the middle of its own housekeeping.
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)
# For the journal: one plan for ever, through indexes, whatever the tables looked like when it was made.
NESTED = (
    "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off"
)
SLOW = (asyncio.TimeoutError, asyncpg.QueryCanceledError)


class UniqueViolation(Exception):
    """A row that must be the only one is there already."""


class ForeignKeyViolation(Exception):
    """A row points at one that is not there."""


def translated(error: Exception) -> Exception:
    """The same failure in words of ours; the error itself when it is a bug."""
    if isinstance(error, asyncpg.UniqueViolationError):
        return UniqueViolation(error.constraint_name)
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return ForeignKeyViolation(error.constraint_name)
    if isinstance(error, SLOW):
        return Refused("timeout", "the database took too long")
    if isinstance(error, AWAY):
        return Refused("unavailable", "the database is away", retry_after=1)
    return error


async def across(work: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run a coroutine of asyncio from Trio, with its failures translated."""
    try:
        return cast(T, await trio_asyncio.aio_as_trio(work)(*args))
    except Exception as error:
        ours = translated(error)
        if ours is error:
            raise
        raise ours from None


class Postgres:
    """A pool of connections. Opened by `open_postgres`."""

    def __init__(self, pool: "asyncpg.Pool[Row]", dsn: str, settings: PostgresSection) -> None:
        self._pool = pool
        self._dsn = dsn
        self._settings = settings

    async def one(self, sql: str, *args: Any) -> Row | None:
        """The first row, or None."""
        return await self.within(lambda connection: connection.fetchrow(sql, *args))

    async def all(self, sql: str, *args: Any) -> list[Row]:
        """All rows."""
        return await self.within(lambda connection: connection.fetch(sql, *args))

    async def value(self, sql: str, *args: Any) -> Any:
        """The first column of the first row, or None."""
        return await self.within(lambda connection: connection.fetchval(sql, *args))

    async def run(self, sql: str, *args: Any) -> None:
        """Nothing comes back."""
        await self.within(lambda connection: connection.execute(sql, *args))

    async def within(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Run `work(connection)` in asyncio: for several statements on one connection.

        Raises Refused (`unavailable`, `timeout`), UniqueViolation, ForeignKeyViolation.
        """
        return await across(self._within, work)

    async def _within(self, work: Callable[[Any], Awaitable[T]]) -> T:
        async with asyncio.timeout(self._settings.timeout), self._pool.acquire() as connection:
            return await work(connection)

    def connection(self, name: str) -> "Connection":
        """A connection of one's own."""
        return Connection(self._dsn, self._settings, name)

    def statistics(self) -> dict[str, int]:
        return {"size": self._pool.get_size(), "idle": self._pool.get_idle_size()}


class Connection:
    """One connection outside the pool, which opens when it is needed and again after it broke. For one task at a time."""

    def __init__(self, dsn: str, settings: PostgresSection, name: str) -> None:
        self._dsn = dsn
        self._settings = settings
        self._name = name
        self._connection: asyncpg.Connection[Row] | None = None

    async def call(self, sql: str, *args: Any) -> Sequence[Row]:
        """All rows. Raises as `Postgres.within` does."""
        return await across(self._call, sql, args)

    async def _call(self, sql: str, args: Sequence[Any]) -> Sequence[Row]:
        async with asyncio.timeout(self._settings.timeout):
            if self._connection is None or self._connection.is_closed():
                self._connection = await connect(self._dsn, self._settings, self._name)
                await self._connection.execute(NESTED)
            try:
                return await self._connection.fetch(sql, *args)
            except (*AWAY, *SLOW):
                self._connection.terminate()
                raise

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()


def server_settings(settings: PostgresSection, name: str) -> dict[str, str]:
    """What every session of ours sets. Times in milliseconds."""
    limit = str(int(settings.timeout * 1000))
    return {
        "application_name": f"chatd {name}",
        "jit": "off",
        "statement_timeout": limit,
        "lock_timeout": limit,
        "idle_in_transaction_session_timeout": limit,
    }


async def connect(dsn: str, settings: PostgresSection, name: str) -> "asyncpg.Connection[Row]":
    connection = await asyncpg.connect(dsn, server_settings=server_settings(settings, name), timeout=settings.timeout)
    await prepare(connection)
    return connection


async def prepare(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: msgspec.json.encode(value).decode(),
        decoder=msgspec.json.decode,
    )


async def tidy(connection: Any) -> None:
    """What happens before a connection goes back into the pool. Nothing of ours outlives a transaction, so mostly nothing."""
    if connection.is_in_transaction():
        await connection.reset()


@asynccontextmanager
async def open_postgres(dsn: str, settings: PostgresSection) -> AsyncIterator[Postgres]:
    """The door. Opens no connection by itself: a server that is away now may be there later."""
    pool = asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=settings.pool,
        server_settings=server_settings(settings, "pool"),
        timeout=settings.timeout,
        init=prepare,
        reset=tidy,
    )
    await across(pool.__aenter__)
    try:
        yield Postgres(pool, dsn, settings)
    finally:
        pool.terminate()
