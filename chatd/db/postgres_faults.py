"""Failures of Postgres by kind: the message for the client, and the condition that logs them.

A server that does not answer is unreachable. One that answers but cannot work gives a reason, which is logged.
"""

import asyncio
import socket
import ssl

import asyncpg
from msgspec import Struct

from chatd.core.errors import OperatorError, Refused
from chatd.core.health import Condition

TOO_SLOW = "the database took too long"
TIMEOUT_ERRORS = (asyncio.TimeoutError, asyncpg.QueryCanceledError)


FREE_DISK_SPACE = "free space on the disk of Postgres (its data folder and pg_wal); chatd then continues by itself"
CHECK_DISK = "check the disk and the log of Postgres"
USE_PRIMARY = "set postgres.dsn to the primary, not a replica; or unset default_transaction_read_only"
CONNECTIONS = (
    "raise max_connections of Postgres, or lower postgres.pool; `select * from pg_stat_activity` shows what uses them"
)
NO_POOLER = (
    "set postgres.dsn to the address of Postgres itself: chatd has its own pool (postgres.pool). "
    "PgBouncer works with pool_mode = session"
)
# Fixes by cause; the first match applies.
FIXES: tuple[tuple[type[BaseException], str], ...] = (
    (asyncpg.InvalidPasswordError, "the password in postgres.dsn is wrong: correct it, with / @ : as %2F %40 %3A"),
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "create the role of postgres.dsn (`createuser`), or allow it in pg_hba.conf",
    ),
    (
        asyncpg.InvalidCatalogNameError,
        "create the database: `createdb NAME`, owned by the role of postgres.dsn; or correct the name",
    ),
    (asyncpg.CannotConnectNowError, "Postgres is starting, stopping or recovering: wait, and check its log"),
    (socket.gaierror, "the host of postgres.dsn has no address: correct it, or check the DNS of this machine"),
    (ConnectionRefusedError, "nothing listens there: start Postgres, or correct the host and port of postgres.dsn"),
    (FileNotFoundError, "the socket does not exist: start Postgres, or correct the host of postgres.dsn"),
    (
        PermissionError,
        "the account of chatd may not use this socket: correct the host of postgres.dsn, or its permissions",
    ),
    (ssl.SSLError, "TLS fails: check sslmode in postgres.dsn, and the certificate of Postgres"),
    (TimeoutError, "nothing answers there: check the host of postgres.dsn, and firewalls"),
)


class Kind(Struct, frozen=True):
    """One kind of failure. `message` is for clients.

    `quiet_s`: see `Condition`. `status`, for probes: why a reachable server accepts no writes.
    """

    name: str
    message: str
    errors: tuple[type[BaseException], ...]
    quiet_s: float = 1.0
    status: str = ""
    # For operators.
    fix: str = ""
    # A state of the server, rather than the result of one statement.
    is_condition: bool = True


# The first match applies. A connection on which one occurs is closed.
KINDS = (
    Kind(
        "Postgres disk space",
        "the database has no space left",
        (asyncpg.DiskFullError,),
        status="full",
        fix=FREE_DISK_SPACE,
    ),
    Kind(
        "Postgres disk",
        "the database cannot use its disk",
        (asyncpg.PostgresSystemError,),
        status="failing",
        fix=CHECK_DISK,
    ),
    Kind(
        "Postgres writes",
        "the database is read-only",
        (asyncpg.ReadOnlySQLTransactionError,),
        status="read_only",
        fix=USE_PRIMARY,
    ),
    Kind(
        "Postgres connections",
        "the database has no free connection",
        (asyncpg.TooManyConnectionsError,),
        5.0,
        fix=CONNECTIONS,
    ),
    Kind(
        "Postgres memory",
        "the database has no free resources",
        (asyncpg.InsufficientResourcesError,),
        5.0,
        fix="give Postgres more memory, or check its log",
    ),
    Kind(
        "Postgres sign-in",
        "the database rejects the sign-in of this server",
        (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError),
    ),
    Kind(
        "Postgres pooler",
        "the database is behind a pooler that does not keep sessions",
        (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError, asyncpg.ProtocolViolationError),
        10.0,
        fix=NO_POOLER,
    ),
    Kind(
        "Postgres locks",
        "the database is busy",
        (asyncpg.TransactionRollbackError,),
        is_condition=False,
    ),
    Kind(
        "Postgres connection",
        "the database is unreachable",
        (
            OSError,
            asyncpg.PostgresConnectionError,
            asyncpg.InterfaceError,
            # asyncpg raises this if its connection closes during its own housekeeping.
            asyncpg.InternalClientError,
            asyncpg.OperatorInterventionError,
            asyncpg.CannotConnectNowError,
        ),
    ),
)
CONNECTION_ERRORS: tuple[type[BaseException], ...] = (
    *TIMEOUT_ERRORS,
    *(error for kind in KINDS for error in kind.errors),
)


class Locked(Refused):
    """Another transaction held a lock for longer than `lock_timeout`.

    Nothing was committed; the connection stays usable.
    """

    def __init__(self) -> None:
        super().__init__("unavailable", "the database is busy", retry_after=1)


class UniqueViolation(Exception):
    """A row with this unique key exists."""


class ForeignKeyViolation(Exception):
    """The referenced row does not exist."""


class NoSchema(OperatorError):
    """A table does not exist."""


def fix_of(error: BaseException | None) -> str:
    """What an operator can do about a failure."""
    for cause, fix in FIXES:
        if isinstance(error, cause):
            return fix
    kind = None if error is None else kind_of(error)
    return (kind.fix if kind else "") or "check that it runs, postgres.dsn, and its log"


def kind_of(error: BaseException) -> Kind | None:
    return next((kind for kind in KINDS if isinstance(error, kind.errors)), None)


def translated(error: Exception) -> Exception:
    """The exception to raise instead; the error itself if it is a bug."""
    if isinstance(error, asyncpg.UniqueViolationError):
        return UniqueViolation(error.constraint_name)
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return ForeignKeyViolation(error.constraint_name)
    if isinstance(error, asyncpg.UndefinedTableError):
        return NoSchema(f"{error}: run `chatd migrate` or `chatd serve` to create the tables, or correct postgres.dsn")
    if isinstance(error, asyncpg.LockNotAvailableError):
        return Locked()
    if isinstance(error, TIMEOUT_ERRORS):
        return Refused("timeout", TOO_SLOW)
    kind = kind_of(error)
    return error if kind is None else Refused("unavailable", kind.message, retry_after=1)


class Faults:
    """The conditions of one Postgres."""

    def __init__(self) -> None:
        self._conditions = {kind: Condition(kind.name, quiet_s=kind.quiet_s) for kind in KINDS if kind.is_condition}
        self._slow = Condition("Postgres response time", quiet_s=10.0)
        # Failing conditions that any successful statement ends. Checked after each statement, and almost always empty.
        self.open: set[Condition] = set()

    def note(self, error: BaseException) -> None:
        """Note that a statement has failed."""
        kind = kind_of(error)
        if isinstance(error, TIMEOUT_ERRORS):
            self._open(self._slow, error)
        elif kind in self._conditions and kind.status:
            self._conditions[kind].fail(error)
        elif kind in self._conditions:
            self._open(self._conditions[kind], error)

    def note_timeout(self, seconds: float) -> None:
        """Note that no answer arrived in time."""
        self._open(self._slow, f"no answer within {seconds:g} s")

    def _open(self, condition: Condition, error: object) -> None:
        condition.fail(error)
        self.open.add(condition)

    def succeeded(self) -> None:
        """Note that a statement has succeeded while conditions are `open`."""
        for condition in list(self.open):
            condition.recover()
            if not condition.failing:
                self.open.remove(condition)

    def wrote(self) -> None:
        """Note that a large write has succeeded, see `db/write_probe`."""
        for kind, condition in self._conditions.items():
            if kind.status:
                condition.recover()

    @property
    def write_status(self) -> str:
        """Why Postgres accepts no writes although it answers: full, failing, read_only; empty if it does."""
        return next((kind.status for kind, one in self._conditions.items() if kind.status and one.failing), "")
