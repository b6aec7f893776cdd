"""Plans that were made while the tables were empty do not stay once there are rows: every statement looks rows up by
key.
"""

import json
import re
from collections import ChainMap
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import md5
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import pytest
import trio_asyncio

from chatd.conversations.log.statements import NESTED
from chatd.core.config import PostgresSection
from chatd.db import queries
from chatd.db.postgres import Postgres, server_settings
from chatd.db.stale_statistics import Statistics
from tests.db.functions import inner_statements
from tests.support import poll_until

ROWS = 4000
# By type: the value of a column in row g.
VALUES = {
    "text": "'v' || g",
    "_text": "array['v' || g]",
    "uuid": "md5(g::text)::uuid",
    "int8": "g",
    "int4": "g",
    "int2": "g % 100",
    "bool": "g % 10 = 0",
    "bytea": "decode(md5(g::text), 'hex')",
    "jsonb": "'{}'::jsonb",
    "float8": "g",
    "tsvector": "to_tsvector('simple', g::text)",
}
# Columns of which many rows share a value: what stands for g in them. Any two of them together are a key.
SHARED = {
    **dict.fromkeys(("conversation", "match", "login", "report", "blocked", "upload", "endpoint"), "(g / 10)"),
    **dict.fromkeys(("user_id", "sender", "owner", "creator", "blocker", "reporter", "target"), "(g % 400)"),
}
# Functions that only the connections of the message log call.
MESSAGE_LOG = ("append_messages", "advance_receipts", "apply_slow_mode", "refused_threads", "add_thread_replies")
# Tables of one row, which describe the installation.
ONE_ROW = {"database_epoch", "installation", "maintenance", "search_scan", "search_status"}
# By statement and table: why it may read more than it returns.
EXCEPTIONS = {
    "privacy/erasure.claim_next erasures": "the index has open erasures only, oldest first: the first one without a node is the result",
    "people/name_index.claim_unindexed users": "the index has users to index only: they are the result",
    "conversations/receipts.page members": "a range of its key; `user_id = ` stands in the CASE of a column that is shown",
    "webhooks/endpoints.insert webhook_endpoints": "counts the endpoints of a tenant, which are few; all are of one tenant here",
    "webhooks/endpoints.types webhook_endpoints": "the endpoints of a tenant, which are few; all are of one tenant here",
    "webhooks/queue.route webhook_endpoints": "the endpoints of a tenant, which are few; all are of one tenant here",
    "webhooks/endpoints.page webhook_endpoints": "the endpoints of a tenant, which are few; all are of one tenant here",
    "search/search.page search_index": "turns bitmap scans on for itself, see chatd/search/page.py",
    "cli/trace.message_anywhere conversations": "a search by an operator who does not know the conversation; says so",
}
COLUMNS = """
select c.oid::regclass::text as name, array_agg(a.attname::text order by a.attnum) as columns,
    -- Of a domain: its base type.
    array_agg(coalesce(b.typname, t.typname)::text order by a.attnum) as types,
    array_agg(a.attnotnull order by a.attnum) as needed
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attidentity = '' and a.attgenerated = ''
join pg_type t on t.oid = a.atttypid left join pg_type b on b.oid = t.typbasetype
where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace group by 1
"""
# Triggers see the new rows of a statement as a table of this name.
TRANSITIONS = """
select distinct tgnewtable::text as name, tgrelid::regclass::text as on from pg_trigger where tgnewtable is not null
"""
INDEXES = """
select i.relname::text as name, x.indrelid::regclass::text as on, x.indisunique and x.indpred is null as is_key,
    x.indisunique as is_unique,
    array(select pg_get_indexdef(i.oid, n, true) from generate_series(1, x.indnkeyatts) as n order by n) as columns
from pg_index x join pg_class i on i.oid = x.indexrelid where i.relnamespace = 'public'::regnamespace
"""


class Index(NamedTuple):
    on: str
    is_key: bool
    columns: list[str]
    is_unique: bool


async def fill(connection: Any) -> set[str]:
    """Rows in every table. Returns the tables that can have many. References and checks play no part in a plan."""
    large = set()
    await connection.execute("set session_replication_role = replica")
    for row in await connection.fetch(
        """
        select case when conrelid <> 0 then 'table ' || conrelid::regclass else 'domain ' || contypid::regtype end as on,
            conname as name
        from pg_constraint where contype = 'c' and connamespace = 'public'::regnamespace
        """
    ):
        await connection.execute(f'alter {row["on"]} drop constraint "{row["name"]}"')
    for row in await connection.fetch(COLUMNS):
        if row["name"] in ONE_ROW:
            continue
        columns = zip(row["columns"], row["types"], row["needed"], strict=True)
        values = {name: value(name, kind, needed) for name, kind, needed in columns if kind in VALUES}
        names = ", ".join(f'"{name}"' for name in values)
        rows = f"select {', '.join(values.values())} from generate_series(1, {ROWS}) g"
        status = await connection.execute(f"insert into {row['name']} ({names}) {rows} on conflict do nothing")
        if int(status.split()[-1]) > 100:
            large.add(row["name"])
    return large


def value(column: str, kind: str, needed: bool) -> str:
    if column == "tenant":
        return "'default'"
    found = re.sub(r"\bg\b", SHARED.get(column, "g"), VALUES[kind])
    return found if needed else f"case when g % 2 = 0 then {found} end"


@asynccontextmanager
async def planner(dsn: str) -> AsyncIterator[Any]:
    """A connection as the daemon has it, that makes at once the plan which others make at the sixth call."""
    connection = await asyncpg.connect(dsn, server_settings=server_settings(PostgresSection(), "test"))
    try:
        await connection.execute("set statement_timeout = '60s'; set plan_cache_mode = force_generic_plan")
        for row in await connection.fetch(TRANSITIONS):
            await connection.execute(f"create temporary table {row['name']} (like {row['on']})")
        yield connection
    finally:
        await connection.close()


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "Relation Name" in plan and plan["Node Type"] != "ModifyTable":
        yield plan
    for part in plan.get("Plans", ()):
        yield from scans(part)


def columns_in(condition: str) -> set[str]:
    """Those that are compared for equality with one value each, in any case."""
    return set() if " OR " in condition else set(re.findall(r"(\w+)\)?(?:::\w+)? = (?!ANY)", condition))


def fault(scan: dict[str, Any], indexes: dict[str, Index]) -> str:
    """Why it reads more rows than it returns; empty if it does not."""
    if "Index Name" not in scan:
        return "" if scan["Node Type"] == "Tid Scan" else "reads all rows"
    index, condition = indexes[scan["Index Name"]], scan.get("Index Cond", "")
    if not re.search(rf"(?<!\w){re.escape(index.columns[0])}(?!\w)", condition):
        return f"walks {scan['Index Name']}"
    used = columns_in(condition)
    given = used | columns_in(scan.get("Filter", ""))
    if index.is_unique and set(index.columns) <= used:
        return ""
    keys = [set(each.columns) for each in indexes.values() if each.is_key and each.on == index.on]
    if any(key <= given for key in keys) and not any(key <= used for key in keys):
        return f"has a key, and looks in {scan['Index Name']} by {condition}"
    return ""


async def prepared(connection: Any) -> dict[str, str]:
    """The EXPLAIN of every statement, by its name; of those inside of functions too."""
    explains = await prepared_inner(connection)
    for file in queries.names():
        for name, sql in queries.load(file).statements.items():
            if not re.match(r"with|select|insert|update|delete", sql):
                continue
            statement = f"{file}.{name}"
            await connection.execute(f'prepare "{statement}" as {sql}')
            explains[statement] = f'explain (format json) execute "{statement}"'
    return explains


async def with_nulls(connection: Any, explains: dict[str, str]) -> None:
    """Give all of them the parameters that they have."""
    for row in await connection.fetch("select name, cardinality(parameter_types) as size from pg_prepared_statements"):
        if row["name"] in explains and row["size"]:
            explains[row["name"]] += f"({', '.join(['null'] * row['size'])})"


async def prepared_inner(connection: Any, *functions: str) -> dict[str, str]:
    """The EXPLAIN of every statement of these functions, or of those that any connection may call."""
    explains = {}
    for name, inner in (await inner_statements(connection)).items():
        function = name.partition("(")[0]
        if function in functions if functions else function not in MESSAGE_LOG:
            types = f"({', '.join(inner.types)})" if inner.types else ""
            await connection.execute(f'prepare "{name}"{types} as {inner.sql}')
            explains[name] = f'explain (format json) execute "{name}"'
    return explains


async def faults(connection: Any, explains: dict[str, str], large: set[str]) -> dict[str, str]:
    """By statement and table."""
    indexes = {
        row["name"]: Index(row["on"], row["is_key"], row["columns"], row["is_unique"])
        for row in await connection.fetch(INDEXES)
    }
    found = {}
    for statement, explain in explains.items():
        plan = json.loads(await connection.fetchval(explain))[0]["Plan"]
        for scan in scans(plan):
            why = fault(scan, indexes) if scan["Relation Name"] in large else ""
            if why:
                found[f"{statement} {scan['Relation Name']}"] = why
    return found


async def append(connection: Any) -> str:
    """One message with an upload, through append_messages."""
    message = ["default"], [id_of(15)], [id_of(150)], ["new"], [id_of(-1)], ["text"], [f'[{{"upload": "{id_of(5)}"}}]']
    row = await connection.fetchrow(
        queries.load("conversations/log").append_messages, *message, [None], ["{}"], [None], 1
    )
    return str(row["outcome"])


def id_of(number: int) -> str:
    """The id that row `number` has."""
    return str(UUID(md5(str(number).encode()).hexdigest()))


async def reads(connection: Any) -> int:
    """Rows that this transaction has read."""
    sql = "select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::int from pg_stat_xact_user_tables"
    return int(await connection.fetchval(sql))


# It would plan again in the midst of it, by the statistics of a table that is being filled.
NO_AUTOVACUUM = """
    do $$ declare name text; begin
        for name in select oid::regclass from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace loop
            execute format('alter table %s set (autovacuum_enabled = off)', name);
        end loop;
    end $$
"""


async def test_statements_planned_on_empty_tables_read_rows_by_key(dsn: str, store: Postgres) -> None:
    statistics = Statistics(store)

    async def before_and_after() -> tuple[dict[str, str], dict[str, str]]:
        async with planner(dsn) as connection, planner(dsn) as message_log, planner(dsn) as other:
            await other.execute("vacuum analyze")
            await other.execute(NO_AUTOVACUUM)
            await message_log.execute(NESTED)
            plans = [
                (connection, await prepared(connection)),
                (message_log, await prepared_inner(message_log, *MESSAGE_LOG)),
            ]
            for each, explains in plans:
                await with_nulls(each, explains)
                await faults(each, explains, set())
            large = await fill(other)
            before = [await faults(*plan, large) for plan in plans]
            await trio_asyncio.trio_as_aio(statistics.renew)()
            after = [await faults(*plan, large) for plan in plans]
            return dict(ChainMap(*before)), dict(ChainMap(*after))

    before, after = await trio_asyncio.aio_as_trio(before_and_after)()
    assert len(before) > 100
    assert {place: why for place, why in after.items() if place not in EXCEPTIONS} == {}
    assert await statistics.renew() == []


BAD = """
create function bad(p_sender uuid) returns bigint language plpgsql as $$
declare
    n bigint;
begin
    perform 1 from conversations c where c.id = p_sender;
    if exists (select 1) then
        select count(*) from messages m where m.text = p_sender::text;
    end if;
    return n;
end $$"""


async def test_statements_inside_functions_are_checked(dsn: str, loop: None) -> None:
    async def found() -> tuple[set[str], dict[str, str]]:
        async with planner(dsn) as connection:
            await connection.execute(BAD)
            large = await fill(connection)
            await connection.execute("analyze")
            explains = await prepared_inner(connection)
            await with_nulls(connection, explains)
            functions = {name.partition("(")[0] for name in await inner_statements(connection)}
            return functions, await faults(connection, explains, large)

    functions, faulty = await trio_asyncio.aio_as_trio(found)()
    assert {
        *MESSAGE_LOG,
        "count_unread",
        "count_unread_mentions",
        "is_hidden",
        "is_evidence",
        "remove_from_search",
    } < functions
    assert faulty == {"bad() 1 messages": "reads all rows"}


async def test_an_append_that_was_planned_on_empty_tables_reads_few_rows(dsn: str, store: Postgres) -> None:
    statistics = Statistics(store)

    async def before_and_after() -> tuple[int, int]:
        async with planner(dsn) as connection, planner(dsn) as other:
            await other.execute("vacuum analyze")
            await connection.execute(NESTED)
            assert await append(connection) == "not_found"
            await fill(other)
            counts = []
            for renew in (False, True):
                if renew:
                    await trio_asyncio.trio_as_aio(statistics.renew)()
                turn = connection.transaction()
                await turn.start()
                assert await append(connection) == "new"
                counts.append(await reads(connection))
                await turn.rollback()
            return counts[0], counts[1]

    before, after = await trio_asyncio.aio_as_trio(before_and_after)()

    assert before > 1000
    assert after < 30


@pytest.mark.parametrize("table", ["conversations", "members", "messages"])
async def test_a_row_that_every_message_writes_has_one_check_at_most(db: Postgres, table: str) -> None:
    """Each one is prepared again by each statement, see `python -m bench.append`."""
    checks = "select count(*) from pg_constraint where contype = 'c' and conrelid = $1::text::regclass"
    assert await db.value(checks, table) <= 1


async def test_a_table_that_is_filled_again_in_the_same_pages_is_analysed(db: Postgres) -> None:
    statistics = Statistics(db)
    await db.run("create table again (n int) with (autovacuum_enabled = off)")
    await db.run("insert into again select generate_series(1, 1000)")
    assert "again" in await statistics.renew()
    await db.run("delete from again where n < 1000")
    await db.run("vacuum analyze again")
    await db.run("insert into again select generate_series(1, 900)")
    await poll_until(statistics.renew, lambda renewed: "again" in renewed, 30)


async def estimate(db: Postgres) -> int:
    plan = json.loads(await db.value("explain (format json) select from filled"))
    return int(plan[0]["Plan"]["Plan Rows"])


async def test_a_table_that_was_analysed_before_its_rows_were_committed_is_analysed_again(
    db: Postgres, dsn: str
) -> None:
    """Postgres notes the rows of a transaction up to ten seconds after its end."""
    renew = Statistics(db).renew
    await db.run("create table filled (n int) with (autovacuum_enabled = off)")

    async def fill_and_renew() -> list[str]:
        async with planner(dsn) as connection, connection.transaction():
            await connection.execute("insert into filled select generate_series(1, 10000)")
            return await trio_asyncio.trio_as_aio(renew)()

    assert "filled" in await trio_asyncio.aio_as_trio(fill_and_renew)()
    assert await estimate(db) < 10
    assert "filled" in await renew()
    assert await estimate(db) > 9000
    assert await renew() == []


async def test_a_table_with_few_rows_in_many_pages_is_analysed_less_and_less_often(db: Postgres) -> None:
    statistics = Statistics(db)
    await db.run("create table sparse (n int) with (autovacuum_enabled = off)")
    await db.run("insert into sparse select generate_series(1, 10000)")
    await db.run("delete from sparse where n < 10000")
    await db.run("vacuum analyze sparse")
    renewed = [number for number in range(40) if "sparse" in await statistics.renew()]
    assert renewed == [0, 2, 4, 8, 16, 32]
