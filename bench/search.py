"""Search at scale: N messages inserted directly, indexed by the real indexer, and the slowest searches.

    python -m bench.search [--messages 1000000] [--searches 200]

Everything runs in one process against an embedded Postgres. Words follow Zipf's law; every tenth message is Chinese.
One searching user is in 50 conversations, another in the largest ones, a third in 2000.
"""

import argparse
import itertools
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import trio
import trio_asyncio

from chatd.app.context import Ctx
from chatd.core.config import PostgresSection
from chatd.db import migrations
from chatd.db.embedded import postgres
from chatd.db.postgres import Postgres, open_postgres
from chatd.search.indexer import Indexer
from chatd.search.page import Search
from chatd.search.query import parse
from chatd.subsystems import schemas_of

YEARS = 3
DAY = 86_400_000
NOW = 1_800_000_000_000
# One of the users is in 2000 conversations.
CONVERSATIONS, MIN_CONVERSATIONS, HUGE = 20_000, 2_100, 5
WORDS, CHINESE = 50_000, 3000
BLOCK = 20_000


def uuid_of(kind: int, number: int) -> str:
    return str(UUID(int=kind << 96 | number | 7 << 76 | 2 << 62))


USERS = {
    "in 50 conversations": uuid_of(1, 1),
    "in the 5 largest": uuid_of(1, 2),
    "in 2000 conversations": uuid_of(1, 3),
}


@dataclass
class Asker:
    """The part of a command context that a search uses."""

    node: Any
    user: str
    tenant: str = "default"
    now: int = NOW


@dataclass
class Node:
    db: Postgres


class Vocabulary:
    """Words by rank: the first is the most frequent."""

    def __init__(self, rng: random.Random) -> None:
        self.words = [
            f"{rng.choice('bcdfghklmnprstvw')}{rng.choice('aeiou')}{self.tail(number)}" for number in range(WORDS)
        ]
        self.characters = [chr(0x4E00 + number) for number in range(CHINESE)]
        self._weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(WORDS)))
        self._weights_of_characters = list(itertools.accumulate(1 / (rank + 3) for rank in range(CHINESE)))

    @staticmethod
    def tail(number: int) -> str:
        text = ""
        while number:
            number, letter = divmod(number, 20)
            text += "aeioubcdfghklmnprstvw"[letter]
        return text

    def text(self, rng: random.Random) -> str:
        if rng.random() < 0.1:
            return "".join(rng.choices(self.characters, cum_weights=self._weights_of_characters, k=rng.randint(4, 40)))
        return " ".join(rng.choices(self.words, cum_weights=self._weights, k=rng.randint(2, 24)))


def sizes(messages: int, conversations: int) -> list[int]:
    """Sizes of the conversations: each of the largest holds a twentieth of all messages."""
    huge = [messages // 20] * HUGE
    rest, weights = messages - sum(huge), [1 / (rank + 20) for rank in range(conversations - HUGE)]
    return huge + [max(1, int(rest * weight / sum(weights))) for weight in weights]


async def fill(db: Postgres, messages: int, conversations: int, words: Vocabulary, rng: random.Random) -> int:
    """Insert users, conversations and messages in order of time; return the number of messages."""
    await db.run("insert into tenants (id, created_at) values ('default', 0)")
    counts = sizes(messages, conversations)
    users = [*USERS.values(), *(uuid_of(1, 10 + number) for number in range(50))]
    await db.run("insert into users (tenant, id, created_at) select 'default', unnest($1::uuid[]), 0", users)
    await db.run(
        "insert into conversations (tenant, id, kind, members, created_at, active_at, seq, rev) "
        "select 'default', u.id, 'group', 3, 0, $3, u.n, u.n from unnest($1::uuid[], $2::bigint[]) as u (id, n)",
        [uuid_of(2, number) for number in range(len(counts))], counts, NOW,
    )  # fmt: skip
    members = [(USERS["in 50 conversations"], number) for number in range(HUGE + 100, HUGE + 150)]
    members += [(USERS["in the 5 largest"], number) for number in range(HUGE)]
    members += [(USERS["in 2000 conversations"], number) for number in range(HUGE + 20, HUGE + 2020)]
    await db.run(
        "insert into members (tenant, conversation, user_id, joined_at, rev) "
        "select 'default', u.c, u.u, 0, 0 from unnest($1::uuid[], $2::uuid[]) as u (u, c)",
        [user for user, _ in members], [uuid_of(2, number) for _, number in members],
    )  # fmt: skip
    total, at, order = sum(counts), 0, [number for number, count in enumerate(counts) for _ in range(count)]
    rng.shuffle(order)
    seqs = [0] * len(counts)
    for block in blocks(order):
        rows = []
        for number in block:
            seqs[number] += 1
            created = NOW - YEARS * 365 * DAY * (total - at) // total
            sender = users[at % len(users)]
            rows.append(
                (
                    "default",
                    uuid_of(2, number),
                    seqs[number],
                    seqs[number],
                    uuid_of(3, at),
                    sender,
                    f"c{at}",
                    words.text(rng),
                    created,
                )
            )
            at += 1
        await db.run_on_connection(lambda connection, rows=rows: insert(connection, rows), timeout=300)
    return total


def blocks(order: Sequence[int]) -> Iterator[Sequence[int]]:
    for at in range(0, len(order), BLOCK):
        yield order[at : at + BLOCK]


INSERT = """
    insert into messages (tenant, conversation, seq, rev, id, sender, client_id, text, created_at)
    select * from unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::uuid[], $6::uuid[], $7::text[],
        $8::text[], $9::bigint[])
"""


async def insert(connection: Any, rows: list[tuple[Any, ...]]) -> None:
    await connection.execute("set statement_timeout = 0")
    await connection.execute(INSERT, *map(list, zip(*rows, strict=True)))


async def timed(call: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


def queries(words: Vocabulary, rng: random.Random, count: int) -> dict[str, list[str]]:
    """Kinds of searches."""
    some = lambda low, high: words.words[rng.randrange(low, high)]  # noqa: E731
    character = lambda low, high: words.characters[rng.randrange(low, high)]  # noqa: E731
    made: dict[str, Callable[[], str]] = {
        "frequent word": lambda: f'"{some(0, 20)}"',
        "two frequent words": lambda: f'"{some(0, 20)}" "{some(0, 20)}"',
        "middling word": lambda: f'"{some(300, 3000)}"',
        "rare word": lambda: f'"{some(20_000, WORDS)}"',
        "no such word": lambda: '"doesnotexist"',
        "frequent and rare": lambda: f'"{some(0, 20)}" "{some(20_000, WORDS)}"',
        "phrase of frequent words": lambda: f'"{some(0, 20)} {some(0, 20)} {some(0, 20)}"',
        "prefix of three letters": lambda: some(100, 3000)[:3],
        "one Chinese character": lambda: character(0, 100),
        "two Chinese characters": lambda: character(0, 300) + character(0, 300),
        "four Chinese characters": lambda: "".join(character(0, 100) for _ in range(4)),
        "old, frequent": lambda: f'"{some(0, 20)}" before:2024-06-01',
        "only a sender": lambda: f"from:{uuid_of(1, 10 + rng.randrange(50))}",
        "hostile: 250 words": lambda: " ".join(rng.sample("abcdefghijklmnopqrstuvwxyz", 26)) + " a" * 200,
        "hostile: without": lambda: f'"{some(0, 5)}" ' + " ".join(f"-{some(0, 40)}" for _ in range(40)),
    }
    return {kind: [make() for _ in range(count)] for kind, make in made.items()}


async def searches(db: Postgres, words: Vocabulary, rng: random.Random, count: int) -> None:
    print(f"{'':28}{'':26}{'median':>9}{'worst':>9}{'hits':>6}  (ms)")
    for kind, asked in queries(words, rng, count).items():
        for name, user in USERS.items():
            took, hits, failed = [], [], 0
            for query in asked:
                search = Search(cast(Ctx, Asker(Node(db), user)), parse(query), 20)
                began = time.perf_counter()
                try:
                    await search.run(None)
                except Exception as error:
                    failed += 1
                    print(query, error)
                took.append((time.perf_counter() - began) * 1000)
                hits.append(len(search.hits))
            bad = f"  {failed} failed" if failed else ""
            print(
                f"{kind:28}{name:26}{statistics.median(took):9.1f}{max(took):9.1f}{statistics.mean(hits):6.1f}{bad}",
                flush=True,
            )


async def bench(arguments: argparse.Namespace, folder: Path) -> None:
    server = postgres.Server(folder, {"shared_buffers": "512MB", "max_wal_size": "4GB"})
    await server.start()
    try:
        async with trio_asyncio.open_loop(), open_postgres(server.dsn, PostgresSection(timeout=60)) as db:
            await migrations.migrate(db, schemas_of())
            rng = random.Random(1)
            words = Vocabulary(rng)
            began = time.perf_counter()
            total = await fill(db, arguments.messages, arguments.conversations, words, rng)
            took = time.perf_counter() - began
            print(f"{total} messages in {arguments.conversations} conversations written in {took:.0f} s", flush=True)
            await db.run_on_connection(
                lambda connection: connection.execute("set statement_timeout = 0; analyze"), timeout=300
            )
            indexer = Indexer(db)
            took = await timed(indexer.catch_up)
            print(f"indexed in {took:.0f} s: {indexed(indexer, took)}", flush=True)
            await print_sizes(db)
            await db.run_on_connection(
                lambda connection: connection.execute("set statement_timeout = 0; analyze"), timeout=300
            )
            await searches(db, words, rng, arguments.searches)
    finally:
        await server.stop("immediate")


def indexed(indexer: Indexer, took: float) -> str:
    return f"{indexer.indexed} messages, {indexer.indexed / took:.0f} a second"


async def print_sizes(db: Postgres) -> None:
    for name in ("messages", "search_index", "search_index_pkey", "search_index_words", "search_positions"):
        size = await db.value("select pg_table_size($1::text::regclass)", name)
        print(f"{name:24}{size / 2**20:9.0f} MiB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="search")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--conversations", type=int, default=CONVERSATIONS, help=f"at least {MIN_CONVERSATIONS}")
    parser.add_argument("--searches", type=int, default=20, help="of each kind, by each asker")
    folder = Path(tempfile.mkdtemp(prefix="chatd-bench-"))
    try:
        arguments = parser.parse_args()
        if arguments.conversations < MIN_CONVERSATIONS:
            parser.error(f"--conversations must be at least {MIN_CONVERSATIONS}")
        trio.run(bench, arguments, folder / "postgres")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
