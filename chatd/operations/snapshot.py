"""The state of this node as one value, for /metrics, the list of nodes (`node_registry`) and `chatd top`.

A snapshot reads everything at its source. Times are in milliseconds since 1970, durations in seconds. Counters only
grow as long as the process lives.
"""

import os
import socket

from msgspec import Struct

from chatd import __version__
from chatd.app.addresses import Addresses
from chatd.app.context import Node
from chatd.app.maintenance import Maintenance
from chatd.app.metrics import NO_LABELS, Durations, Labels, Metrics, Numbers
from chatd.core.histogram import Histogram
from chatd.matching.pool_owner import PoolOwner
from chatd.realtime.drain import Drain

# Queues of the match pool in a snapshot, the longest first.
MAX_QUEUES = 10
STATES = ("ready", "draining", "maintenance")


class Identity(Struct, frozen=True):
    """The identity of a node. `socket` and `http` are its URLs."""

    node: str
    host: str
    pid: int
    version: str
    started_at: int
    socket: str
    http: str


class Snapshot(Struct, kw_only=True):
    """The state of a node.

    `state`: ready, draining or maintenance. `numbers` and `durations`: the values of each metric by their labels.

    `queues`: the longest queues of the match pool if this node owns it: tenant, queue, number of waiting users.
    """

    identity: Identity
    at: int
    state: str
    numbers: dict[str, list[tuple[Labels, float]]] = {}
    durations: dict[str, list[tuple[Labels, Histogram]]] = {}
    queues: list[tuple[str, str, int]] = []

    def number(self, name: str) -> float:
        """The value of a metric, summed over its labels."""
        return sum(value for _, value in self.numbers.get(name, ()))

    def duration(self, name: str) -> Histogram:
        """The histogram of a metric without labels."""
        return dict(self.durations.get(name, ())).get(NO_LABELS, Histogram())

    def durations_of(self, name: str) -> dict[str, Histogram]:
        """The histograms of a metric by its one label."""
        return {label: histogram for (label,), histogram in self.durations.get(name, ())}


class SnapshotSource:
    """Takes snapshots."""

    def __init__(self, node: Node) -> None:
        pid, host, addresses = os.getpid(), socket.gethostname(), node.get(Addresses)
        self.identity = Identity(
            node.cluster.name, host, pid, __version__, node.clock(), addresses.socket, addresses.http
        )
        self._node = node
        self._drain = node.get(Drain)
        self._metrics = node.get(Metrics)

    def snapshot(self) -> Snapshot:
        node, pool = self._node, self._node.get(PoolOwner)
        numbers = [metric for metric in self._metrics if isinstance(metric, Numbers)]
        durations = [metric for metric in self._metrics if isinstance(metric, Durations)]
        return Snapshot(
            identity=self.identity,
            at=node.clock(),
            state=self.state,
            numbers={metric.name: list(metric.read(node).items()) for metric in numbers},
            durations={
                metric.name: [(labels, one.copy()) for labels, one in metric.read(node).items()] for metric in durations
            },
            queues=pool.longest_queues(MAX_QUEUES) if pool.held else [],
        )

    @property
    def state(self) -> str:
        if self._drain.announced:
            return "draining"
        return "maintenance" if self._node.get(Maintenance).enabled else "ready"
