"""Metrics of the match pool. All are 0 on a node that does not own the pool."""

from chatd.app.context import Node
from chatd.app.metrics import Metric, number
from chatd.matching.pool_owner import PoolOwner


def waiting_tickets(node: Node) -> int:
    pool = node.get(PoolOwner)
    return pool.size() if pool.held else 0


def longest_queue(node: Node) -> int:
    pool = node.get(PoolOwner)
    return max((length for *_, length in pool.longest_queues(1)), default=0) if pool.held else 0


METRICS: tuple[Metric, ...] = (
    number(
        "chatd_match_pool_owner",
        "1 on the node that owns the match pool.",
        lambda node: int(node.get(PoolOwner).held),
    ),
    number("chatd_match_waiting_tickets", "Tickets waiting in the pool; 0 on other nodes.", waiting_tickets),
    number("chatd_match_longest_queue_tickets", "Tickets in the longest queue of the pool.", longest_queue),
)
