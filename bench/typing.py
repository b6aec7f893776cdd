"""Typing events, forwarded to a partner; no database.

python -m bench.typing --peer socket.io,ws
python -m bench.typing --peer socket.io,ws --unanswered
python -m bench.typing --members 50    # one typist who repeats `typing.start` in a group, as fast as it is answered
"""

import argparse
from collections.abc import Callable
from itertools import cycle
from uuid import uuid4

from bench.report import main
from bench.scenario import Bench, Figures, Goal, warm_up
from bench.servers import Chatd, Server, ServerFailed, settle
from bench.wire import Connection, Load

FIGURE = "server us per event"

# How an answer to a command with the id 1 begins, in msgpack.
ANSWER = b"\x92\x01"


class Typist:
    """A client that starts and stops typing in turns, each time when the partner has received the last event."""

    def __init__(
        self, server: Server, connection: Connection, partner: Connection, room: str, *, unanswered: bool
    ) -> None:
        self.server, self.connection = server, connection
        self.payloads = cycle([server.type_in(room, on=on, unanswered=unanswered) for on in (True, False)])
        self.received = self.left = self.count = 0
        partner.on_message = self.on_message

    def start(self, count: int) -> None:
        self.count = self.left = count
        self.received = 0
        self.send()

    def send(self) -> None:
        self.left -= 1
        self.connection.send(next(self.payloads))

    def on_message(self, payload: bytes) -> None:
        if self.server.typing in payload:
            self.received += 1
            if self.left:
                self.send()
            elif self.received > self.count:
                raise ServerFailed(f"{self.server.name} sent an event twice")


class Repeater:
    """A client that repeats `typing.start` as soon as the last one was answered. Not for peers, which do not answer."""

    def __init__(self, server: Server, connection: Connection, room: str) -> None:
        self.connection, self.payload = connection, server.type_in(room)
        self.answered = self.left = 0
        connection.on_message = self.on_message

    def start(self, count: int) -> None:
        self.left, self.answered = count - 1, 0
        self.connection.send(self.payload)

    def on_message(self, payload: bytes) -> None:
        if payload.startswith(ANSWER):
            self.answered += 1
            if self.left:
                self.left -= 1
                self.connection.send(self.payload)


def run_group(server: Server, options: argparse.Namespace, step: Callable[[], None]) -> Figures:
    """The cost of a repetition, with all deliveries to the other members. Raises ServerFailed for peers."""
    if not isinstance(server, Chatd):
        raise ServerFailed(f"{server.name} does not answer typing events, which --members needs")
    people = [(user, server.connect(user)) for user in (str(uuid4()) for _ in range(options.members))]
    connections = [connection for _, connection in people]
    room = server.room(people)
    settle()
    delivered = 0

    def on_event(payload: bytes) -> None:
        nonlocal delivered
        delivered += server.typing in payload

    for connection in connections[1:]:
        connection.on_message = on_event
    load, typist = Load(connections), Repeater(server, connections[0], room)
    repeat(load, typist, 10)
    delivered, before = 0, server.cpu()
    for _ in range(10):
        repeat(load, typist, options.events // 10)
        step()
    used, count = server.cpu().since(before), options.events // 10 * 10
    load.close()
    return {
        "server us per repetition": used.total / count * 1e6,
        "kernel share %": used.kernel_percent,
        "deliveries per repetition": delivered / count,
    }


def repeat(load: Load, typist: Repeater, count: int) -> None:
    typist.start(count)
    load.run_until(lambda: typist.answered >= count)


def run(server: Server, options: argparse.Namespace, step: Callable[[], None]) -> Figures:
    if options.members > 2:
        return run_group(server, options, step)
    connections: list[Connection] = []
    typists: list[Typist] = []
    for _ in range(options.pairs):
        people = [(user, server.connect(user)) for user in (str(uuid4()), str(uuid4()))]
        connections += [connection for _, connection in people]
        room = server.room(people)
        typists.append(Typist(server, people[0][1], people[1][1], room, unanswered=options.unanswered))
    load = Load(connections)
    exchange(load, typists, warm_up(options.events))
    before = server.cpu()
    for _ in range(10):
        exchange(load, typists, options.events // 10)
        step()
    used = server.cpu().since(before)
    load.close()
    count = len(typists) * (options.events // 10) * 10
    return {FIGURE: used.total / count * 1e6, "kernel share %": used.kernel_percent}


def exchange(load: Load, typists: list[Typist], count: int) -> None:
    for typist in typists:
        typist.start(count)
    load.run_until(lambda: all(typist.received == count for typist in typists))


def goals(options: argparse.Namespace) -> list[Goal]:
    return [Goal(FIGURE, ratio=0.6 if options.unanswered else 0.9)]


BENCH = Bench(
    "typing",
    "typing events, forwarded to a partner",
    FIGURE,
    run,
    lambda options: 10,
    goals,
    {"pairs": 50, "events": 500, "members": 2},
    {"unanswered": "chatd does not answer the commands (id 0); the peers never do"},
)

if __name__ == "__main__":
    main(BENCH)
