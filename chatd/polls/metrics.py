"""Metrics of polls: how many begin, the votes, and the ends."""

from collections import Counter

from chatd.app.metrics import Metric, number, numbers_by
from chatd.conversations.log.effects import KindCounts


class PollCounts:
    """The votes of this node, and the polls that it has closed, by who closed them. Found in `Node.services`."""

    def __init__(self) -> None:
        self.votes = 0
        self.closed = Counter[str]()


METRICS: tuple[Metric, ...] = (
    number(
        "chatd_polls_total",
        "Polls, among the messages that this node has committed.",
        lambda node: node.get(KindCounts).polls,
    ),
    number(
        "chatd_poll_votes_total",
        "Votes in polls that were given, changed or taken back on this node.",
        lambda node: node.get(PollCounts).votes,
    ),
    numbers_by(
        "by",
        "chatd_polls_closed_total",
        "Polls that this node has closed: for a `user`, or at their `time`.",
        ("user", "time"),
        lambda node: node.get(PollCounts).closed,
    ),
)
