"""The match pool of this node, and the lease that decides whether it is the pool of the cluster."""

from collections.abc import Callable, Mapping

from chatd.cluster.lease import Lease
from chatd.core.ids import uuid7
from chatd.matching.pool import Pool
from chatd.matching.pool_events import PoolEvent, Queue


class OwnedPool:
    """The pool of this node. `pool` is replaced when the lease changes hands. It counts only while `held`."""

    def __init__(self, queues: Mapping[str, Queue], lease: Lease, clock: Callable[[], int]) -> None:
        self._queues = queues
        self._clock = clock
        self.lease = lease
        self.pool = self.new_pool()

    @property
    def held(self) -> bool:
        """Whether this node owns the pool of the cluster."""
        return self.lease.held

    def new_pool(self) -> Pool:
        return Pool(self._queues, lambda: uuid7(self._clock()))

    def replace(self, pool: Pool) -> None:
        self.pool = pool

    def snapshot(self) -> tuple[int, list[PoolEvent]] | None:
        """The number of the lease and the events of the pool; None if another node owns it."""
        return (self.lease.fence, self.pool.snapshot()) if self.held else None
