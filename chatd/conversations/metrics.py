"""What the log of messages measures."""

from chatd.app.metrics import Metric, duration, number
from chatd.conversations.log.writer import Journal

METRICS: tuple[Metric, ...] = (
    number("chatd_messages_total", "Messages that were committed here.", lambda node: node.get(Journal).statistics()["messages"]),
    number(
        "chatd_journal_waiting_entries",
        "Messages and receipts that wait for a commit.",
        lambda node: node.get(Journal).waiting,
    ),
    number("chatd_journal_batches_total", "Batches begun.", lambda node: node.get(Journal).statistics()["batches"]),
    number(
        "chatd_journal_entries_total",
        "Messages and receipts in these batches.",
        lambda node: node.get(Journal).statistics()["entries"],
    ),
    number(
        "chatd_journal_failures_total",
        "Attempts to commit that failed.",
        lambda node: node.get(Journal).statistics()["failures"],
    ),
    duration("chatd_commit_seconds", "Time to commit a batch, attempts included.", lambda node: node.get(Journal).commits),
)
