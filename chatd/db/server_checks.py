"""Checks whether chatd can use a Postgres server: its version, settings and collation, and a pooler in front of it."""

from contextlib import closing
from datetime import timedelta

from chatd.db.postgres import Postgres

OLDEST_VERSION = 15
# Queries that alternate between two connections.
POOLING_ROUNDS = 3
SESSION = "select pg_backend_pid() as process, current_setting('statement_timeout')::interval as limit"
COLLATION = """
select datname::text as name, datcollversion as recorded, pg_database_collation_actual_version(oid) as actual
from pg_database where datname = current_database()
"""


async def server_problems(db: Postgres) -> list[str]:
    """Why chatd cannot use the server: its version, the encoding. Empty if it can. Raises Refused."""
    version = int(await db.value("show server_version_num")) // 10000
    encoding = await db.value("show server_encoding")
    problems = []
    if version < OLDEST_VERSION:
        problems.append(f"Postgres {version} is too old: {OLDEST_VERSION} or newer is required")
    if encoding != "UTF8":
        problems.append(f"the encoding of the database is {encoding}: create it with encoding UTF8")
    return problems


async def durability_problems(db: Postgres) -> list[str]:
    """Settings with which a crash loses acknowledged data. Empty if there are none. Raises Refused."""
    problems = []
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if await db.value(f"show {name}") == "off":
            problems.append(
                f"{name} is off: a crash can lose acknowledged messages. Set {name} = on in postgresql.conf"
            )
    return problems


async def collation_problem(db: Postgres) -> str:
    """Whether the library that sorts text was replaced since the database was created; empty if not. Raises Refused.

    chatd does the same under every locale, but an index is in the order of the library that it was built with: under
    another version a unique index can accept a second row. The locales C and POSIX have no version.
    """
    row = await db.one(COLLATION)
    assert row is not None
    if row["recorded"] in (None, row["actual"]):
        return ""
    return (
        f"the database {row['name']} was created with version {row['recorded']} of its collation; "
        f"the server has {row['actual']}"
    )


async def pooling_problem(db: Postgres) -> str:
    """What shows that a pooler does not keep sessions, such as PgBouncer in transaction mode; empty if there is none.

    chatd prepares statements and sets parameters once for each connection. Behind such a pooler both are lost, or
    replaced by those of another connection. Raises Refused.
    """
    processes: tuple[set[int], set[int]] = (set(), set())
    limits: set[timedelta] = set()
    with closing(db.connection("check")) as one, closing(db.connection("check")) as two:
        for _ in range(POOLING_ROUNDS):
            for connection, seen in zip((one, two), processes, strict=True):
                (row,) = await connection.all(SESSION)
                seen.add(row["process"])
                limits.add(row["limit"])
    if processes[0] & processes[1] or any(len(seen) > 1 for seen in processes):
        return "a pooler in front of Postgres assigns another server process to a connection for each transaction"
    if limits != {timedelta(milliseconds=int(db.timeout_s * 1000))}:
        return "a pooler in front of Postgres drops the settings of a connection (statement_timeout and others)"
    return ""
