"""Which servers to talk to: the configured ones, or the embedded ones, started where nobody has yet."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from chatd.core.config import Config
from chatd.db.embedded import postgres, redis
from chatd.db.embedded.folder_lock import EmbeddedError, is_locked, locked


def uses_embedded_postgres(config: Config) -> bool:
    return not config.postgres.dsn


def uses_embedded_redis(config: Config) -> bool:
    return not (config.redis.url or config.redis.host)


@asynccontextmanager
async def open_servers(config: Config) -> AsyncIterator[tuple[str, str]]:
    """For a daemon: the dsn of Postgres, and the url of Redis when it is embedded. Raises EmbeddedError."""
    folder = Path(config.data.dir)
    async with AsyncExitStack() as stack:
        if uses_embedded_postgres(config) or uses_embedded_redis(config):
            stack.enter_context(locked(folder))
        dsn, url = config.postgres.dsn, ""
        if uses_embedded_redis(config):
            url = await stack.enter_async_context(redis.embedded_redis(folder))
        if uses_embedded_postgres(config):
            dsn = await stack.enter_async_context(postgres.embedded_postgres(folder))
        yield dsn, url


@asynccontextmanager
async def join_servers(config: Config, *, begin: bool = False) -> AsyncIterator[tuple[str, str]]:
    """For a command beside a daemon: the servers that it runs, or for the time of the command our own.

    A folder of new ones is made only to `begin` with: whoever asks in the wrong place would take an empty database for
    theirs. Raises EmbeddedError.
    """
    folder = Path(config.data.dir)
    embedded = uses_embedded_postgres(config) or uses_embedded_redis(config)
    parts = [folder / "postgres"] * uses_embedded_postgres(config) + [folder / "redis"] * uses_embedded_redis(config)
    if not begin and not all(part.exists() for part in parts):
        there = "give the command where `chatd serve` runs, or name its --config"
        raise EmbeddedError(f"no servers were ever started in {folder.absolute()}: {there}")
    if not (embedded and folder.exists() and is_locked(folder)):
        async with open_servers(config) as servers:
            yield servers
        return
    dsn = postgres.Server(folder / "postgres", {}).dsn if uses_embedded_postgres(config) else config.postgres.dsn
    yield dsn, redis.Server(folder / "redis").url if uses_embedded_redis(config) else ""
