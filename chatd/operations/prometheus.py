"""Snapshots in the text format of Prometheus: which metric is read from where. What they mean is in docs/metrics.md."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from chatd.app.command_metrics import BY_PEER
from chatd.core.errors import CLOSES, REFUSALS
from chatd.core.histogram import BOUNDS, Histogram
from chatd.operations.snapshot import STATES, STREAMS, Snapshot

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
ALONE: tuple[str, ...] = ()
Values = Mapping[tuple[str, ...], float]


class Numbers(NamedTuple):
    """A gauge or, where the name ends with `_total`, a counter; with its values by their labels."""

    name: str
    meaning: str
    read: Callable[[Snapshot], Values]
    labels: tuple[str, ...] = ()


class Durations(NamedTuple):
    """A histogram, or several by their labels."""

    name: str
    meaning: str
    read: Callable[[Snapshot], Mapping[tuple[str, ...], Histogram]]
    labels: tuple[str, ...] = ()


def one(name: str, meaning: str, read: Callable[[Snapshot], float]) -> Numbers:
    return Numbers(name, meaning, lambda snapshot: {ALONE: read(snapshot)})


def by(label: str, name: str, meaning: str, known: Iterable[str], read: Callable[[Snapshot], Mapping[str, float]]) -> Numbers:
    """Those that are known are there from the beginning, as zero: a first event is an increase then."""
    zeros = dict.fromkeys(known, 0.0)
    return Numbers(name, meaning, lambda snapshot: {(key,): n for key, n in (zeros | dict(read(snapshot))).items()}, (label,))


def info(snapshot: Snapshot) -> Values:
    identity = snapshot.identity
    return {(identity.version, identity.node, identity.host, str(identity.pid)): 1}


NUMBERS = (
    Numbers("chatd_node_info", "Who this is; always 1.", info, ("version", "name", "host", "pid")),
    one("chatd_start_time_seconds", "When it started, since 1970.", lambda s: s.identity.started_at / 1000),
    by("state", "chatd_state", "1 for the state it is in.", STATES, lambda s: {s.state: 1}),
    one("chatd_connections", "Connections that have a place.", lambda s: s.gateway.connections),
    one("chatd_pending_handshakes", "Handshakes under way.", lambda s: s.gateway.pending),
    one("chatd_handshakes_accepted_total", "Handshakes that became connections.", lambda s: s.gateway.accepted),
    by("code", "chatd_handshakes_refused_total", "Handshakes that did not.", REFUSALS, lambda s: s.rejections),
    by("close", "chatd_closes_total", "Ends of sessions.", (*CLOSES, BY_PEER), lambda s: s.closes),
    one("chatd_sessions", "Sessions of people.", lambda s: s.hub.sessions),
    one("chatd_users", "People who are connected here.", lambda s: s.hub.users),
    one("chatd_conversations", "Conversations that somebody here hears.", lambda s: s.hub.conversations),
    by("code", "chatd_refusals_total", "Commands and requests that were refused.", REFUSALS, lambda s: s.refusals),
    one("chatd_messages_total", "Messages that were committed here.", lambda s: s.journal.messages),
    one("chatd_deliveries_total", "Event frames written or queued for sessions.", lambda s: s.hub.delivered),
    one(
        "chatd_deliveries_dropped_total",
        "Event frames that were dropped because a client reads too slowly.",
        lambda s: s.hub.dropped,
    ),
    one("chatd_journal_waiting_entries", "Messages and receipts that wait for a commit.", lambda s: s.journal.waiting),
    one("chatd_journal_batches_total", "Batches begun.", lambda s: s.journal.batches),
    one("chatd_journal_entries_total", "Messages and receipts in these batches.", lambda s: s.journal.entries),
    one("chatd_journal_failures_total", "Attempts to commit that failed.", lambda s: s.journal.failures),
    one("chatd_bus_peers", "Other nodes that were heard of lately.", lambda s: s.bus.peers),
    one("chatd_bus_waiting_orders", "Orders that wait for Redis.", lambda s: s.bus.waiting),
    one("chatd_bus_published_orders_total", "Orders to the other nodes.", lambda s: s.bus.published),
    one("chatd_bus_heard_orders_total", "Orders of the other nodes.", lambda s: s.bus.heard),
    one("chatd_bus_gaps_total", "Times that orders may have been missed.", lambda s: s.bus.gaps),
    by(
        "place",
        "chatd_redis_unreadable_total",
        "Entries that could not be read and were skipped.",
        STREAMS,
        lambda s: s.unreadable,
    ),
    one("chatd_postgres_connections", "Connections of the pool.", lambda s: s.postgres.size),
    one("chatd_postgres_idle_connections", "Those that nobody uses.", lambda s: s.postgres.idle),
    one("chatd_match_owner", "1 where the match pool is.", lambda s: s.match.owner),
    one("chatd_match_waiting_tickets", "Who waits in the match pool, on its owner.", lambda s: s.match.waiting),
    one(
        "chatd_match_longest_line_tickets", "The longest of its lines.", lambda s: max((w for *_, w in s.match.lines), default=0)
    ),
    one("chatd_timers", "Timers on the wheel.", lambda s: s.timers),
    one("chatd_tasks", "Tasks of Trio.", lambda s: s.process.tasks),
    one("chatd_process_resident_memory_bytes", "Memory that is resident.", lambda s: s.process.rss_bytes),
    one("chatd_process_cpu_seconds_total", "Time on a processor.", lambda s: s.process.cpu_seconds),
    one("chatd_process_open_fds", "Open descriptors.", lambda s: s.process.open_fds),
    by(
        "generation",
        "chatd_gc_collections_total",
        "Garbage collections.",
        (),
        lambda s: {str(g): n for g, n in enumerate(s.process.gc)},
    ),
)
DURATIONS = (
    Durations(
        "chatd_command_seconds",
        "Time a command took, refused ones too.",
        lambda s: {(tag,): histogram for tag, histogram in s.commands.items()},
        ("command",),
    ),
    Durations("chatd_commit_seconds", "Time to commit a batch, attempts included.", lambda s: {ALONE: s.commits}),
    Durations("chatd_loop_lag_seconds", "How late the event loop came to a timer.", lambda s: {ALONE: s.lag}),
    Durations("chatd_revocation_seconds", "From a ban or logout to the last socket closed.", lambda s: {ALONE: s.revocations}),
)


def exposition(snapshots: Sequence[Snapshot], *, name_nodes: bool) -> bytes:
    """All metrics of these nodes; with `name_nodes` each has a label `node`."""
    registry = CollectorRegistry()
    registry.register(Snapshots(snapshots, name_nodes))
    return generate_latest(registry)


class Snapshots(Collector):
    """Reads plain numbers, when somebody asks."""

    def __init__(self, snapshots: Sequence[Snapshot], name_nodes: bool) -> None:
        self._nodes = [((snapshot.identity.node,) if name_nodes else (), snapshot) for snapshot in snapshots]
        self._labels = ("node",) if name_nodes else ()

    def collect(self) -> Iterator[Metric]:
        yield from map(self._numbers, NUMBERS)
        yield from map(self._durations, DURATIONS)

    def _numbers(self, row: Numbers) -> Metric:
        kind = CounterMetricFamily if row.name.endswith("_total") else GaugeMetricFamily
        family = kind(row.name, row.meaning, labels=(*self._labels, *row.labels))
        for node, snapshot in self._nodes:
            for labels, value in row.read(snapshot).items():
                family.add_metric((*node, *labels), value)
        return family

    def _durations(self, row: Durations) -> Metric:
        family = HistogramMetricFamily(row.name, row.meaning, labels=(*self._labels, *row.labels))
        for node, snapshot in self._nodes:
            for labels, histogram in row.read(snapshot).items():
                family.add_metric((*node, *labels), buckets_of(histogram), histogram.sum)
        return family


def buckets_of(histogram: Histogram) -> list[tuple[str, float]]:
    return list(zip((*map(str, BOUNDS), "+Inf"), histogram.cumulative(), strict=True))
