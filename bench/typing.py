"""Typing events, forwarded to a partner; no database.

python -m bench.typing --peer
python -m bench.typing --peer --unanswered
"""

import argparse
from collections.abc import Callable
from uuid import uuid4

from bench.report import Bench, Figures, Goal, main
from bench.servers import Server
from bench.wire import Load, Peer


class Typist:
    """A client that sends the next typing event when the partner has received the last."""

    def __init__(self, server: Server, peer: Peer, partner: Peer, payload: bytes) -> None:
        self.server, self.peer = server, peer
        self.payload = payload
        self.told = self.left = 0
        partner.on_message = self.on_message

    def start(self, count: int) -> None:
        self.left, self.told = count, 0
        self.send()

    def send(self) -> None:
        self.left -= 1
        self.peer.send(self.payload)

    def on_message(self, payload: bytes) -> None:
        if self.server.typing in payload:
            self.told += 1
            if self.left:
                self.send()


def run(server: Server, options: argparse.Namespace, step: Callable[[], None]) -> Figures:
    peers: list[Peer] = []
    typists: list[Typist] = []
    for _ in range(options.pairs):
        people = [(user, server.connect(user)) for user in (str(uuid4()), str(uuid4()))]
        peers += [peer for _, peer in people]
        room = server.room(people)
        payload = server.type_in(room, unanswered=options.unanswered)
        typists.append(Typist(server, people[0][1], people[1][1], payload))
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
    return {"server us per event": used.total / count * 1e6, "kernel share %": used.kernel / used.total * 100}


def exchange(load: Load, typists: list[Typist], count: int) -> None:
    for typist in typists:
        typist.start(count)
    load.run_until(lambda: all(typist.told == count for typist in typists))


if __name__ == "__main__":
    goals = [Goal("server us per event", ratio=1.0)]
    flags = {"unanswered": "chatd does not answer the commands (id 0); Socket.IO never does"}
    main(Bench("typing", run, lambda options: 10, goals, {"pairs": 50, "events": 500}, flags))
