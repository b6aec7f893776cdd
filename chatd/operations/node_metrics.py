"""What is measured of the kernel and of the process."""

import gc
import time
from collections.abc import Callable

from chatd.app.command_metrics import BY_PEER, CommandMetrics
from chatd.app.context import Node
from chatd.app.metrics import Durations, Labels, Metric, Numbers, duration, number, numbers_by
from chatd.core.errors import CLOSES, REFUSALS
from chatd.core.histogram import Histogram
from chatd.gateway.admission import Admission
from chatd.operations.process import ProcessCounts, rss_bytes
from chatd.operations.snapshot import STATES, SnapshotSource
from chatd.realtime.timer_wheel import TimerWheel
from chatd.wire.codec import tag_of

# Streams in Redis whose entries may be unreadable.
STREAMS = ("bus", "match log")


def info(node: Node) -> dict[Labels, float]:
    identity = node.get(SnapshotSource).identity
    return {(identity.version, identity.node, identity.host, str(identity.pid)): 1}


def of_gateway(key: str) -> Callable[[Node], float]:
    return lambda node: node.get(Admission).statistics()[key]


def of_hub(key: str) -> Callable[[Node], float]:
    return lambda node: node.hub.statistics()[key]


def of_bus(key: str) -> Callable[[Node], float]:
    return lambda node: node.cluster.statistics()[key]


def of_postgres(key: str) -> Callable[[Node], float]:
    return lambda node: node.db.statistics()[key]


def garbage_collections(node: Node) -> dict[str, float]:
    return {str(number): generation["collections"] for number, generation in enumerate(gc.get_stats())}


def durations_of_commands(node: Node) -> dict[Labels, Histogram]:
    return {(tag_of(kind),): durations for kind, durations in node.get(CommandMetrics).commands.items()}


METRICS: tuple[Metric, ...] = (
    Numbers("chatd_node_info", "Who this is; always 1.", info, ("version", "name", "host", "pid")),
    number(
        "chatd_start_time_seconds",
        "When it started, since 1970.",
        lambda node: node.get(SnapshotSource).identity.started_at / 1000,
    ),
    numbers_by(
        "state", "chatd_state", "1 for the state it is in.", STATES, lambda node: {node.get(SnapshotSource).state: 1}
    ),
    number("chatd_connections", "Connections that have a place.", of_gateway("connections")),
    number("chatd_pending_handshakes", "Handshakes under way.", of_gateway("pending")),
    number("chatd_handshakes_accepted_total", "Handshakes that became connections.", of_gateway("accepted")),
    numbers_by(
        "code",
        "chatd_handshakes_refused_total",
        "Handshakes that did not.",
        REFUSALS,
        lambda node: node.get(Admission).refused,
    ),
    numbers_by(
        "close",
        "chatd_closes_total",
        "Ends of sessions.",
        (*CLOSES, BY_PEER),
        lambda node: node.get(CommandMetrics).closes,
    ),
    number("chatd_sessions", "Sessions of people.", of_hub("sessions")),
    number("chatd_users", "People who are connected here.", of_hub("users")),
    number("chatd_conversations", "Conversations that somebody here hears.", of_hub("conversations")),
    numbers_by(
        "code",
        "chatd_refusals_total",
        "Commands and requests that were refused.",
        REFUSALS,
        lambda node: node.get(CommandMetrics).refusals,
    ),
    number("chatd_deliveries_total", "Event frames written or queued for sessions.", of_hub("delivered")),
    number(
        "chatd_deliveries_dropped_total",
        "Event frames that were dropped because a client reads too slowly.",
        of_hub("dropped"),
    ),
    number("chatd_bus_peers", "Other nodes that were heard of lately.", of_bus("peers")),
    number("chatd_bus_waiting_orders", "Orders that wait for Redis.", of_bus("waiting")),
    number("chatd_bus_published_orders_total", "Orders to the other nodes.", of_bus("published")),
    number("chatd_bus_heard_orders_total", "Orders of the other nodes.", of_bus("heard")),
    number("chatd_bus_gaps_total", "Times that orders may have been missed.", of_bus("gaps")),
    numbers_by(
        "place",
        "chatd_redis_unreadable_total",
        "Entries that could not be read and were skipped.",
        STREAMS,
        lambda node: node.redis.unreadable,
    ),
    number("chatd_postgres_connections", "Connections of the pool.", of_postgres("size")),
    number("chatd_postgres_idle_connections", "Those that nobody uses.", of_postgres("idle")),
    number("chatd_timers", "Timers on the wheel.", lambda node: node.get(TimerWheel).statistics()["timers"]),
    number("chatd_tasks", "Tasks of Trio.", lambda node: node.get(ProcessCounts).tasks()),
    number("chatd_process_resident_memory_bytes", "Memory that is resident.", lambda node: rss_bytes()),
    number("chatd_process_cpu_seconds_total", "Time on a processor.", lambda node: time.process_time()),
    number("chatd_process_open_fds", "Open descriptors.", lambda node: node.get(ProcessCounts).open_fds()),
    numbers_by("generation", "chatd_gc_collections_total", "Garbage collections.", (), garbage_collections),
    Durations("chatd_command_seconds", "Time a command took, refused ones too.", durations_of_commands, ("command",)),
    duration(
        "chatd_loop_lag_seconds", "How late the event loop came to a timer.", lambda node: node.get(TimerWheel).lag
    ),
    duration(
        "chatd_revocation_seconds",
        "From a ban or logout to the last socket closed.",
        lambda node: node.hub.disconnect_latency.seconds,
    ),
)
