"""The latency of other clients, with and without one client that floods the server.

The flooding client sends commands without reading answers, and reconnects at once after a close or a refusal.

python -m bench.fairness
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from bench.report import main, percentiles
from bench.scenario import Bench, Figures, Goal
from bench.send import Writer, pairs_of
from bench.servers import Chatd, Server
from bench.wire import Load, frame
from chatd.bench.own_server import RAISED_LIMITS

# The default limits per user; all other limits are raised.
COMMANDS = {
    "COMMANDS_PER_SECOND": 50,
    "COMMANDS_BURST": 200,
    "USER_COMMANDS_PER_SECOND": 100,
    "USER_COMMANDS_BURST": 400,
}
PAUSE_S = 0.1
FLOODED = frame(b"\x92\x01\x82\xa1t\xa4ping\xa2ts\x01", 2) * 1000


def flood(server: Chatd, user: str) -> None:
    """Run until the process ends."""
    while True:
        with suppress(OSError):
            connection = server.connect(user)
            while True:
                connection.sock.sendall(FLOODED)


@contextmanager
def flooding(server: Chatd) -> Iterator[None]:
    process = multiprocessing.get_context("fork").Process(target=flood, args=(server, str(uuid4())), daemon=True)
    process.start()
    try:
        time.sleep(1)
        yield
    finally:
        process.kill()
        process.join()


def run(server: Server, options: argparse.Namespace, step: Callable[[], None]) -> Figures:
    assert isinstance(server, Chatd)
    times: list[float] = []
    writers = pairs_of(server, options.pairs, times)
    load = Load([writer.connection for writer in writers])
    paced(load, writers, 10, step)
    times.clear()
    paced(load, writers, options.messages, step)
    alone = percentiles(times)
    times.clear()
    with flooding(server):
        paced(load, writers, options.messages, step)
    beside = percentiles(times)
    load.close()
    cases = {"alone": alone, "flooded": beside}
    figures = {f"{case} {name}": value for case, found in cases.items() for name, value in found.items()}
    return {**figures, "p99 flooded / alone": beside["latency p99 ms"] / alone["latency p99 ms"]}


def paced(load: Load, writers: list[Writer], count: int, step: Callable[[], None]) -> None:
    """Send a message from each user every PAUSE_S, regardless of latency."""
    for _ in range(count):
        began = time.perf_counter()
        for writer in writers:
            writer.start(1)
        load.run_until(lambda: all(writer.acked for writer in writers))
        time.sleep(max(0.0, PAUSE_S - (time.perf_counter() - began)))
        step()


BENCH = Bench(
    "fairness",
    "the latency of others beside a client that floods",
    "p99 flooded / alone",
    run,
    lambda options: 2 * options.messages + 10,
    lambda options: [Goal("p99 flooded / alone", most=1.5)],
    {"pairs": 10, "messages": 100},
    limits={**RAISED_LIMITS, **COMMANDS},
    has_peers=False,
)

if __name__ == "__main__":
    main(BENCH)
