"""The difference between two snapshots of the nodes: rates, latencies, queues. Pure; `chatd top` and the pages for
admins show it.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from chatd.core.histogram import Histogram, total
from chatd.operations.snapshot import Snapshot


class Latency(Struct):
    """p50 and p99 in milliseconds; None if there were none. `rate` is per second."""

    rate: float
    p50: float | None
    p99: float | None


class Line(Struct, kw_only=True):
    """One node.

    Rates are per second since the earlier snapshot, for a new node since its start. `cpu`: 1 is a whole core.
    """

    node: str
    address: str
    state: str
    connections: int
    sessions: int
    messages: float
    deliveries: float
    refusals: float
    commands: Latency
    commits: Latency
    lag: Latency
    message_log_waiting: int
    bus_waiting: int
    cpu: float
    rss_bytes: int


class Pool(Struct):
    """The match pool: its owner or "", the number of waiting users, and the longest queues as tenant, queue, size."""

    owner: str
    waiting: int
    queues: list[tuple[str, str, int]]


class SearchIndex(Struct):
    """The search index: whether an index process runs, how long the oldest change that is missing has waited, and the
    number of those changes.
    """

    is_running: bool
    behind_s: float
    changes: int


class View(Struct):
    """All nodes, all together, every command that was run, the match pool, and the search index."""

    at: int
    nodes: list[Line]
    messages: float
    deliveries: float
    connections: int
    commands: dict[str, Latency]
    match: Pool
    search: SearchIndex


def view_of(earlier: Sequence[Snapshot], later: Sequence[Snapshot]) -> View:
    """The view of the time between two snapshots."""
    before = {snapshot.identity.node: snapshot for snapshot in earlier}
    pairs = [(before.get(snapshot.identity.node) or at_start(snapshot), snapshot) for snapshot in later]
    nodes = [line_of(*pair) for pair in pairs]
    return View(
        at=max((snapshot.at for snapshot in later), default=0),
        nodes=nodes,
        messages=sum(line.messages for line in nodes),
        deliveries=sum(line.deliveries for line in nodes),
        connections=sum(line.connections for line in nodes),
        commands=commands_of(pairs),
        match=pool_of(later),
        search=search_of(later),
    )


def at_start(node: Snapshot) -> Snapshot:
    """The snapshot of a node at its start: all counters are 0."""
    return replace(node, at=node.identity.started_at, numbers={}, durations={})


def line_of(before: Snapshot, now: Snapshot) -> Line:
    seconds = seconds_between(before, now)

    def rate(name: str) -> float:
        return (now.number(name) - before.number(name)) / seconds

    def recent(name: str) -> Latency:
        return latency(now.duration(name).since(before.duration(name)), seconds)

    return Line(
        node=now.identity.node,
        address=f"{now.identity.host}:{now.identity.pid}",
        state=now.state,
        connections=int(now.number("chatd_connections")),
        sessions=int(now.number("chatd_sessions")),
        messages=rate("chatd_messages_total"),
        deliveries=rate("chatd_deliveries_total"),
        refusals=rate("chatd_refusals_total"),
        commands=latency(total(commands_between(before, now).values()), seconds),
        commits=recent("chatd_message_log_commit_seconds"),
        lag=recent("chatd_event_loop_lag_seconds"),
        message_log_waiting=int(now.number("chatd_message_log_waiting_entries")),
        bus_waiting=int(now.number("chatd_bus_waiting_messages")),
        cpu=rate("chatd_process_cpu_seconds_total"),
        rss_bytes=int(now.number("chatd_process_resident_memory_bytes")),
    )


def seconds_between(before: Snapshot, now: Snapshot) -> float:
    """The time between two snapshots, at least a millisecond, because rates are divided by it."""
    return max(0.001, (now.at - before.at) / 1000)


def commands_between(before: Snapshot, now: Snapshot) -> dict[str, Histogram]:
    earlier = before.durations_of("chatd_command_seconds")
    later = now.durations_of("chatd_command_seconds")
    return {tag: found.since(earlier.get(tag, Histogram())) for tag, found in later.items()}


def commands_of(pairs: Sequence[tuple[Snapshot, Snapshot]]) -> dict[str, Latency]:
    """The commands between two snapshots, the most frequent first."""
    found = [(commands_between(*pair), seconds_between(*pair)) for pair in pairs]
    seconds = max((seconds for _, seconds in found), default=1.0)
    tags = {tag for histograms, _ in found for tag in histograms}
    merged = {tag: latency(total(one[tag] for one, _ in found if tag in one), seconds) for tag in tags}
    return dict(
        sorted(((tag, one) for tag, one in merged.items() if one.rate), key=lambda item: (-item[1].rate, item[0]))
    )


def latency(histogram: Histogram, seconds: float) -> Latency:
    return Latency(
        histogram.count / seconds, milliseconds(histogram.quantile(0.5)), milliseconds(histogram.quantile(0.99))
    )


def milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def pool_of(snapshots: Sequence[Snapshot]) -> Pool:
    owner = next((snapshot for snapshot in snapshots if snapshot.number("chatd_match_pool_owner")), None)
    return (
        Pool(owner.identity.node, int(owner.number("chatd_match_waiting_tickets")), owner.queues)
        if owner
        else Pool("", 0, [])
    )


def search_of(snapshots: Sequence[Snapshot]) -> SearchIndex:
    """What the node that has read it last knows."""
    last = max(snapshots, key=lambda snapshot: snapshot.at, default=None)
    if last is None:
        return SearchIndex(False, 0.0, 0)
    return SearchIndex(
        bool(last.number("chatd_search_indexer_up")),
        last.number("chatd_search_behind_seconds"),
        int(last.number("chatd_search_behind_changes")),
    )
