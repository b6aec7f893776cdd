"""The event loop of the database drivers, inside Trio."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio_asyncio

from chatd.core import log

LOG = log.get(__name__)


@asynccontextmanager
async def open_driver_loop() -> AsyncIterator[None]:
    """The event loop. Log an exception of a callback, which would end the process by default."""
    async with trio_asyncio.open_loop() as loop:
        loop.set_exception_handler(log_driver_error)
        yield


def log_driver_error(loop: object, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, ConnectionError) and "future" in context:
        # asyncpg leaves it behind when the opening of a connection is cancelled.
        return
    LOG.error("a database driver failed", exc_info=error, extra={"cause": context.get("message", "")})
