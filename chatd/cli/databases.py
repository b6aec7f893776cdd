"""Postgres and Redis for a command, embedded or configured, with or without a running daemon."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio_asyncio
from msgspec.structs import replace

from chatd.core.config import Config, PostgresSection
from chatd.db.embedded.select import join_servers
from chatd.db.postgres import Postgres, open_postgres
from chatd.db.redis import Redis, open_redis

# Statement timeout of commands. It is long, because only the command waits.
STATEMENT_TIMEOUT_S = 30.0


@asynccontextmanager
async def databases(config: Config) -> AsyncIterator[tuple[Postgres, Redis]]:
    async with (
        join_servers(config) as (dsn, url),
        trio_asyncio.open_loop(),
        open_postgres(dsn, with_long_timeout(config)) as db,
        open_redis(config.redis, url) as redis,
    ):
        yield db, redis


@asynccontextmanager
async def database(config: Config, *, begin: bool = False) -> AsyncIterator[Postgres]:
    """Postgres only. `begin`: see `join_servers`."""
    async with (
        join_servers(config, begin=begin) as (dsn, _),
        trio_asyncio.open_loop(),
        open_postgres(dsn, with_long_timeout(config)) as db,
    ):
        yield db


@asynccontextmanager
async def redis_alone(config: Config) -> AsyncIterator[Redis]:
    async with join_servers(config) as (_, url), trio_asyncio.open_loop(), open_redis(config.redis, url) as redis:
        yield redis


def with_long_timeout(config: Config) -> PostgresSection:
    return replace(config.postgres, timeout=max(STATEMENT_TIMEOUT_S, config.postgres.timeout))
