"""How this node is, as one value: for /metrics, for the other machines (`roster`), and for `chatd top`.

Everything is read where it is, when somebody asks; nothing here is kept up to date meanwhile. Times in milliseconds since 1970,
durations in seconds. What counts something only grows as long as the process lives.
"""

import os
import socket
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from chatd import __version__
from chatd.app.addresses import Addresses
from chatd.app.command_metrics import Meters
from chatd.app.context import Node
from chatd.app.maintenance import Maintenance
from chatd.conversations.log.writer import Journal
from chatd.core.histogram import Histogram
from chatd.matching.service import Matcher
from chatd.operations.process import Meter, Process
from chatd.realtime.drain import Drain
from chatd.realtime.timer_wheel import Wheel
from chatd.wire.codec import tag_of

# Of the lines of the match pool so many are shown, the longest first.
LINES = 10
STREAMS = ("bus", "match log")
STATES = ("ready", "draining", "maintenance")


class Identity(Struct, frozen=True):
    """Which node it is. `socket` and `http` are the addresses of its doors."""

    node: str
    host: str
    pid: int
    version: str
    started_at: int
    socket: str
    http: str


class Gateway(Struct):
    """Connections that have a place, handshakes under way, and those that were accepted."""

    connections: int
    pending: int
    accepted: int


class Hub(Struct):
    """Who is connected; event frames that went to them, and those that did not fit."""

    sessions: int
    users: int
    conversations: int
    delivered: int
    dropped: int


class Bus(Struct):
    """Orders that were published and heard, gaps in what was heard, other nodes, orders that wait to be written."""

    published: int
    heard: int
    gaps: int
    peers: int
    waiting: int


class JournalCounters(Struct):
    """Batches and entries begun, messages that were committed, attempts that failed, entries that wait."""

    batches: int
    entries: int
    messages: int
    failures: int
    waiting: int


class Pool(Struct):
    """Connections to Postgres, and how many of them nobody uses."""

    size: int
    idle: int


class Match(Struct):
    """The match pool. All but `owner` is empty where this node is not the owner. Lines: tenant, queue, how many wait."""

    owner: bool
    waiting: int
    lines: list[tuple[str, str, int]]


class Snapshot(Struct, kw_only=True):
    """`state`: ready, draining or maintenance. `refusals` by code, `closes` by name, `rejections` of handshakes by code."""

    identity: Identity
    at: int
    state: str
    gateway: Gateway
    hub: Hub
    bus: Bus
    journal: JournalCounters
    postgres: Pool
    match: Match
    timers: int
    process: Process
    refusals: dict[str, int]
    closes: dict[str, int]
    rejections: dict[str, int]
    commands: dict[str, Histogram]
    commits: Histogram
    lag: Histogram
    revocations: Histogram
    # Entries in Redis that could not be read, by the stream.
    unreadable: dict[str, int] = {}


class Entrance(Protocol):
    """What is read of the admission of the gateway."""

    @property
    def refused(self) -> Mapping[str, int]: ...

    def statistics(self) -> dict[str, int]: ...


class Watch:
    """Takes snapshots."""

    def __init__(self, node: Node, entrance: Entrance) -> None:
        pid, host, addresses = os.getpid(), socket.gethostname(), node.get(Addresses)
        self._identity = Identity(node.cluster.name, host, pid, __version__, node.clock(), addresses.socket, addresses.http)
        self._node = node
        self._wheel = node.get(Wheel)
        self._drain = node.get(Drain)
        self._entrance = entrance
        self._process = Meter()

    def snapshot(self) -> Snapshot:
        node = self._node
        return Snapshot(
            identity=self._identity,
            at=node.clock(),
            state=self._state(),
            gateway=Gateway(**self._entrance.statistics()),
            hub=Hub(**node.hub.statistics()),
            bus=Bus(**node.cluster.statistics()),
            journal=JournalCounters(**node.get(Journal).statistics()),
            postgres=Pool(**node.db.statistics()),
            match=match_of(node.get(Matcher)),
            timers=self._wheel.statistics()["timers"],
            process=self._process.read(),
            refusals=dict(node.get(Meters).refusals),
            closes=dict(node.get(Meters).closes),
            rejections={code: count for code, count in self._entrance.refused.items() if count},
            commands={tag_of(kind): durations.copy() for kind, durations in node.get(Meters).commands.items()},
            commits=node.get(Journal).commits,
            lag=self._wheel.lag.copy(),
            revocations=node.hub.revocations.seconds.copy(),
            unreadable=dict(node.redis.unreadable),
        )

    def _state(self) -> str:
        if self._drain.announced:
            return "draining"
        return "maintenance" if self._node.get(Maintenance).enabled else "ready"


def match_of(matcher: Matcher) -> Match:
    return Match(True, *matcher.pool.waiting(LINES)) if matcher.pool.held else Match(False, 0, [])
