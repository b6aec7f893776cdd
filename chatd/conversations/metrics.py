"""Metrics of the log of messages."""

from chatd.app.metrics import Metric, duration, number
from chatd.conversations.log.writer import MessageLog

METRICS: tuple[Metric, ...] = (
    number(
        "chatd_messages_total",
        "Messages that were committed here.",
        lambda node: node.get(MessageLog).statistics()["messages"],
    ),
    number(
        "chatd_message_log_waiting_entries",
        "Messages and receipts that wait for a commit.",
        lambda node: node.get(MessageLog).waiting,
    ),
    number(
        "chatd_message_log_batches_total", "Batches begun.", lambda node: node.get(MessageLog).statistics()["batches"]
    ),
    number(
        "chatd_message_log_entries_total",
        "Messages and receipts in these batches.",
        lambda node: node.get(MessageLog).statistics()["entries"],
    ),
    number(
        "chatd_message_log_failures_total",
        "Attempts to commit that failed.",
        lambda node: node.get(MessageLog).statistics()["failures"],
    ),
    duration(
        "chatd_commit_seconds", "Time to commit a batch, attempts included.", lambda node: node.get(MessageLog).commits
    ),
)
