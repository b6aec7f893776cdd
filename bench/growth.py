"""Cost as it grows: CPU per message and memory per session, by the number of sessions and of nodes.

python -m bench.growth --write /tmp/growth    # growth.json and growth.svg in this folder

All nodes share one Postgres and one Redis. Users connect to the nodes in turn. Pairs of users on neighbouring nodes
send to each other, each after the last acknowledgement; all other sessions are idle, without conversations. CPU is that
of all nodes with their index processes.
"""

import argparse
import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import matplotlib
from matplotlib.figure import Figure
from redis import Redis as Client
from rich.console import Console
from rich.table import Table

from bench.peers import Databases, databases
from bench.processes import Cpu, cpu_of, cpu_of_family
from bench.scenario import Figures
from bench.send import Writer, exchange
from bench.servers import Chatd, settle, wait_until_idle
from bench.wire import Connection, Load
from chatd.bench.own_server import RAISED_LIMITS
from chatd.bench.processes import raise_file_limit
from chatd.db.embedded.sockets import listener

CPU, MEMORY = "nodes us per message", "KB per session"
# Users that connect and leave on each node, so that what a node allocates once is not counted.
WARM_UP = 50
# Idle sessions are served after so many connects, or they would not answer pings.
CONNECTS_PER_TURN = 100
STORED = "select sum(pg_total_relation_size(oid)) from pg_class where relkind = 'r' and relpersistence = 'p'"


class Nodes:
    """Nodes of one cluster, as one server: user n connects to node n modulo their number."""

    name, ack, new, typing = "chatd", Chatd.ack, Chatd.new, Chatd.typing

    def __init__(self, data: Databases) -> None:
        self.redis = listener(Path(data.redis)) or 0
        self._data = data
        self._connected = 0
        self.nodes: list[Chatd] = []

    def start(self, count: int) -> None:
        settings = {"CHATD_POSTGRES__DSN": self._data.dsn, "CHATD_REDIS__URL": f"unix://{self._data.redis}"}
        for number in range(count):
            self.nodes.append(Chatd(RAISED_LIMITS, f"node {number}", settings))

    def connect(self, user: str) -> Connection:
        self._connected += 1
        return self.nodes[self._connected % len(self.nodes)].connect(user)

    def room(self, members: list[tuple[str, Connection]]) -> str:
        return self.nodes[0].room(members)

    def message(self, room: str, client_id: str, number: int = 1) -> bytes:
        return self.nodes[0].message(room, client_id, number)

    def broadcast(self, room: str, client_id: str) -> bytes:
        return self.message(room, client_id)

    def type_in(self, room: str, *, on: bool = True, unanswered: bool = False) -> bytes:
        return self.nodes[0].type_in(room, on=on, unanswered=unanswered)

    def cpu(self) -> Cpu:
        used = [cpu_of_family(node.pid) for node in self.nodes]
        return Cpu(sum(one.total for one in used), sum(one.kernel for one in used))

    def database_cpu(self) -> Cpu:
        return cpu_of_family(self._data.postmaster)

    def redis_cpu(self) -> Cpu:
        return cpu_of([self.redis])

    def resident(self) -> int:
        return sum(node.resident() for node in self.nodes)

    def close(self) -> None:
        for node in self.nodes:
            node.close()


class Sample:
    """What the servers have used and stored so far."""

    def __init__(self, nodes: Nodes, data: Databases) -> None:
        self.nodes, self.postgres, self.redis = nodes.cpu(), nodes.database_cpu(), nodes.redis_cpu()
        self.wal, self.stored = asyncio.run(sizes(data.dsn))
        with Client(unix_socket_path=data.redis) as client:
            info: Any = client.info("memory")
            self.redis_memory = int(info["used_memory"])

    def per(self, count: int, earlier: "Sample") -> Figures:
        """The difference by message."""
        return {
            CPU: (self.nodes.total - earlier.nodes.total) / count * 1e6,
            "Postgres us per message": (self.postgres.total - earlier.postgres.total) / count * 1e6,
            "Redis us per message": (self.redis.total - earlier.redis.total) / count * 1e6,
            "WAL bytes per message": (self.wal - earlier.wal) / count,
            "database bytes per message": (self.stored - earlier.stored) / count,
            "Redis MB": self.redis_memory / 2**20,
        }


async def sizes(dsn: str) -> tuple[int, int]:
    """Bytes of WAL written since the beginning, and of tables with their indexes."""
    connection = await asyncpg.connect(dsn)
    try:
        wal = await connection.fetchval("select pg_current_wal_lsn() - '0/0'::pg_lsn")
        return int(wal), int(await connection.fetchval(STORED))
    finally:
        await connection.close()


@contextmanager
def cluster(count: int) -> Iterator[tuple[Nodes, Databases]]:
    with databases() as data:
        nodes = Nodes(data)
        try:
            nodes.start(count)
            yield nodes, data
        finally:
            nodes.close()


def writers_of(nodes: Nodes, load: Load, pairs: int) -> list[Writer]:
    """Connected users in direct conversations, partners on neighbouring nodes."""
    writers: list[Writer] = []
    for _ in range(pairs):
        people = [(user, nodes.connect(user)) for user in (str(uuid4()), str(uuid4()))]
        room = nodes.room(people)
        one, other = (Writer(nodes, connection, room, []) for _, connection in people)
        one.partner, other.partner = other, one
        writers += [one, other]
        for _, connection in people:
            load.add(connection)
    return writers


def measure(count: int, options: argparse.Namespace) -> list[Figures]:
    """The figures of a cluster with this many nodes, by number of sessions."""
    found = []
    with cluster(count) as (nodes, data):
        for _ in range(WARM_UP * count):
            nodes.connect(str(uuid4())).close()
        load = Load([])
        writers = writers_of(nodes, load, min(options.pairs, min(options.sessions) // 2))
        exchange(load, writers, 5)
        sessions = len(writers)
        for goal in sorted(options.sessions):
            settle()
            added, memory, before = goal - sessions, nodes.resident(), nodes.cpu()
            for number in range(added):
                load.add(nodes.connect(str(uuid4())))
                if number % CONNECTS_PER_TURN == 0:
                    load.serve(0)
            figures: Figures = {"nodes": count, "sessions": goal}
            if added > 0:
                figures["nodes us per connect"] = nodes.cpu().since(before).total / added * 1e6
                figures[MEMORY] = (nodes.resident() - memory) / added / 1024
            sessions = goal
            load.serve(1)
            before = nodes.cpu()
            load.serve(options.idle)
            figures["idle nodes, % of a core"] = nodes.cpu().since(before).total / options.idle * 100
            sample = Sample(nodes, data)
            exchange(load, writers, options.messages // len(writers))
            wait_until_idle(nodes)
            figures |= Sample(nodes, data).per(options.messages // len(writers) * len(writers), sample)
            found.append(figures)
        load.close()
    return found


def picture(rows: list[Figures], path: Path) -> None:
    """Write one chart of each figure: a line for each number of nodes."""
    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), (CPU, MEMORY), strict=True):
        for count in sorted({row["nodes"] for row in rows}):
            points = [(row["sessions"], row[name]) for row in rows if row["nodes"] == count and name in row]
            axes.plot([x for x, _ in points], [y for _, y in points], "o-", label=f"{count:g} nodes")
        axes.set(title=name, xlabel="sessions", xscale="log")
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "chatd"}):
        figure.savefig(path, metadata={"Date": None})


def table_of(rows: list[Figures]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table("figure", *(f"{row['nodes']:g} x {row['sessions']:,g}" for row in rows), title="nodes x sessions")
    for name in names[2:]:
        table.add_row(name, *(f"{row[name]:,.1f}" if name in row else "" for row in rows))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU per message and memory per session as chatd grows")
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--sessions", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--pairs", type=int, default=50, help="pairs of users that send")
    parser.add_argument("--messages", type=int, default=10_000, help="of each measurement")
    parser.add_argument("--idle", type=float, default=5.0, help="seconds without messages")
    parser.add_argument("--write", type=Path, help="folder for growth.json and growth.svg")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    raise_file_limit()
    rows = [row for count in options.nodes for row in measure(count, options)]
    result = json.dumps({"bench": "growth", "rows": rows}, indent=1)
    if options.write:
        options.write.mkdir(parents=True, exist_ok=True)
        (options.write / "growth.json").write_text(result + "\n")
        picture(rows, options.write / "growth.svg")
    if options.json:
        print(result)
    else:
        Console(width=200).print(table_of(rows))


if __name__ == "__main__":
    main()
