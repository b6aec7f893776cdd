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

from bench.report import Bench, Figures, main, percentiles
from bench.send import Writer
from bench.servers import Chatd, Server
from bench.wire import Load, Peer, frame
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
            peer = server.connect(user)
            while True:
                peer.sock.sendall(FLOODED)


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
    peers: list[Peer] = []
    writers: list[Writer] = []
    for _ in range(options.pairs):
        people = [(user, server.connect(user)) for user in (str(uuid4()), str(uuid4()))]
        peers += [peer for _, peer in people]
        room = server.room(people)
        writers += [Writer(server, peer, room, times) for _, peer in people]
    load = Load(peers)
    paced(load, writers, 10, step)
    times.clear()
    paced(load, writers, options.messages, step)
    alone = percentiles(times)
    times.clear()
    with flooding(server):
        paced(load, writers, options.messages, step)
    beside = percentiles(times)
    for peer in peers:
        peer.close()
    cases = {"alone": alone, "flooded": beside}
    figures = {f"{case} {name}": value for case, found in cases.items() for name, value in found.items()}
    return {**figures, "p99 flooded / alone": beside["latency p99 ms"] / alone["latency p99 ms"]}


def paced(load: Load, writers: list[Writer], count: int, step: Callable[[], None]) -> None:
    """Send a message from each user every PAUSE_S, regardless of latency."""
    for _ in range(count):
        began = time.perf_counter()
        for writer in writers:
            writer.acked = 0
            writer.start(1)
        load.run_until(lambda: all(writer.acked for writer in writers))
        time.sleep(max(0.0, PAUSE_S - (time.perf_counter() - began)))
        step()


if __name__ == "__main__":
    limits, options = {**RAISED_LIMITS, **COMMANDS}, {"pairs": 10, "messages": 100}
    main(
        Bench("fairness: others beside a flooder", run, lambda options: 2 * options.messages + 10, [], options, limits)
    )
