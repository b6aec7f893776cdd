"""Authenticated connects, and the memory of an idle session.

python -m bench.connect --peer socket.io,ws
"""

import argparse
import time
from collections.abc import Callable
from uuid import uuid4
from weakref import WeakKeyDictionary

from bench.report import main, percentiles
from bench.scenario import Bench, Figures, Goal
from bench.servers import Server, settle

FIGURE, MEMORY = "server us per connect", "KB per idle session"
# The resident memory in bytes of each server before the first round.
EMPTY: WeakKeyDictionary[Server, int] = WeakKeyDictionary()


def run(server: Server, options: argparse.Namespace, step: Callable[[], None]) -> Figures:
    users = [str(uuid4()) for _ in range(options.connections)]
    for user in users:
        server.connect(user).close()
    settle()
    # Each was closed before the next one, so none of them left memory that the next ones could use. In a later round
    # there is such memory, of all connections of the round before.
    empty = EMPTY.setdefault(server, server.resident())
    earlier = [server.connect(str(uuid4())) for _ in users]
    settle()
    connections, times = [], []
    before = server.cpu()
    for number, user in enumerate(users):
        started = time.perf_counter()
        connections.append(server.connect(user))
        times.append(time.perf_counter() - started)
        if number % 20 == 0:
            step()
    used = server.cpu().since(before)
    settle()
    kept = server.resident() - empty
    for connection in (*earlier, *connections):
        connection.close()
    count = len(users)
    return {
        FIGURE: used.total / count * 1e6,
        "kernel share %": used.kernel_percent,
        MEMORY: kept / (len(earlier) + count) / 1024,
        **percentiles(times),
    }


BENCH = Bench(
    "connect",
    "authenticated connects",
    FIGURE,
    run,
    lambda options: max(1, options.connections // 20),
    lambda options: [Goal(FIGURE, ratio=0.5), Goal(MEMORY, most=15)],
    {"connections": 1500},
)

if __name__ == "__main__":
    main(BENCH)
