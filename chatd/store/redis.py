"""The door to Redis (or Valkey): redis-py behind trio-asyncio.

What lives here may be lost at any time without a message being lost. A server that is away is answered `unavailable`; a command
that was cancelled takes its connection with it, so that its answer cannot reach the next one who asks.
"""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio_asyncio
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    MaxConnectionsError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
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
                # What the server said to the first command of a connection comes wrapped.
                cause = error.__cause__ if isinstance(error.__cause__, RedisError) else error
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


# What an operator can do about a failure; the first one counts.
FIXES: tuple[tuple[type[BaseException], str], ...] = (
    (AuthenticationError, "user or password is wrong: correct them in redis.url, or redis.username and redis.password"),
    (AuthorizationError, "the user of redis.url may not do that: give it all commands on the keys with redis.prefix"),
    (NoPermissionError, "the user of redis.url may not do that: give it all commands on the keys with redis.prefix"),
    (BusyLoadingError, "Redis reads its files: wait"),
    (ReadOnlyError, "this is a replica: give redis.url the primary"),
    (OutOfMemoryError, "raise maxmemory, or give chatd a Redis of its own"),
    (MaxConnectionsError, "raise maxclients of Redis"),
)
BY_TEXT = (
    ("MISCONF", "Redis cannot save: look at its log and the space on its disk"),
    ("NOAUTH", "Redis wants a password: set it in redis.url, or redis.password"),
    (f"Error {errno.ECONNREFUSED} ", "nothing listens there: start Redis, or correct host and port of redis.url"),
    (f"Error {errno.ENOENT} ", "there is no such socket: start Redis, or correct redis.url"),
    (f"Error {errno.EACCES} ", "the account of chatd may not use this socket: correct redis.url, or its permissions"),
    # What getaddrinfo(3) fails with is below 0.
    ("Error -", "the host of redis.url has no address: correct it, or look at the DNS of this machine"),
    ("invalid DB index", "Redis has no database of this number: correct the end of redis.url"),
    ("DB index is out of range", "Redis has no database of this number: correct the end of redis.url"),
    ("SSL", "the encryption does not work: rediss:// is for TLS, redis:// without; look at the certificate"),
    ("Protocol Error", "it is no Redis that answers there: correct host and port of redis.url"),
)


def fix_of(error: BaseException | None) -> str:
    """What an operator can do about a failure."""
    for cause, fix in FIXES:
        if isinstance(error, cause):
            return fix
    usual = "is it running, and is redis.url right? Does a firewall let it pass?"
    return next((fix for text, fix in BY_TEXT if text in str(error)), usual)


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
