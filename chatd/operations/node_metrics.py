"""Metrics of the kernel and of the process."""

import gc
import time
from collections.abc import Callable

from chatd.app.command_metrics import BY_PEER, CommandMetrics
from chatd.app.context import Node
from chatd.app.metrics import Durations, Labels, Metric, Numbers, duration, number, numbers_by
from chatd.core.errors import CLOSES, REFUSALS
from chatd.core.histogram import LONG_BOUNDS, Histogram
from chatd.gateway.admission import Admission
from chatd.operations.process import ProcessCounts, rss_bytes
from chatd.operations.session_statistics import SessionStatistics
from chatd.operations.snapshot import STATES, SnapshotSource
from chatd.realtime.sessions import TRANSPORTS
from chatd.realtime.timer_wheel import TimerWheel
from chatd.wire.codec import tag_of

# Streams in Redis whose entries may be unreadable: the bus, and the event log of the match pool.
STREAMS = ("bus", "event_log")


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
    Numbers(
        "chatd_node_info",
        "Version, name, host and process of the node; always 1.",
        info,
        ("version", "name", "host", "pid"),
    ),
    number(
        "chatd_start_time_seconds",
        "Start time, in seconds since 1970.",
        lambda node: node.get(SnapshotSource).identity.started_at / 1000,
    ),
    numbers_by(
        "state",
        "chatd_state",
        "1 for the current state: `ready`, `draining`, `maintenance`.",
        STATES,
        lambda node: {node.get(SnapshotSource).state: 1},
    ),
    number("chatd_connections", "Open connections that count towards `limits.connections`.", of_gateway("connections")),
    number("chatd_pending_handshakes", "Unfinished handshakes.", of_gateway("pending")),
    number("chatd_handshakes_accepted_total", "Handshakes that became connections.", of_gateway("accepted")),
    numbers_by(
        "code",
        "chatd_handshakes_refused_total",
        "Rejected handshakes: codes as in REST, `timeout` for those that never finished.",
        REFUSALS,
        lambda node: node.get(Admission).refused,
    ),
    numbers_by(
        "reason",
        "chatd_session_closes_total",
        "Closed sessions, by the name of the close code; `by_peer`: the client closed the connection or disappeared.",
        (*CLOSES, BY_PEER),
        lambda node: node.get(CommandMetrics).closes,
    ),
    numbers_by(
        "transport",
        "chatd_sessions",
        "Authenticated sessions: `websocket`, and those of `/v1/events` that began as a stream (`sse`) or as a long "
        "poll (`poll`).",
        TRANSPORTS,
        lambda node: node.hub.connections.by_transport,
    ),
    Durations(
        "chatd_session_seconds",
        "Duration of the sessions that have ended.",
        lambda node: {(transport,): found for transport, found in node.get(SessionStatistics).seconds.items()},
        ("transport",),
        LONG_BOUNDS,
    ),
    number(
        "chatd_reconnections_total",
        "New sessions of users whose last session on this node had ended within five minutes.",
        lambda node: node.get(SessionStatistics).reconnections,
    ),
    number("chatd_users", "Users connected to this node.", of_hub("users")),
    number("chatd_conversations", "Conversations with connected members on this node.", of_hub("conversations")),
    numbers_by(
        "code",
        "chatd_refusals_total",
        "Refused commands and requests.",
        REFUSALS,
        lambda node: node.get(CommandMetrics).refusals,
    ),
    number("chatd_deliveries_total", "Event frames sent to or queued for sessions.", of_hub("delivered")),
    number(
        "chatd_deliveries_dropped_total",
        "Event frames dropped because a client reads too slowly; unless they are ephemeral, the client gets `behind` "
        "for their conversations.",
        of_hub("dropped"),
    ),
    number("chatd_bus_peers", "Other nodes from which the bus has received an entry recently.", of_bus("peers")),
    number("chatd_bus_waiting_messages", "Control messages waiting to be written to Redis.", of_bus("waiting")),
    number("chatd_bus_sent_messages_total", "Control messages sent to other nodes.", of_bus("sent")),
    number("chatd_bus_received_messages_total", "Control messages received from other nodes.", of_bus("received")),
    number(
        "chatd_bus_gaps_total",
        "Times that control messages may have been lost and state was read from Postgres instead.",
        of_bus("gaps"),
    ),
    numbers_by(
        "stream",
        "chatd_redis_skipped_entries_total",
        "Entries of the streams in Redis that were skipped because they are foreign, damaged, or of a newer version: "
        "`bus`, and `event_log` (of the match pool).",
        STREAMS,
        lambda node: node.redis.unreadable,
    ),
    number(
        "chatd_postgres_connections", "Connections of the pool, without those of the message log.", of_postgres("size")
    ),
    number("chatd_postgres_idle_connections", "Idle connections of the pool.", of_postgres("idle")),
    duration(
        "chatd_postgres_wait_seconds",
        "Time that a statement or transaction waited for a connection of the pool.",
        lambda node: node.db.wait_seconds,
    ),
    duration(
        "chatd_postgres_use_seconds",
        "Time that a statement or transaction used the connection.",
        lambda node: node.db.use_seconds,
    ),
    number("chatd_timers", "Pending timers.", lambda node: node.get(TimerWheel).statistics()["timers"]),
    number("chatd_tasks", "Trio tasks, counted every ten seconds.", lambda node: node.get(ProcessCounts).tasks()),
    number("chatd_process_resident_memory_bytes", "Resident memory.", lambda node: rss_bytes()),
    number(
        "chatd_session_memory_bytes",
        "Resident memory beyond that after the start, divided by the sessions: an upper bound for one of them.",
        lambda node: node.get(SessionStatistics).memory_per_session(rss_bytes(), len(node.hub.connections.by_id)),
    ),
    number("chatd_process_cpu_seconds_total", "CPU time.", lambda node: time.process_time()),
    number(
        "chatd_process_open_fds",
        "Open file descriptors, counted every ten seconds.",
        lambda node: node.get(ProcessCounts).open_fds(),
    ),
    numbers_by("generation", "chatd_gc_collections_total", "Garbage collections.", (), garbage_collections),
    Durations(
        "chatd_command_seconds",
        "Duration of a command from frame to answer, including refused ones; `_count` is the number of commands.",
        durations_of_commands,
        ("command",),
    ),
    duration(
        "chatd_event_loop_lag_seconds",
        "Lag of the event loop, measured four times a second.",
        lambda node: node.get(TimerWheel).lag,
    ),
    duration(
        "chatd_revocation_seconds",
        "Time from the commit of a ban or logout to the last closed connection, if the user had one on this node.",
        lambda node: node.hub.disconnect_latency.seconds,
    ),
)
