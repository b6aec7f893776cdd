"""Redis (or Valkey): redis-py behind trio-asyncio.

All data in Redis may be lost at any time without the loss of a message. While the server is unreachable, commands are
refused `unavailable`. A cancelled command closes its connection, so that the next command does not read its answer.

Commands that belong together are one `transaction`, or an `update`, which commits only if nothing has changed since it
read. Scripts are not used, so a server can forbid them.

After a failover, old connections may still lead to the old primary, which refuses writes. So an error about the state
of the server is treated as a fault of the connection, see `Redis.reconnect`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

import trio
import trio_asyncio
from redis.asyncio import Redis as Client
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ExecAbortError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    WatchError,
)
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as NoAnswerInTime

from chatd.core import log
from chatd.core.config import RedisSection
from chatd.core.errors import OperatorError, Refused
from chatd.core.health import Condition
from chatd.db.redis_channel import Channel

LOG = log.get(__name__)
# redis-py writes: Command # 1 (SET a b) of pipeline caused error: ('READONLY ...',)
IN_TRANSACTION = "of pipeline caused error: "
# No server answered, except for `ANSWERS`, which redis-py derives from these.
NO_ANSWER = (NoConnection, NoAnswerInTime, TimeoutError, OSError)
MAX_UPDATE_ATTEMPTS = 20
ANSWERS = (AuthenticationError, AuthorizationError, BusyLoadingError)


class BadAddress(OperatorError):
    """The url cannot be parsed. The text omits the wrong part, which may belong to the password."""


# Errors of a server that cannot do its work, as classes of redis-py and, for what it does not classify, by their code.
SERVER_FAULTS = (ReadOnlyError, OutOfMemoryError, BusyLoadingError, MasterDownError)
SERVER_FAULT_CODES = ("READONLY", "OOM", "LOADING", "MASTERDOWN", "UNBLOCKED", "NOREPLICAS", "MISCONF")


T = TypeVar("T")
Command = tuple[Any, ...]


class Redis:
    """The client of Redis. Opened by `open_redis`. Every key of this cluster starts with its prefix: see `key`.

    `timeout_s`: within which a command must be answered.
    """

    def __init__(self, connect: Callable[[], "Client"], prefix: str, timeout_s: float) -> None:
        self._connect = connect
        self._client = connect()
        self._prefix = prefix
        self._timeout_s = timeout_s
        self.connection = Condition("Redis connection", quiet_s=1.0)
        self.commands = Condition("Redis commands", quiet_s=3.0)
        # Entries that could not be read, by stream or list.
        self.unreadable: Counter[str] = Counter()

    def key(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))

    def note_unreadable(self, place: str, **extra: Any) -> None:
        """Count an entry that is skipped: foreign, damaged, too large, or of a newer version.

        Log the first of each place.
        """
        self.unreadable[place] += 1
        if self.unreadable[place] == 1:
            LOG.warning(
                "an entry in Redis cannot be read; such entries are skipped and counted",
                extra={"place": place, **extra},
            )

    async def call(self, *command: Any) -> Any:
        """Execute one command. Raises Refused: `unavailable`; its cause is for operators only."""

        async def work(client: "Client") -> Any:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

        return await self._execute(work, command)

    async def transaction(self, *commands: Command) -> list[Any]:
        """Execute commands in one round trip, with none of another client between them. Raises Refused like `call`.

        If one of them fails, the others are executed nevertheless.
        """
        return await self._execute(lambda client: commit(client, commands), commands[0])

    async def update(
        self, keys: Sequence[str], reads: Sequence[Command], decide: Callable[..., tuple[T, Sequence[Command]]]
    ) -> T:
        """Read, and commit the commands that `decide` returns if no key has changed since; otherwise repeat both.

        `decide` is called with an answer for each read, and returns a result and the commands of a transaction; without
        commands nothing is committed. Raises Refused like `call`, also if the keys change during every attempt.
        """

        async def attempt(client: "Client") -> T:
            for _ in range(MAX_UPDATE_ATTEMPTS):
                with suppress(WatchError):
                    return await commit_unless_changed(client, keys, reads, decide)
            raise RedisError("the keys of an update changed during every attempt")

        return await self._execute(attempt, reads[0])

    @asynccontextmanager
    async def own_connection(self) -> AsyncIterator["OwnConnection"]:
        """A connection for one task that executes many commands."""
        connection = OwnConnection(self._translate_errors)
        try:
            yield connection
        finally:
            await connection.close()

    async def now_ms(self) -> int:
        """The time of the server. Raises Refused like `call`."""
        return milliseconds(await self.call("TIME"))

    async def _execute(self, work: Callable[["Client"], Awaitable[T]], command: Command) -> T:
        """Run `work` in asyncio and translate its errors. `command` is for the log."""
        return await self._translate_errors(trio_asyncio.aio_as_trio(work), command)

    async def _translate_errors(self, work: Callable[["Client"], Awaitable[T]], command: Command) -> T:
        """Run `work` in this task, within the time limit. Raises Refused."""
        client, cause = self._client, None
        try:
            with trio.move_on_after(self._timeout_s):
                try:
                    answer = await work(client)
                except (TimeoutError, RedisError, OSError) as error:
                    cause = server_error(error)
                else:
                    if self.failing:
                        self._recover()
                    return answer
        finally:
            if client is not self._client:
                await close_idle(client)
        if is_server_fault(cause) and client is self._client:
            await self.reconnect()
        raise self._note(cause, command) from cause

    async def reconnect(self) -> None:
        """Resolve the address and reconnect with the next command. Running commands end on their old connections."""
        old, self._client = self._client, self._connect()
        await close_idle(old)

    async def aclose(self) -> None:
        await trio_asyncio.aio_as_trio(disconnect)(self._client, inuse_connections=True)

    @property
    def failing(self) -> bool:
        """Whether Redis is unreachable, or refuses commands."""
        return self.connection.failing or self.commands.failing

    def _note(self, cause: Exception | None, command: Command) -> Refused:
        """Log the failure; returns what to raise. A server that answers with an error is reachable."""
        if cause is None or (isinstance(cause, NO_ANSWER) and not isinstance(cause, ANSWERS)):
            self.connection.fail(cause or f"no answer within {self._timeout_s:g} s")
            return Refused("unavailable", "Redis is unreachable", retry_after=1)
        self.connection.recover()
        self.commands.fail(cause, command=command[0], key=key_of(command))
        return Refused("unavailable", "Redis refuses commands", retry_after=1)

    def _recover(self) -> None:
        self.connection.recover()
        self.commands.recover()


class OwnConnection:
    """A connection that does not go through asyncio, see `db/redis_channel.py`. It is opened again after a failure.

    `run`: calls a function with the present client, and translates its errors.
    """

    def __init__(self, run: Callable[[Callable[["Client"], Awaitable[Any]], Command], Awaitable[Any]]) -> None:
        self._run = run
        self._channel: Channel | None = None
        # The client by which it was opened: another one may lead to another server.
        self._client: Client | None = None

    async def call(self, *command: Any) -> Any:
        """Execute one command, as `Redis.call` does. Not for two tasks at once. Raises Refused."""

        async def work(client: "Client") -> Any:
            if self._channel is None or client is not self._client:
                await self._open(client)
            assert self._channel is not None
            try:
                return await self._channel.call(*command)
            except BaseException:
                await self.close()
                raise

        return await self._run(work, command)

    async def _open(self, client: "Client") -> None:
        await self.close()
        channel = Channel(client.connection_pool.make_connection())  # type: ignore[no-untyped-call]
        try:
            await channel.open()
        except BaseException:
            await channel.close()
            raise
        self._channel, self._client = channel, client

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()


async def commit(client: "Client", commands: Sequence[Command]) -> list[Any]:
    async with client.pipeline() as pipe:
        return await commit_queued(pipe, commands)


async def commit_queued(pipe: "Pipeline", commands: Sequence[Command]) -> list[Any]:
    for command in commands:
        pipe.execute_command(*command)
    answers: list[Any] = await pipe.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, RedisError):
            raise answer
    return answers


async def commit_unless_changed(
    client: "Client", keys: Sequence[str], reads: Sequence[Command], decide: Callable[..., tuple[T, Sequence[Command]]]
) -> T:
    """One attempt of `Redis.update`. Raises WatchError if a key has changed."""
    async with client.pipeline() as pipe:
        try:
            await pipe.watch(*keys)
            result, commands = decide(*[await pipe.execute_command(*command) for command in reads])
            if commands:
                pipe.multi()  # type: ignore[no-untyped-call]
                await commit_queued(pipe, commands)
            return result
        except BaseException:
            # The next user of the connection must not inherit the watched keys; asking the server takes too long here.
            if pipe.connection is not None:
                await pipe.connection.disconnect(nowait=True)
            pipe.watching = False
            raise


def milliseconds(time: tuple[int, int]) -> int:
    """An answer of TIME: seconds and microseconds."""
    return time[0] * 1000 + time[1] // 1000


def server_error(error: Exception) -> Exception:
    """The error as the server sent it.

    redis-py wraps the error of the first command of a connection, and puts a command of a transaction with its values
    before the text, which must not be logged. An aborted transaction is not a cause.
    """
    wrapped = error.__cause__
    if isinstance(wrapped, RedisError) and not isinstance(wrapped, ExecAbortError):
        return wrapped
    error.__cause__ = None
    _, found, text = str(error).rpartition(IN_TRANSACTION)
    if found:
        error.args = (text.strip("()'\","),)
    return error


def key_of(command: Command) -> str:
    """The first key of a command, for the log; a best effort."""
    if "STREAMS" in command:
        return str(command[command.index("STREAMS") + 1])
    return str(command[1]) if len(command) > 1 else ""


async def close_idle(client: "Client") -> None:
    """Close the unused connections of a client. Running commands close those that they use when they end."""
    with trio.CancelScope(shield=True), suppress(TimeoutError, RedisError, OSError):
        await trio_asyncio.aio_as_trio(disconnect)(client, inuse_connections=False)


async def disconnect(client: "Client", *, inuse_connections: bool) -> None:
    """Close connections of the pool, in asyncio.

    All who wait for the end of a connection share one future. If a command that waits for it is cancelled, the others
    get that cancellation, although nobody cancels them.
    """
    with suppress(asyncio.CancelledError):
        await client.connection_pool.disconnect(inuse_connections=inuse_connections)


def is_server_fault(error: Exception | None) -> bool:
    """Whether the server refused because of its state: a replica, out of memory, loading."""
    return isinstance(error, SERVER_FAULTS) or any(code in str(error) for code in SERVER_FAULT_CODES)


def check_number(url: str) -> None:
    """Check that the path is a database number; redis-py takes any other path for 0. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme != "unix" and parts.path.strip("/") and not parts.path.strip("/").isdecimal():
        raise ValueError(parts.path)


def client_of(settings: RedisSection, url: str) -> "Client":
    """Make a client by url, or by host, port, username, password and TLS. Raises BadAddress."""
    common: dict[str, Any] = {
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.timeout,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": 16,
        "protocol": 2,
        # By default each new connection reads the version of redis-py from its package, and sends it in two
        # commands.
        "driver_info": None,
    }
    if url:
        try:
            client = Client.from_url(url, **common)
            # Making a connection, without opening it, validates the options of the address.
            client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
            check_number(url)
            return client
        except (ValueError, TypeError, RedisError):
            form = "redis://USER:PASSWORD@HOST:PORT/NUMBER (rediss:// for TLS, unix:///PATH for a socket)"
            raise BadAddress(
                f"redis.url is not valid. Expected {form}, with / @ : in a password as %2F %40 %3A"
            ) from None
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
    """Open a client. `url` overrides the one in the settings. Connects with the first command. Raises BadAddress."""
    redis = Redis(lambda: client_of(settings, url or settings.url), settings.prefix, settings.timeout)
    try:
        yield redis
    finally:
        await redis.aclose()
