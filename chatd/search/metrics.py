"""Metrics of search."""

from chatd.app.context import Node
from chatd.app.metrics import Metric, number
from chatd.search.child_process import IndexChild
from chatd.search.index_watch import IndexWatch


def restarts(node: Node) -> float:
    child = node.services.find(IndexChild)
    return 0 if child is None else child.restarts


METRICS: tuple[Metric, ...] = (
    number(
        "chatd_search_indexer_up",
        "1 while an index process reports, on any machine.",
        lambda node: int(node.get(IndexWatch).status.is_running),
    ),
    number(
        "chatd_search_behind_seconds",
        "How long the oldest change that is not in the search index has waited, read every five seconds.",
        lambda node: node.get(IndexWatch).status.behind_s,
    ),
    number(
        "chatd_search_behind_changes",
        "Messages, edits and deletions that are not in the search index, as far as the index process knows.",
        lambda node: node.get(IndexWatch).status.changes,
    ),
    number(
        "chatd_search_process_restarts_total",
        "How often the index process of this node ended by itself.",
        restarts,
    ),
)
