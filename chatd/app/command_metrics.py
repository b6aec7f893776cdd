"""What this node counts about commands. Plain numbers, changed by one thread; `operations/snapshot.py` reads them."""

from collections import Counter

from chatd.core.histogram import Histogram
from chatd.wire.base import Command

# The end of a session that the peer has closed, or whose connection broke.
BY_PEER = "by_peer"


class LatencyByCommand(dict[type[Command], Histogram]):
    """The time that commands took, by their type."""

    def __missing__(self, kind: type[Command]) -> Histogram:
        found = self[kind] = Histogram()
        return found


class CommandMetrics:
    """The counters of commands. `commands`: the latencies of all commands that were run. `refusals`: by code, including
    those of frames without a command. `closes`: of connections, by name.
    """

    __slots__ = ("closes", "commands", "refusals")

    def __init__(self) -> None:
        self.commands = LatencyByCommand()
        self.refusals: Counter[str] = Counter()
        self.closes: Counter[str] = Counter()
