"""Metrics of the log of messages."""

from chatd.app.metrics import Metric, duration, number
from chatd.conversations.log.writer import MessageLog

METRICS: tuple[Metric, ...] = (
    number(
        "chatd_messages_total",
        "Messages committed by this node, each counted once.",
        lambda node: node.get(MessageLog).statistics()["messages"],
    ),
    number(
        "chatd_message_log_waiting_entries",
        "Messages and receipts waiting to be committed; see `message_log.waiting`.",
        lambda node: node.get(MessageLog).waiting,
    ),
    number(
        "chatd_message_log_batches_total", "Batches started.", lambda node: node.get(MessageLog).statistics()["batches"]
    ),
    number(
        "chatd_message_log_entries_total",
        "Messages and receipts in these batches.",
        lambda node: node.get(MessageLog).statistics()["entries"],
    ),
    number(
        "chatd_message_log_failures_total",
        "Failed commit attempts that were repeated.",
        lambda node: node.get(MessageLog).statistics()["failures"],
    ),
    duration(
        "chatd_commit_seconds",
        "Duration of committing a batch, including all attempts.",
        lambda node: node.get(MessageLog).commits,
    ),
)
