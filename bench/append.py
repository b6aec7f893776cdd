"""What the statement that appends messages costs Postgres, with the schema of chatd and with variants of it.

    python -m bench.append [--batch 16] [--messages 20000] [--rounds 9] [--only NAME ...]

Each variant is a database of its own in one embedded Postgres, or in one with other settings. Each round appends the
same number of messages to all of them in turn, so that a ratio compares measurements that lie close together in time.
The client is asyncpg, and the process that is measured is the backend: its CPU time contains no client.
"""

import argparse
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import trio_asyncio

from bench.processes import cpu_of
from chatd.conversations.log.statements import NESTED, SQL
from chatd.db.embedded.postgres import embedded_postgres
from chatd.subsystems import schemas_of

USERS, CONVERSATIONS = 100, 50
SCHEMAS = ("db", "app", "accounts", "outbox", "uploads", "filters", "conversations")
PRESENT = "present"
# Messages that each database contains before the first round, so that the indexes have their usual depth.
PRELOADED, PRELOAD_BATCH = 60_000, 500
NOW = 1_800_000_000_000
Rewrite = Callable[[str], str]


def unchanged(sql: str) -> str:
    return sql


def with_integer_tenants(sql: str) -> str:
    sql = re.sub(r"\btenant text\b", "tenant integer", sql)
    sql = re.sub(r"\bid text primary key check .*,", "id integer primary key,", sql)
    return re.sub(r"\bp_tenant text(\[\])?", r"p_tenant integer\1", sql)


def with_uuid_client_ids(sql: str) -> str:
    return re.sub(r"\bclient_id text(?= not null)", "client_id uuid", sql).replace(
        "p_client_id text[]", "p_client_id uuid[]"
    )


def without_foreign_key(sql: str) -> str:
    key = ",\n    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade"
    rest = "\n);\ncreate index messages_rev"
    return sql.replace(key + rest, rest)


def without_outbox(sql: str) -> str:
    """Without the look-up of consumers, and the branch that writes for them."""
    sql = re.sub(
        r", exists \(\n.*?\n    \) into has_slow_mode, has_consumers from", " into has_slow_mode from", sql, flags=re.S
    )
    return re.sub(r"    if has_consumers then\n.*?    end if;\n(?=end \$\$;)", "", sql, flags=re.S)


def without_requests(sql: str) -> str:
    return sql.replace(" or l.max_seq is not null", "").replace(" when is_beyond[s.ord] then 'requested'", "")


@dataclass(frozen=True)
class Variant:
    """`after`: statements after the schema. `rewrite`: of the schema itself. `server`: settings of the server."""

    name: str
    after: tuple[str, ...] = ()
    rewrite: Rewrite = unchanged
    server: dict[str, str] = field(default_factory=dict)
    session: str = NESTED
    tenant: str | int = "default"


# As many as there were before the columns of conversations got types with checks of their own.
MORE_CHECKS = tuple(f"alter table conversations add check (slow_seconds < {100_000 + n})" for n in range(8))
CONSUMER = (
    f"insert into tenants (id, created_at) values ('default', {NOW})",
    "insert into outbox_interests (type, tenant, consumer) values ('message.created', 'default', 'webhooks')",
)
# What the branch of append_messages() does, as a trigger on the statement.
TRIGGER = """
create function add_messages_to_outbox() returns trigger language plpgsql as $$
begin
    insert into outbox (consumer, tenant, type, key, subject, seq, user_id, at)
    select i.consumer, i.tenant, i.type, n.conversation, n.id, n.seq, n.sender, n.created_at
    from new_messages n
    join outbox_interests i on i.type = 'message.created' and i.tenant = n.tenant
    order by n.conversation, n.seq;
    return null;
end $$;
create trigger messages_outbox after insert on messages referencing new table as new_messages
for each statement execute function add_messages_to_outbox()
"""
VARIANTS = [
    Variant(PRESENT),
    Variant(f"{PRESENT} again"),
    Variant("no outbox", rewrite=without_outbox),
    Variant("a consumer of the outbox", CONSUMER),
    Variant("outbox by a trigger", (TRIGGER,), rewrite=without_outbox),
    Variant("outbox by a trigger, with a consumer", (TRIGGER, *CONSUMER), rewrite=without_outbox),
    Variant("no index on rev", ("drop index messages_rev",)),
    Variant("no index on id", ("drop index messages_id",)),
    Variant("no partial indexes", ("drop index messages_expiry", "drop index messages_pinned")),
    Variant("no foreign key", rewrite=without_foreign_key),
    Variant("no requests", rewrite=without_requests),
    Variant("eight more checks of conversations", MORE_CHECKS),
    Variant("client_id as uuid", rewrite=with_uuid_client_ids),
    Variant("tenant as integer", rewrite=with_integer_tenants, tenant=1),
    Variant("fillfactor 100 of messages", ("alter table messages set (fillfactor = 100)",)),
    Variant("fillfactor 50 of conversations", ("alter table conversations set (fillfactor = 50)",)),
    Variant("custom plans", session="set plan_cache_mode = force_custom_plan"),
    Variant("free planner", session=""),
    Variant("wal_compression off", server={"wal_compression": "off"}),
    Variant("commit_delay 200 us", server={"commit_delay": "200", "commit_siblings": "0"}),
    Variant("jit off", server={"jit": "off"}),
]


class Database:
    """A database with the schema of a variant, and one connection that appends as the log does."""

    def __init__(self, variant: Variant, connection: Any) -> None:
        self.variant = variant
        self._connection = connection
        self._number = 0
        self._statement: Any = None

    async def fill(self) -> None:
        connection, tenant = self._connection, self.variant.tenant
        await connection.execute("set synchronous_commit = on; " + self.variant.session)
        for sql in tables():
            await connection.execute(self.variant.rewrite(sql))
        for statement in self.variant.after:
            await connection.execute(statement)
        await connection.execute(
            "insert into tenants (id, created_at) values ($1, $2) on conflict do nothing", tenant, NOW
        )
        await connection.executemany(
            "insert into users (tenant, id, created_at) values ($1, $2, $3)",
            [(tenant, user(n), NOW) for n in range(USERS)],
        )
        await connection.executemany(
            "insert into conversations (tenant, id, kind, members, created_at, active_at) "
            "values ($1, $2, 'group', 2, $3, $3)",
            [(tenant, conversation(n), NOW) for n in range(CONVERSATIONS)],
        )
        await connection.executemany(
            "insert into members (tenant, conversation, user_id, joined_at, rev) values ($1, $2, $3, $4, 0)",
            [(tenant, conversation(n % CONVERSATIONS), user(n), NOW) for n in range(USERS)],
        )
        self._statement = await connection.prepare(SQL.append_messages)
        await self.append(PRELOADED, PRELOAD_BATCH)
        await connection.execute("analyze")

    async def append(self, messages: int, batch: int) -> None:
        for _ in range(0, messages, batch):
            await self._append_batch(batch)

    async def measure(self, messages: int, batch: int) -> tuple[float, float, float]:
        """CPU of the backend in microseconds a message, its WAL in bytes a message, milliseconds a batch."""
        pid = self._connection.get_server_pid()
        wal, before, started = await self._wal(), cpu_of([pid]), time.perf_counter()
        await self.append(messages, batch)
        took = time.perf_counter() - started
        return (
            cpu_of([pid]).since(before).total / messages * 1e6,
            (await self._wal() - wal) / messages,
            took / (messages / batch) * 1e3,
        )

    async def _append_batch(self, size: int) -> None:
        numbers = range(self._number, self._number + size)
        self._number += size
        ids = [str(UUID(int=n << 76 | 7 << 76 | 2 << 62 | n)) for n in numbers]
        rows = await self._statement.fetch(
            [self.variant.tenant] * size,
            [conversation(n % CONVERSATIONS) for n in numbers],
            [user(n % USERS) for n in numbers],
            ids,
            ids,
            [f"message {n}, of a usual length for a chat" for n in numbers],
            None, None, None, None,
            NOW,
        )  # fmt: skip
        assert all(row["outcome"] == "new" for row in rows)

    async def _wal(self) -> int:
        return int(await self._connection.fetchval("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


def tables() -> list[str]:
    """The tables that an append reads and writes, and its functions."""
    schemas = [schema for schema in schemas_of() if schema.subsystem in SCHEMAS]
    return [script.sql for schema in schemas for script in [*schema.migrations(), *schema.functions()]]


def user(number: int) -> str:
    return str(UUID(int=1 << 96 | number | 7 << 76 | 2 << 62))


def conversation(number: int) -> str:
    return str(UUID(int=2 << 96 | number | 7 << 76 | 2 << 62))


async def open_database(number: int, variant: Variant, dsn: str) -> Database:
    admin = await asyncpg.connect(dsn)
    await admin.execute(f"create database variant_{number}")
    await admin.close()
    connection = await asyncpg.connect(dsn, database=f"variant_{number}")
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str)
    database = Database(variant, connection)
    await database.fill()
    return database


async def compare(variants: Sequence[Variant], dsns: Sequence[str], args: argparse.Namespace) -> None:
    databases = [
        await open_database(n, variant, dsn) for n, (variant, dsn) in enumerate(zip(variants, dsns, strict=True))
    ]
    found: dict[str, list[tuple[float, float, float]]] = {variant.name: [] for variant in variants}
    for number in range(args.rounds):
        turn = databases if number % 2 else databases[::-1]
        for database in turn:
            found[database.variant.name].append(await database.measure(args.messages, args.batch))
    print(f"{'variant':36} {'us':>6} {'ratio':>6} {'range':>14} {'WAL bytes':>10} {'ms':>6}")
    for name, rounds in found.items():
        cpu = [one[0] for one in rounds]
        ratios = [one / base[0] for one, base in zip(cpu, found[PRESENT], strict=True)]
        wal, took = (statistics.median(one[n] for one in rounds) for n in (1, 2))
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        us, ratio = statistics.median(cpu), statistics.median(ratios)
        print(f"{name:36} {us:6.1f} {ratio:6.2f} {spread:>14} {wal:10.0f} {took:6.2f}")


async def main(args: argparse.Namespace) -> None:
    variants = [one for one in VARIANTS if not args.only or one.name in {PRESENT, *args.only}]
    folder = Path(tempfile.mkdtemp(prefix="chatd-bench-"))
    try:
        async with AsyncExitStack() as stack:
            servers: dict[str, str] = {}
            for variant in variants:
                key = str(variant.server)
                if key not in servers:
                    data = folder / str(len(servers))
                    servers[key] = await stack.enter_async_context(embedded_postgres(data, variant.server))
            dsns = [servers[str(variant.server)] for variant in variants]
            await trio_asyncio.aio_as_trio(compare)(variants, dsns, args)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16, help="messages in one statement")
    parser.add_argument("--messages", type=int, default=20_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="variants beside the present schema")
    trio_asyncio.run(main, parser.parse_args())
