"""How much one user may ask of this node, over all connections and REST together. Bounded: the idle ones are forgotten."""

from collections import OrderedDict

import trio

from chatd.config import Limits
from chatd.domain.rate_limit import TokenBucket
from chatd.errors import Refused

MOST_USERS = 100_000


class UserLimits:
    """A token bucket per (tenant, user)."""

    def __init__(self, limits: Limits) -> None:
        self._rate = limits.user_commands_per_second
        self._burst = limits.user_commands_burst
        self._buckets: OrderedDict[tuple[str, str], TokenBucket] = OrderedDict()

    def take(self, tenant: str, user: str, cost: float) -> None:
        """Raises Refused: `rate_limited` with `retry_after`."""
        bucket = self._buckets.get((tenant, user))
        if bucket is None:
            bucket = self._buckets[tenant, user] = TokenBucket(self._rate, self._burst)
            if len(self._buckets) > MOST_USERS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end((tenant, user))
        check(bucket, cost, trio.current_time())


def check(bucket: TokenBucket, cost: float, now: float) -> None:
    """Raises Refused: `rate_limited` with `retry_after` in seconds."""
    wait = bucket.take(now, cost)
    if wait > 0:
        raise Refused("rate_limited", retry_after=wait)
