"""Persisted messages: pairs of users send to each other, each after the last acknowledgement (a closed loop).

python -m bench.send --peer socket.io,ws
python -m bench.send --peer socket.io --in-flight 4    # each connection has four messages without an acknowledgement
"""

import argparse
import time
from collections.abc import Callable
from uuid import uuid4

from bench.report import main, percentiles
from bench.scenario import Bench, Figures, Goal, warm_up
from bench.servers import Server, ServerFailed, wait_until_idle
from bench.wire import Connection, Load

FIGURE = "server + Postgres us"


class Writer:
    """A sender that has a number of messages in flight: it sends the next one when one is acknowledged.

    `partner`: the recipient. The verdict is exact: every message has to be acknowledged once and delivered once.
    """

    def __init__(
        self, server: Server, connection: Connection, room: str, times: list[float], in_flight: int = 1
    ) -> None:
        self.server, self.connection, self.room, self.times = server, connection, room, times
        self.partner: Writer | None = None
        self.acked = self.received = self.left = 0
        self._numbers = list(range(in_flight, 0, -1))
        # Messages without an acknowledgement: number of the command and time of sending, by client_id.
        self._open: dict[bytes, tuple[int, float]] = {}
        # Messages that are to be delivered to this user.
        self.expected: set[bytes] = set()
        connection.on_message = self.on_message

    def start(self, count: int) -> None:
        self.acked = self.received = 0
        self.left = count
        while self.left and self._numbers:
            self.send()

    def send(self) -> None:
        self.left -= 1
        client_id, number = str(uuid4()), self._numbers.pop()
        self._open[client_id.encode()] = number, time.perf_counter()
        if self.partner is not None:
            self.partner.expected.add(client_id.encode())
        self.connection.send(self.server.message(self.room, client_id, number))

    def on_message(self, payload: bytes) -> None:
        if self.server.new in payload:
            self.expected.remove(self._one_of(self.expected, payload))
            self.received += 1
        elif self.server.ack in payload:
            number, sent_at = self._open.pop(self._one_of(self._open, payload))
            self.times.append(time.perf_counter() - sent_at)
            self._numbers.append(number)
            self.acked += 1
            if self.left:
                self.send()
        else:
            self.on_other(payload)

    def _one_of(self, known: "set[bytes] | dict[bytes, tuple[int, float]]", payload: bytes) -> bytes:
        """The client_id in a message. Raises ServerFailed if it is not one of these."""
        for client_id in known:
            if client_id in payload:
                return client_id
        raise ServerFailed(f"{self.server.name} sent what nobody expects: {payload[:300]!r}")

    def on_other(self, payload: bytes) -> None:
        """An event that is neither; an error is one."""
        if b"error" in payload:
            raise ServerFailed(f"{self.server.name} refused a message: {payload[:300]!r}")


def pairs_of(server: Server, count: int, times: list[float], in_flight: int = 1) -> list[Writer]:
    """Connected users in direct conversations, partners in adjacent places."""
    writers: list[Writer] = []
    for _ in range(count):
        people = [(user, server.connect(user)) for user in (str(uuid4()), str(uuid4()))]
        room = server.room(people)
        one, other = (Writer(server, connection, room, times, in_flight) for _, connection in people)
        one.partner, other.partner = other, one
        writers += [one, other]
    return writers


def run(server: Server, options: argparse.Namespace, step: Callable[[], None]) -> Figures:
    times: list[float] = []
    writers = pairs_of(server, options.pairs, times, options.in_flight)
    load = Load([writer.connection for writer in writers])
    exchange(load, writers, warm_up(options.messages))
    wait_until_idle(server)
    times.clear()
    before, database = server.cpu(), server.database_cpu()
    exchange(load, writers, options.messages, step)
    wait_until_idle(server)
    used, stored = server.cpu().since(before), server.database_cpu().since(database)
    load.close()
    count = len(writers) * options.messages
    return {
        "server us": used.total / count * 1e6,
        "Postgres us": stored.total / count * 1e6,
        FIGURE: (used.total + stored.total) / count * 1e6,
        "kernel share %": used.kernel_percent,
        **percentiles(times),
    }


def exchange(load: Load, writers: list[Writer], count: int, step: Callable[[], None] = lambda: None) -> None:
    """Send `count` messages from each user, and wait until all are acknowledged and delivered."""
    for writer in writers:
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


def goals(options: argparse.Namespace) -> list[Goal]:
    return [Goal(FIGURE, ratio=0.30 if options.in_flight >= 4 else 0.45)]


BENCH = Bench(
    "send",
    "messages that are stored, acknowledged and delivered",
    FIGURE,
    run,
    lambda options: 100,
    goals,
    {"pairs": 50, "messages": 200, "in-flight": 1},
)

if __name__ == "__main__":
    main(BENCH)
