"""What this node counts about commands. Plain numbers that one thread changes; `statistics.Watch` reads them."""

from collections import Counter

from chatd.core.histogram import Histogram
from chatd.wire.base import Command

# How the end of a session is counted that nobody here wanted: the peer closed, or is gone.
BY_PEER = "by_peer"


class LatencyByCommand(dict[type[Command], Histogram]):
    """How long the handlers took, by command."""

    def __missing__(self, kind: type[Command]) -> Histogram:
        found = self[kind] = Histogram()
        return found


class CommandMetrics:
    """`commands` that were run, `refusals` by code (also of frames that were no command), `closes` of sockets by name."""

    __slots__ = ("closes", "commands", "refusals")

    def __init__(self) -> None:
        self.commands = LatencyByCommand()
        self.refusals: Counter[str] = Counter()
        self.closes: Counter[str] = Counter()
