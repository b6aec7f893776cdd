"""Findings about a Postgres that answers. The `judge_` functions are pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import monotonic

from chatd.app.checks import Finding
from chatd.conversations.settings import MessageLogSettings
from chatd.core.config import Config
from chatd.core.errors import OperatorError, Refused, cause_of
from chatd.db import queries
from chatd.db.migrations import Script, pending
from chatd.db.postgres import Postgres, Row
from chatd.db.postgres_faults import fix_of
from chatd.db.write_probe import probe
from chatd.search.index_watch import IndexStatus, read_status
from chatd.subsystems import schemas_of

SQL = queries.load("cli/doctor")
CREATED = re.compile(r"^create (unique )?index (?:concurrently )?(?:if not exists )?(\w+) (on [^;]+);", re.MULTILINE)
DROPPED = re.compile(r"^drop index (?:concurrently )?(?:if exists )?(\w+)", re.MULTILINE)

# Seconds that a transaction may take, and be idle. Those of chatd end after `postgres.timeout`.
MAX_TRANSACTION_S, MAX_IDLE_S = 60.0, 30.0
MAX_SHOWN = 10
# Dead rows from which on a table is reported, if they outnumber the live rows.
MAX_DEAD_ROWS = 50_000
# Bytes of changes that a replica may lack.
MAX_LAG_BYTES = 67_108_864
# Seconds that the search index may be behind.
MAX_BEHIND_S = 60.0
# Share of `max_connections`.
MAX_USED_SHARE = 0.9


async def examine(db: Postgres, config: Config, nodes: int, *, max_idle_s: float = MAX_IDLE_S) -> list[Finding]:
    """All findings. `nodes`: the number of running nodes. Raises Refused."""
    indexes = {row["name"]: row["valid"] for row in await db.all(SQL.indexes)}
    busy = await db.all(SQL.long_running, MAX_TRANSACTION_S, max_idle_s, MAX_SHOWN)
    row = await db.one(SQL.connections)
    assert row is not None
    unapplied = await pending(db, schemas_of())
    needed = nodes * connections_of_node(config)
    return [
        *judge_indexes(
            expected(one for schema in schemas_of() for one in schema.migrations() if one not in unapplied), indexes
        ),
        judge_transactions(busy),
        judge_connections(row["used"], row["maximum"], needed, nodes),
        judge_vacuum(row["autovacuum"], await db.all(SQL.tables)),
        judge_replicas(await db.all(SQL.replicas)),
        judge_search(await read_status(db), nodes),
        await try_a_write(db),
    ]


def connections_of_node(config: Config) -> int:
    """The most connections of one node: the pool, two for each flusher of the log, and one of the search index."""
    return config.postgres.pool + 2 * config.get(MessageLogSettings).flushers + 1


async def try_a_write(db: Postgres) -> Finding:
    """Write a row and read it back."""
    began = monotonic()
    try:
        same = await probe(db, "doctor")
    except Refused as refused:
        detail = f"{refused.message}{cause_of(refused)}"
        return Finding("write", False, detail, fix_of(refused.__cause__), "postgres.write")
    except OperatorError as error:
        return Finding("write", False, str(error), "run `chatd migrate`", "postgres.write")
    written = f"a row was written and read back in {1000 * (monotonic() - began):.0f} ms"
    detail = written if same else "the row that was read back is different"
    return Finding("write", same, detail, "check triggers and rules on the table write_probes", "postgres.write")


def judge_search(status: IndexStatus, nodes: int) -> Finding:
    """Without nodes there is nothing to index."""
    if not status.is_running:
        detail, fix = (
            "no index process has reported for 15 s",
            (
                'see the log of `chatd serve` or `chatd index` for the cause; with search.indexer = "off", start '
                "`chatd index`. After a start, run this again"
            ),
        )
        return Finding("search index", not nodes, detail if nodes else "no node is running", fix, "search.index")
    detail = (
        f"{status.changes} changes wait, the oldest for {status.behind_s:.0f} s" if status.changes else "up to date"
    )
    detail = f"{detail}; {status.problem}" if status.problem else detail
    fix = "it is being rebuilt, or Postgres is too slow for the load: check its disk and its CPU usage"
    late = status.behind_s > MAX_BEHIND_S or bool(status.problem)
    return Finding("search index", True, detail, fix, "search.index", warn=late)


def judge_replicas(rows: Sequence[Row]) -> Finding:
    """Report replicas, if there are any."""
    late = [row for row in rows if row["state"] not in ("streaming", None) or (row["behind"] or 0) > MAX_LAG_BYTES]
    detail = "; ".join(
        f"{row['name'] or 'no name'}: {row['state'] or 'state not visible to this role'}, {row['sync'] or 'unknown'}"
        + ("" if row["behind"] is None else f", {row['behind']} bytes behind")
        for row in rows
    )
    fix = "check the log of the replica and the network to it: what it lacks is lost if the disk of the primary fails"
    return Finding("replicas", True, detail or "none", fix, "postgres.replicas", warn=bool(late))


async def clock(db: Postgres) -> int:
    """The time of the server in milliseconds. Raises Refused."""
    return int(await db.value(SQL.clock))


def expected(migrations: Iterable[Script]) -> dict[str, str]:
    """The indexes that the migrations create by name, and the statement that creates each."""
    found: dict[str, str] = {}
    for migration in migrations:
        for unique, name, rest in CREATED.findall(migration.sql):
            found[name] = f"create {unique}index concurrently {name} {' '.join(rest.split())}"
        for name in DROPPED.findall(migration.sql):
            found.pop(name, None)
    return found


def judge_indexes(wanted: Mapping[str, str], existing: Mapping[str, bool]) -> Iterator[Finding]:
    missing = [name for name in wanted if name not in existing]
    invalid = [name for name, valid in existing.items() if not valid]
    for name in missing:
        yield Finding("index", False, f"{name} is missing", f"run: {wanted[name]}", "postgres.index.missing")
    for name in invalid:
        fix = f"run: reindex index concurrently {name}; for a unique index, remove the duplicate rows first"
        yield Finding("index", False, f"{name} is invalid and not used", fix, "postgres.index.invalid")
    if not missing and not invalid:
        yield Finding("indexes", True, f"{len(existing)}, all valid", code="postgres.indexes")


def judge_transactions(rows: Sequence[Row]) -> Finding:
    who = "; ".join(
        f"process {row['pid']} ({row['name'] or 'no name'}): {row['state']}, {row['seconds']} s" for row in rows
    )
    fix = (
        "find out which program it is; `select pg_terminate_backend(PROCESS)` ends it. Until then no newer dead rows "
        "can be vacuumed"
    )
    return Finding("transactions", not rows, who or "no long transactions", fix, "postgres.transactions")


def judge_connections(used: int, most: int, needed: int, nodes: int) -> Finding:
    detail = f"{used} of {most} in use; {nodes} nodes may need {needed}"
    fix = "raise max_connections, or lower postgres.pool; or find the programs that use them"
    return Finding("connections", used < MAX_USED_SHARE * most and needed <= most, detail, fix, "postgres.connections")


def judge_vacuum(autovacuum: bool, tables: Sequence[Row]) -> Finding:
    """Tables that grow because dead rows are not removed."""
    problems = [] if autovacuum else ["autovacuum is off"]
    problems += [f"autovacuum is off for {row['name']}" for row in tables if row["autovacuum_off"]]
    for row in tables:
        if row["dead"] > max(MAX_DEAD_ROWS, row["live"]):
            never = "" if row["vacuumed_at"] else ", and was never vacuumed"
            problems.append(f"{row['name']} has {row['dead']} dead rows and {row['live']} live ones{never}")
    fix = "turn autovacuum on; run: vacuum (analyze); and look for long transactions, which prevent it"
    detail = "; ".join(problems) or "no table has too many dead rows"
    return Finding("vacuum", not problems, detail, fix, "postgres.vacuum")
