"""Typing events, forwarded to a partner; no database.

python -m bench.typing --peer
python -m bench.typing --peer --unanswered
python -m bench.typing --members 50    # one typist who repeats `typing.start` in a group, as fast as it is answered
"""

import argparse
from collections.abc import Callable
from itertools import cycle
from uuid import uuid4

from bench.report import Bench, Figures, Goal, main
from bench.servers import Server, settle
from bench.wire import Load, Peer

# How an answer to a command with the id 1 begins, in msgpack.
ANSWER = b"\x92\x01"


class Typist:
    """A client that starts and stops typing in turns, each time when the partner has received the last event."""

    def __init__(self, server: Server, peer: Peer, partner: Peer, room: str, *, unanswered: bool) -> None:
        self.server, self.peer = server, peer
        self.payloads = cycle([server.type_in(room, on=on, unanswered=unanswered) for on in (True, False)])
        self.received = self.left = 0
        partner.on_message = self.on_message

    def start(self, count: int) -> None:
        self.left, self.received = count, 0
        self.send()

    def send(self) -> None:
        self.left -= 1
        self.peer.send(next(self.payloads))

    def on_message(self, payload: bytes) -> None:
        if self.server.typing in payload:
            self.received += 1
            if self.left:
                self.send()


class Repeater:
    """A client that repeats `typing.start` as soon as the last one was answered. Not for the peer, which does not
    answer.
    """

    def __init__(self, server: Server, peer: Peer, room: str) -> None:
        self.peer, self.payload = peer, server.type_in(room)
        self.answered = self.left = 0
        peer.on_message = self.on_message

    def start(self, count: int) -> None:
        self.left, self.answered = count - 1, 0
        self.peer.send(self.payload)

    def on_message(self, payload: bytes) -> None:
        if payload.startswith(ANSWER):
            self.answered += 1
            if self.left:
                self.left -= 1
                self.peer.send(self.payload)


def run_group(server: Server, options: argparse.Namespace, step: Callable[[], None]) -> Figures:
    """The cost of a repetition, with all deliveries to the other members."""
    people = [(user, server.connect(user)) for user in (str(uuid4()) for _ in range(options.members))]
    peers = [peer for _, peer in people]
    room = server.room(people)
    settle()
    delivered = 0

    def on_event(payload: bytes) -> None:
        nonlocal delivered
        delivered += server.typing in payload

    for peer in peers[1:]:
        peer.on_message = on_event
    load, typist = Load(peers), Repeater(server, peers[0], room)
    repeat(load, typist, 10)
    delivered, before = 0, server.cpu()
    for _ in range(10):
        repeat(load, typist, options.events // 10)
        step()
    used, count = server.cpu().since(before), options.events // 10 * 10
    for peer in peers:
        peer.close()
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
    peers: list[Peer] = []
    typists: list[Typist] = []
    for _ in range(options.pairs):
        people = [(user, server.connect(user)) for user in (str(uuid4()), str(uuid4()))]
        peers += [peer for _, peer in people]
        room = server.room(people)
        typists.append(Typist(server, people[0][1], people[1][1], room, unanswered=options.unanswered))
    load = Load(peers)
    exchange(load, typists, 10)
    before = server.cpu()
    for _ in range(10):
        exchange(load, typists, options.events // 10)
        step()
    used = server.cpu().since(before)
    for peer in peers:
        peer.close()
    count = len(typists) * (options.events // 10) * 10
    return {"server us per event": used.total / count * 1e6, "kernel share %": used.kernel_percent}


def exchange(load: Load, typists: list[Typist], count: int) -> None:
    for typist in typists:
        typist.start(count)
    load.run_until(lambda: all(typist.received == count for typist in typists))


if __name__ == "__main__":
    goals = [Goal("server us per event", ratio=1.0)]
    flags = {"unanswered": "chatd does not answer the commands (id 0); Socket.IO never does"}
    main(Bench("typing", run, lambda options: 10, goals, {"pairs": 50, "events": 500, "members": 2}, flags))
