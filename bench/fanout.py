"""A sender in a group, and the delivery to all its members.

chatd stores each message; the peers only forward it. The figure is per delivery, so the cost of storing hardly counts.
python -m bench.fanout --peer socket.io,ws
"""

import argparse
import time
from collections.abc import Callable
from uuid import uuid4

from bench.report import main, percentiles
from bench.scenario import Bench, Figures, Goal, warm_up
from bench.servers import Server, ServerFailed, wait_until_idle
from bench.wire import Connection, Load

FIGURE = "server us per delivery"


class Group:
    """A sender and its audience. Each message has to be acknowledged once, and delivered once to every member."""

    def __init__(self, server: Server, room: str, sender: Connection, audience: list[Connection]) -> None:
        self.server, self.room, self.sender = server, room, sender
        self.size = len(audience)
        self.load = Load([sender, *audience])
        self._client_id = b""
        self._acks = 0
        self._got: set[int] = set()
        sender.on_message = self.on_ack
        for number, connection in enumerate(audience):
            connection.on_message = lambda payload, number=number: self.on_new(payload, number)

    def send_one(self) -> None:
        """Send one message and wait until all members have it."""
        client_id = str(uuid4())
        self._client_id, self._acks = client_id.encode(), 0
        self._got.clear()
        self.sender.send(self.server.broadcast(self.room, client_id))
        self.load.run_until(lambda: self._acks == 1 and len(self._got) == self.size)

    def on_ack(self, payload: bytes) -> None:
        if self.server.ack in payload:
            self._acks += 1

    def on_new(self, payload: bytes, number: int) -> None:
        if self.server.new in payload:
            if number in self._got or self._client_id not in payload:
                raise ServerFailed(f"{self.server.name} sent what nobody expects: {payload[:300]!r}")
            self._got.add(number)


def run(server: Server, options: argparse.Namespace, step: Callable[[], None]) -> Figures:
    people = [(user, server.connect(user)) for user in (str(uuid4()) for _ in range(options.members))]
    room = server.room(people)
    sender, *audience = [connection for _, connection in people]
    group = Group(server, room, sender, audience)
    times: list[float] = []
    for _ in range(warm_up(options.messages)):
        group.send_one()
    wait_until_idle(server)
    before = server.cpu()
    for _ in range(options.messages):
        started = time.perf_counter()
        group.send_one()
        times.append(time.perf_counter() - started)
        step()
    wait_until_idle(server)
    used = server.cpu().since(before)
    group.load.close()
    return {
        FIGURE: used.total / (options.messages * group.size) * 1e6,
        "kernel share %": used.kernel_percent,
        **percentiles(times),
    }


BENCH = Bench(
    "fanout",
    "delivery to the members of a group",
    FIGURE,
    run,
    lambda options: options.messages,
    lambda options: [Goal(FIGURE, ratio=0.65), Goal("kernel share %", least=75)],
    {"members": 500, "messages": 300},
)

if __name__ == "__main__":
    main(BENCH)
