"""The choice between configured and embedded servers."""

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
    """Start the embedded servers that the daemon needs.

    Yields the dsn of Postgres, and the url of the embedded Redis ("" if Redis is configured). Raises EmbeddedError.
    """
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
    """Use the embedded servers of a running daemon, or start them for the duration of a command.

    A new data folder is created only with `begin`: an operator in the wrong directory would mistake an empty database
    for the real one. Yields like `open_servers`. Raises EmbeddedError.
    """
    folder = Path(config.data.dir)
    embedded = uses_embedded_postgres(config) or uses_embedded_redis(config)
    parts = [folder / "postgres"] * uses_embedded_postgres(config) + [folder / "redis"] * uses_embedded_redis(config)
    if not begin and not all(part.exists() for part in parts):
        there = "run the command in the directory of `chatd serve`, or pass its --config"
        raise EmbeddedError(f"there is no data folder at {folder.absolute()}: {there}")
    if not (embedded and folder.exists() and is_locked(folder)):
        async with open_servers(config) as servers:
            yield servers
        return
    dsn = postgres.Server(folder / "postgres", {}).dsn if uses_embedded_postgres(config) else config.postgres.dsn
    yield dsn, redis.Server(folder / "redis").url if uses_embedded_redis(config) else ""
