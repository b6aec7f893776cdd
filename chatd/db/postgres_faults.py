"""What Postgres can fail with, by kind: what the sender is told, and the condition that logs it.

"Away" is a server that does not answer. One that answers and cannot work says why, and that is what is logged and told.
"""

import asyncio
import socket
import ssl

import asyncpg
from msgspec import Struct

from chatd.core.errors import OperatorError, Refused
from chatd.core.health import Condition

TOO_SLOW = "the database took too long"
SLOW = (asyncio.TimeoutError, asyncpg.QueryCanceledError)


MAKE_ROOM = "make room on the disk of Postgres (its data folder and pg_wal); chatd goes on by itself"
LOOK_AT_DISK = "look at the disk of Postgres and at its log"
PRIMARY = "give postgres.dsn the primary, not a replica; or end default_transaction_read_only"
CONNECTIONS = "raise max_connections of Postgres, or lower postgres.pool; `select * from pg_stat_activity` says who holds them"
NO_POOLER = (
    "give postgres.dsn the address of Postgres itself: chatd pools by itself (postgres.pool). "
    "PgBouncer would need pool_mode = session"
)
# Causes that need a fix of their own, the first one counts.
FIXES: tuple[tuple[type[BaseException], str], ...] = (
    (asyncpg.InvalidPasswordError, "the password in postgres.dsn is wrong: correct it, with / @ : as %2F %40 %3A"),
    (asyncpg.InvalidAuthorizationSpecificationError, "make the role of postgres.dsn (`createuser`), or allow it in pg_hba.conf"),
    (
        asyncpg.InvalidCatalogNameError,
        "make the database: `createdb NAME`, owned by the role of postgres.dsn; or correct the name",
    ),
    (asyncpg.CannotConnectNowError, "Postgres starts, stops or recovers: wait, and look at its log"),
    (socket.gaierror, "the host of postgres.dsn has no address: correct it, or look at the DNS of this machine"),
    (ConnectionRefusedError, "nothing listens there: start Postgres, or correct host and port of postgres.dsn"),
    (FileNotFoundError, "there is no such socket: start Postgres, or correct the host of postgres.dsn"),
    (PermissionError, "the account of chatd may not use this socket: correct the host of postgres.dsn, or its permissions"),
    (ssl.SSLError, "the encryption does not work: look at sslmode in postgres.dsn, and the certificate of Postgres"),
    (TimeoutError, "nothing answers there: is the host of postgres.dsn right, and does a firewall let it pass?"),
)


class Kind(Struct, frozen=True):
    """`told` is for the sender. `quiet_s`: see `Condition`. `status`, for probes: why a server that answers takes no writes."""

    name: str
    told: str
    errors: tuple[type[BaseException], ...]
    quiet_s: float = 1.0
    status: str = ""
    # For the operator: what to do about it.
    fix: str = ""
    # Whether it is a state of the server, and not the result of one statement.
    is_condition: bool = True


# The first kind that fits counts. A connection that met one of these is closed.
KINDS = (
    Kind("Postgres disk space", "the database has no space left", (asyncpg.DiskFullError,), status="full", fix=MAKE_ROOM),
    Kind("Postgres disk", "the database cannot use its disk", (asyncpg.PostgresSystemError,), status="failing", fix=LOOK_AT_DISK),
    Kind("Postgres writes", "the database is read-only", (asyncpg.ReadOnlySQLTransactionError,), status="read_only", fix=PRIMARY),
    Kind("Postgres connections", "the database has no free connection", (asyncpg.TooManyConnectionsError,), 5.0, fix=CONNECTIONS),
    Kind(
        "Postgres memory",
        "the database has no free resources",
        (asyncpg.InsufficientResourcesError,),
        5.0,
        fix="give it more memory, or look at its log",
    ),
    Kind(
        "Postgres sign-in",
        "the database does not let this server in",
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
        "the database is away",
        (
            OSError,
            asyncpg.PostgresConnectionError,
            asyncpg.InterfaceError,
            # What asyncpg says when its connection is shut down in the middle of its own housekeeping.
            asyncpg.InternalClientError,
            asyncpg.OperatorInterventionError,
            asyncpg.CannotConnectNowError,
        ),
    ),
)
BROKEN: tuple[type[BaseException], ...] = (*SLOW, *(error for kind in KINDS for error in kind.errors))


class Locked(Refused):
    """Another transaction holds a lock for longer than `lock_timeout`. Nothing was committed; the connection goes on."""

    def __init__(self) -> None:
        super().__init__("unavailable", "the database is busy", retry_after=1)


class UniqueViolation(Exception):
    """A row that must be the only one is there already."""


class ForeignKeyViolation(Exception):
    """A row points at one that is not there."""


class NoSchema(OperatorError):
    """A table is missing: nobody has made them yet."""


def fix_of(error: BaseException | None) -> str:
    """What an operator can do about a failure."""
    for cause, fix in FIXES:
        if isinstance(error, cause):
            return fix
    kind = None if error is None else kind_of(error)
    return (kind.fix if kind else "") or "is it running, and is postgres.dsn right? Look at its log"


def kind_of(error: BaseException) -> Kind | None:
    return next((kind for kind in KINDS if isinstance(error, kind.errors)), None)


def translated(error: Exception) -> Exception:
    """The same failure in words of ours; the error itself when it is a bug."""
    if isinstance(error, asyncpg.UniqueViolationError):
        return UniqueViolation(error.constraint_name)
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return ForeignKeyViolation(error.constraint_name)
    if isinstance(error, asyncpg.UndefinedTableError):
        return NoSchema(f"{error}: `chatd migrate` makes the tables, `chatd serve` too; or is this another database?")
    if isinstance(error, asyncpg.LockNotAvailableError):
        return Locked()
    if isinstance(error, SLOW):
        return Refused("timeout", TOO_SLOW)
    kind = kind_of(error)
    return error if kind is None else Refused("unavailable", kind.told, retry_after=1)


class Faults:
    """The conditions of one Postgres, as its connections meet them."""

    def __init__(self) -> None:
        self._conditions = {kind: Condition(kind.name, quiet_s=kind.quiet_s) for kind in KINDS if kind.is_condition}
        self._slow = Condition("Postgres response time", quiet_s=10.0)
        # Those that fail and end with any statement that succeeds. Almost always empty, and looked at after each statement.
        self.open: set[Condition] = set()

    def note(self, error: BaseException) -> None:
        """A statement has failed."""
        kind = kind_of(error)
        if isinstance(error, SLOW):
            self._open(self._slow, error)
        elif kind in self._conditions and kind.status:
            self._conditions[kind].fail(error)
        elif kind in self._conditions:
            self._open(self._conditions[kind], error)

    def note_timeout(self, seconds: float) -> None:
        """No answer came in time."""
        self._open(self._slow, f"no answer within {seconds:g} s")

    def _open(self, condition: Condition, error: object) -> None:
        condition.fail(error)
        self.open.add(condition)

    def succeeded(self) -> None:
        """A statement has succeeded while something is `open`."""
        for condition in list(self.open):
            condition.recover()
            if not condition.failing:
                self.open.remove(condition)

    def wrote(self) -> None:
        """A write of some size has succeeded: see `db/write_probe`."""
        for kind, condition in self._conditions.items():
            if kind.status:
                condition.recover()

    @property
    def write_status(self) -> str:
        """Empty, or why Postgres takes no writes although it answers: full, failing, read_only."""
        return next((kind.status for kind, one in self._conditions.items() if kind.status and one.failing), "")
