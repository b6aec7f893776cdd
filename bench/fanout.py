"""A sender in a group, and the delivery to all its members.

chatd stores each message; the peer only forwards it. The figure is per delivery, so the cost of storing hardly counts.
python -m bench.fanout --peer
"""

import argparse
import time
from collections.abc import Callable
from uuid import uuid4

from bench.report import Bench, Figures, Goal, main, percentiles
from bench.servers import Server
from bench.wire import Load, Peer


def run(server: Server, options: argparse.Namespace, step: Callable[[], None]) -> Figures:
    people = [(user, server.connect(user)) for user in (str(uuid4()) for _ in range(options.members))]
    room = server.room(people)
    sender, *others = [peer for _, peer in people]
    state = {"acked": 0, "delivered": 0}
    times: list[float] = []

    def on_ack(payload: bytes) -> None:
        if server.ack in payload:
            state["acked"] += 1

    def on_new(payload: bytes) -> None:
        if server.new in payload:
            state["delivered"] += 1

    sender.on_message = on_ack
    for peer in others:
        peer.on_message = on_new
    load = Load([sender, *others])
    for _ in range(3):
        send_one(server, load, sender, room, state, len(others))
    before = server.cpu()
    for _ in range(options.messages):
        started = time.perf_counter()
        send_one(server, load, sender, room, state, len(others))
        times.append(time.perf_counter() - started)
        step()
    used = server.cpu().since(before)
    for _, peer in people:
        peer.close()
    count = options.messages * len(others)
    return {
        "server us per delivery": used.total / count * 1e6,
        "kernel share %": used.kernel_percent,
        **percentiles(times),
    }


def send_one(server: Server, load: Load, sender: Peer, room: str, state: dict[str, int], audience: int) -> None:
    """Send one message and wait until all members have it."""
    state["acked"] = state["delivered"] = 0
    sender.send(server.message(room, str(uuid4()), stored=server.name == "chatd"))
    load.run_until(lambda: state["acked"] == 1 and state["delivered"] == audience)


if __name__ == "__main__":
    goals = [Goal("server us per delivery", ratio=0.60)]
    main(Bench("fan-out", run, lambda options: options.messages, goals, {"members": 500, "messages": 300}))
