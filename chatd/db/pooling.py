"""Whether Postgres is reached through a pooler that does not keep sessions, such as PgBouncer in transaction mode.

chatd prepares statements and sets parameters once for each connection. Behind such a pooler both are lost, or those of another
connection are met.
"""

from contextlib import closing
from datetime import timedelta

from chatd.db.postgres import Postgres

# Queries that alternate between two connections.
TURNS = 3
SQL = "select pg_backend_pid() as process, current_setting('statement_timeout')::interval as limit"


async def pooling_problem(db: Postgres) -> str:
    """What shows that sessions are not kept; empty when they are. Raises Refused."""
    processes: tuple[set[int], set[int]] = (set(), set())
    limits: set[timedelta] = set()
    with closing(db.connection("check")) as one, closing(db.connection("check")) as two:
        for _ in range(TURNS):
            for connection, seen in zip((one, two), processes, strict=True):
                (row,) = await connection.call(SQL)
                seen.add(row["process"])
                limits.add(row["limit"])
    if processes[0] & processes[1] or any(len(seen) > 1 for seen in processes):
        return "the pooler in front of it gives a connection another server process for each transaction"
    if limits != {timedelta(milliseconds=int(db.timeout_s * 1000))}:
        return "the pooler in front of it drops the settings of a connection (statement_timeout and others)"
    return ""
