"""Metrics of the log of messages."""

from chatd.app.metrics import Metric, duration, number
from chatd.conversations.log.writer import MessageLog

METRICS: tuple[Metric, ...] = (
    number(
        "chatd_messages_total",
        "Messages committed by this node; a retry with the same `client_id` is not counted again.",
        lambda node: node.get(MessageLog).statistics()["messages"],
    ),
    number(
        "chatd_message_characters_total",
        "Characters of the texts of these messages: their quotient is the average length.",
        lambda node: node.get(MessageLog).characters,
    ),
    duration(
        "chatd_message_delivery_seconds",
        "Time from the receipt of a message, or of its request, until it is committed and sent to the sessions of this "
        "node.",
        lambda node: node.get(MessageLog).deliveries,
    ),
    number(
        "chatd_message_log_waiting_entries",
        "Messages and receipts waiting to be committed; see `message_log.waiting`.",
        lambda node: node.get(MessageLog).waiting,
    ),
    number(
        "chatd_message_log_batches_total",
        "Batches of the message log that were started.",
        lambda node: node.get(MessageLog).statistics()["batches"],
    ),
    number(
        "chatd_message_log_entries_total",
        "Messages and receipts in these batches.",
        lambda node: node.get(MessageLog).statistics()["entries"],
    ),
    number(
        "chatd_message_log_failures_total",
        "Failed attempts to commit a batch, each of which was repeated.",
        lambda node: node.get(MessageLog).statistics()["failures"],
    ),
    duration(
        "chatd_message_log_commit_seconds",
        "Duration of committing a batch of messages and receipts, including all attempts.",
        lambda node: node.get(MessageLog).commits,
    ),
)
