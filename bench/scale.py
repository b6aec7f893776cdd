"""Fill a database with messages, and check that every statement uses an index.

python -m bench.scale --messages 10000000 [--dsn postgresql://...]

Without --dsn, an embedded Postgres in a temporary folder is filled and removed afterwards. One conversation holds a
tenth of all messages, most hold a few hundred. Every statement of sql/ is planned as the daemon plans it (generic plan,
with its settings); statements that scan a whole large table are printed, and the exit code is 1 if a client waits for
one of them. The frequent statements are run with existing values, and the slowest are printed.
"""

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import trio

from bench.scale_data import FILL, HOT, PATIENT, SETTINGS, sample
from chatd import __version__
from chatd.conversations.log.statements import NESTED
from chatd.core.config import PostgresSection
from chatd.db import migrations, queries
from chatd.db.embedded import postgres
from chatd.db.postgres import prepare, server_settings
from chatd.subsystems import schemas_of

LARGE = ("messages", "members", "conversations", "users", "search_index", "reactions", "mentions", "marks")
# A table of fewer pages is read at once: no index makes that faster.
MIN_PAGES = 16
LARGE_NOW = "select relname from pg_class where relname = any($1::text[]) and relpages >= $2 order by 1"
QUICK = {"fsync": "off", "synchronous_commit": "off", "max_wal_size": "8GB", "maintenance_work_mem": "512MB"}


async def fill(connection: Any, messages: int) -> None:
    """Fill the database in steps with a progress bar."""
    for name, sql in FILL.items():
        began = time.monotonic()
        await connection.execute(sql.format(messages=messages, conversations=max(100, messages // 500)))
        print(f"{name:28} {time.monotonic() - began:8.1f} s", flush=True)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


async def whole_tables(connection: Any, sql: str, settings: str) -> list[str]:
    """The large tables that a statement scans completely, as they are filled now."""
    async with connection.transaction():
        await connection.execute(settings)
        return await whole_tables_of_plan(connection, sql)


async def whole_tables_of_plan(connection: Any, sql: str) -> list[str]:
    values = ", ".join(["null"] * len((await connection.prepare(sql)).get_parameters()))
    await connection.execute(f"prepare looked as {sql}")
    text = await connection.fetchval(f"explain (format json) execute looked{f'({values})' if values else ''}")
    await connection.execute("deallocate looked")
    plan = (json.loads(text) if isinstance(text, str) else text)[0]["Plan"]
    scanned = {node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan"} & set(LARGE)
    return [row["relname"] for row in await connection.fetch(LARGE_NOW, sorted(scanned), MIN_PAGES)]


async def look_at_plans(connection: Any) -> list[str]:
    """Statements that a client waits for and that scan a large table completely."""
    found = []
    for file in queries.names():
        for name, sql in queries.load(file).statements.items():
            if sql.startswith("do "):  # cannot be prepared
                continue
            tables = await whole_tables(connection, sql, SETTINGS.get(Path(file).name, "select"))
            if tables and f"{Path(file).name}.{name}" not in PATIENT:
                found.append(f"{Path(file).name}.{name} reads all of {', '.join(tables)}")
    return found


async def run_hot(connection: Any, rng: random.Random, rounds: int) -> list[tuple[float, float, str]]:
    """Median and slowest time of each hot statement in milliseconds, the slowest first."""
    known = await sample(connection)
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for label, (name, args) in HOT.items():
            stem, _, statement = name.partition(".")
            file = next(one for one in queries.names() if Path(one).name == stem)
            values = args(rng, rng.choice(known))
            began = time.perf_counter()
            await connection.fetch(queries.load(file).statements[statement], *values)
            times.setdefault(f"{label} ({name})", []).append((time.perf_counter() - began) * 1000)
    return sorted(((sorted(t)[len(t) // 2], max(t), name) for name, t in times.items()), reverse=True)


async def scale(dsn: str, messages: int, rounds: int) -> bool:
    patient = PostgresSection(timeout=36_000)
    connection = await asyncpg.connect(dsn, server_settings=server_settings(patient, "bench"), timeout=60)
    await prepare(connection)
    await migrations.apply_pending(connection, schemas_of(), __version__)
    await fill(connection, messages)
    await connection.execute(NESTED.split(";")[0])
    found = await look_at_plans(connection)
    print("\n".join(found) or "every statement finds its rows through an index")
    for median, slowest, name in await run_hot(connection, random.Random(1), rounds):
        print(f"{median:9.2f} ms median {slowest:9.2f} ms slowest  {name}")
    await connection.close()
    return not found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--dsn", help="an empty database of your own")
    options = parser.parse_args()
    if options.dsn:
        sys.exit(0 if asyncio.run(scale(options.dsn, options.messages, options.rounds)) else 1)
    folder = Path(tempfile.mkdtemp(prefix="chatd-scale-"))
    server = postgres.Server(folder / "postgres", QUICK)
    trio.run(server.start)
    try:
        fine = asyncio.run(scale(server.dsn, options.messages, options.rounds))
    finally:
        trio.run(server.stop, "immediate")
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
