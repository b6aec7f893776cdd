"""Authenticated connects, and the memory of an idle session.

python -m bench.connect --peer
"""

import argparse
import time
from collections.abc import Callable
from uuid import uuid4

from bench.report import Bench, Figures, Goal, main, percentiles
from bench.servers import Server, settle


def run(server: Server, options: argparse.Namespace, step: Callable[[], None]) -> Figures:
    users = [str(uuid4()) for _ in range(options.connections)]
    for user in users:
        server.connect(user).close()
    settle()
    # Keep these connected: the memory they free would be reused and hide the cost of the next ones.
    earlier = [server.connect(str(uuid4())) for _ in users]
    settle()
    peers, times = [], []
    memory, before = server.resident(), server.cpu()
    for number, user in enumerate(users):
        started = time.perf_counter()
        peers.append(server.connect(user))
        times.append(time.perf_counter() - started)
        if number % 20 == 0:
            step()
    used = server.cpu().since(before)
    settle()
    kept = server.resident() - memory
    for peer in (*earlier, *peers):
        peer.close()
    count = len(users)
    return {
        "server us per connect": used.total / count * 1e6,
        "kernel share %": used.kernel_percent,
        "KB per idle session": kept / count / 1024,
        **percentiles(times),
    }


if __name__ == "__main__":
    goals = [Goal("server us per connect", ratio=1.5), Goal("KB per idle session", most=20)]
    main(Bench("connect", run, lambda options: options.connections // 20, goals, {"connections": 1500}))
