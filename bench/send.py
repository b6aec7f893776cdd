"""Persisted messages: pairs of users send to each other, each after the last acknowledgement (a closed loop).

python -m bench.send --peer
"""

import argparse
import time
from collections.abc import Callable
from uuid import uuid4

from bench.report import Bench, Figures, Goal, main, percentiles
from bench.servers import Server
from bench.wire import Load, Peer


class Writer:
    """A sender that sends its next message when the last one is acknowledged. The first one is not timed."""

    def __init__(self, server: Server, peer: Peer, room: str, times: list[float]) -> None:
        self.server, self.peer, self.room, self.times = server, peer, room, times
        self.acked = self.received = self.left = 0
        self.sent_at = 0.0
        peer.on_message = self.on_message

    def start(self, count: int) -> None:
        self.left = count
        self.send()

    def send(self) -> None:
        self.left -= 1
        self.sent_at = time.perf_counter()
        self.peer.send(self.server.message(self.room, str(uuid4())))

    def on_message(self, payload: bytes) -> None:
        if self.server.new in payload:
            self.received += 1
        elif self.server.ack in payload:
            self.times.append(time.perf_counter() - self.sent_at)
            self.acked += 1
            if self.left:
                self.send()
        elif payload == b"2":
            self.peer.send(b"3")


def run(server: Server, options: argparse.Namespace, step: Callable[[], None]) -> Figures:
    times: list[float] = []
    peers: list[Peer] = []
    writers: list[Writer] = []
    for _ in range(options.pairs):
        people = [(user, server.connect(user)) for user in (str(uuid4()), str(uuid4()))]
        peers += [peer for _, peer in people]
        room = server.room(people)
        writers += [Writer(server, peer, room, times) for _, peer in people]
    load = Load(peers)
    exchange(load, writers, 10)
    times.clear()
    before, database = server.cpu(), server.database_cpu()
    exchange(load, writers, options.messages, step)
    used, stored = server.cpu().since(before), server.database_cpu().since(database)
    for peer in peers:
        peer.close()
    count = len(writers) * options.messages
    both = used.total + stored.total
    return {
        "server us": used.total / count * 1e6,
        "Postgres us": stored.total / count * 1e6,
        "server + Postgres us": both / count * 1e6,
        "kernel share %": used.kernel_percent,
        **percentiles(times),
    }


def exchange(load: Load, writers: list[Writer], count: int, step: Callable[[], None] = lambda: None) -> None:
    """Send `count` messages from each user, and wait until all are delivered."""
    for writer in writers:
        writer.acked = writer.received = 0
        writer.start(count)
    goal, shown = len(writers) * count, 0

    def done() -> bool:
        nonlocal shown
        acked = sum(writer.acked for writer in writers)
        while shown < acked * 100 // goal:
            shown += 1
            step()
        return acked == goal and sum(writer.received for writer in writers) == goal

    load.run_until(done)


if __name__ == "__main__":
    goals = [Goal("server + Postgres us", ratio=0.40)]
    main(Bench("send: persisted, acked, delivered", run, lambda options: 100, goals, {"pairs": 50, "messages": 200}))
