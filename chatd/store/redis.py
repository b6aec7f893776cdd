"""The door to Redis (or Valkey): redis-py behind trio-asyncio.

What lives here may be lost at any time without a message being lost. A server that is away is answered `unavailable`; a command
that was cancelled takes its connection with it, so that its answer cannot reach the next one who asks.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio_asyncio
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as NoAnswerInTime

from chatd.config import RedisSection
from chatd.errors import OperatorError, Refused
from chatd.health import Condition

TIMEOUT = 2.0
# What says that no server answered, except for these, with which one did.
NO_ANSWER = (NoConnection, NoAnswerInTime, TimeoutError, OSError)
ANSWERS = (AuthenticationError, AuthorizationError, BusyLoadingError)


class BadAddress(OperatorError):
    """The url cannot be read. What is wrong in it is not said, it may be a piece of the password."""


class Redis:
    """Opened by `open_redis`. Every key of this cluster starts with its prefix: see `key`."""

    def __init__(self, client: "Client", prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self.connection = Condition("Redis connection", quiet_s=1.0)
        self.commands = Condition("Redis commands", quiet_s=3.0)

    def key(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))

    async def call(self, *command: Any) -> Any:
        """One command. Raises Refused: `unavailable`; its cause is for operators only."""
        cause: Exception | None = None
        with trio.move_on_after(TIMEOUT):
            try:
                answer = await trio_asyncio.aio_as_trio(self._client.execute_command)(*command)
            except (TimeoutError, RedisError, OSError) as error:
                cause = error
            else:
                if self.failing:
                    self._recover()
                return answer
        raise self._note(cause, command) from cause

    @property
    def failing(self) -> bool:
        """Whether Redis is away, or refuses commands."""
        return self.connection.failing or self.commands.failing

    def _note(self, cause: Exception | None, command: tuple[Any, ...]) -> Refused:
        """Log it; what to raise. A server that answers with an error is not away."""
        if cause is None or (isinstance(cause, NO_ANSWER) and not isinstance(cause, ANSWERS)):
            self.connection.fail(cause or f"no answer within {TIMEOUT:g} s")
            return Refused("unavailable", "Redis is away", retry_after=1)
        self.connection.recover()
        self.commands.fail(cause, command=command[0], key=key_of(command))
        return Refused("unavailable", "Redis refuses commands", retry_after=1)

    def _recover(self) -> None:
        self.connection.recover()
        self.commands.recover()


def key_of(command: tuple[Any, ...]) -> str:
    """The first key of a command, as far as one can tell; for the log."""
    if command[0] == "EVAL":
        return str(command[3]) if len(command) > 3 else ""
    if "STREAMS" in command:
        return str(command[command.index("STREAMS") + 1])
    return str(command[1]) if len(command) > 1 else ""


def client_of(settings: RedisSection, url: str) -> "Client":
    """By url, or by host, port, username, password and TLS. Raises BadAddress."""
    common: dict[str, Any] = {
        "socket_timeout": TIMEOUT,
        "socket_connect_timeout": TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": 16,
        "protocol": 2,
    }
    if url:
        try:
            return Client.from_url(url, **common)
        except ValueError:
            form = "redis://USER:PASSWORD@HOST:PORT/NUMBER (rediss:// for TLS, unix:///PATH for a socket)"
            raise BadAddress(f"redis.url cannot be read. Its form is {form}, with / @ : in a password as %2F %40 %3A") from None
    return Client(
        host=settings.host,
        port=settings.port,
        username=settings.username or None,
        password=settings.password or None,
        ssl=settings.tls,
        **common,
    )


@asynccontextmanager
async def open_redis(settings: RedisSection, url: str = "") -> AsyncIterator[Redis]:
    """The door; `url` when it is not the one in the settings. Connects when it is needed. Raises BadAddress."""
    client = client_of(settings, url or settings.url)
    try:
        yield Redis(client, settings.prefix)
    finally:
        await trio_asyncio.aio_as_trio(client.aclose)()
