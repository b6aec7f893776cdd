"""What the match pool measures. All of it is 0 where this node does not own the pool."""

from chatd.app.context import Node
from chatd.app.metrics import Metric, number
from chatd.matching.service import MatchingService


def waiting(node: Node) -> int:
    pool = node.get(MatchingService).pool
    return pool.waiting(0)[0] if pool.held else 0


def longest_queue(node: Node) -> int:
    pool = node.get(MatchingService).pool
    return max((count for *_, count in pool.waiting(1)[1]), default=0) if pool.held else 0


METRICS: tuple[Metric, ...] = (
    number("chatd_match_owner", "1 where the match pool is.", lambda node: int(node.get(MatchingService).pool.held)),
    number("chatd_match_waiting_tickets", "Who waits in the match pool, on its owner.", waiting),
    number("chatd_match_longest_line_tickets", "The longest of its lines.", longest_queue),
)
