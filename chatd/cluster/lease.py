"""A lease in Redis that one node holds, with a number that grows with every holder (Gray and Cheriton, "Leases", 1989).

A holder that cannot reach Redis stays the holder: no other node can take the lease over either. A node that never
reached Redis considers itself the holder. Two holders are possible for a moment (a stopped process that continues), so
the decisions of a holder must also be guarded by the database.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import trio

from chatd.core.errors import Refused
from chatd.db.redis import Command, Redis, milliseconds

# Attempts after which a Redis that has never answered counts as unavailable to all nodes.
MAX_FIRST_FAILURES = 4


class Lease:
    """A lease in Redis. `held`: whether this node holds it; `fence`: the number then. `ttl_s`: how long it lasts
    without renewal.
    """

    def __init__(self, redis: Redis, name: str, holder: str, ttl_s: float = 3.0) -> None:
        self.held = False
        self.fence = 0
        self._wanted = True
        self._failures = 0
        self._answered = False
        # The answer to a request from before the release must not make this node the holder again.
        self._renewal = trio.Lock()
        self._redis = redis
        self._lease, self._fence = self._keys = (redis.key("lease", name), redis.key("fence", name))
        self._holder = holder
        self._ttl_s = ttl_s
        self._ttl_ms = int(ttl_s * 1000)

    async def run(self, changed: Callable[[bool], Awaitable[None]]) -> None:
        """Take the lease when it is free, and keep it. `changed` is called when `held` or `fence` has changed.

        Its argument: whether this node held it before, and no other node since, as after a pause or a restart of Redis.
        """
        while self._wanted:
            held, fence = self.held, self.fence
            before = await self._take()
            if self.held != held or (held and self.fence != fence):
                await changed(held and self.held and before in (0, fence))
            await trio.sleep(self._ttl_s / 4)

    async def _take(self) -> int:
        """Take the lease if it is free. Returns the last number that was assigned; 0 for none."""
        async with self._renewal:
            return await self._ask() if self._wanted else 0

    async def _ask(self) -> int:
        try:
            fence, before = await self._redis.update(
                self._keys, [("MGET", *self._keys), ("TIME",)], self._renew_or_take
            )
        except Refused:
            self._failures += 1
            self.held |= self._failures == MAX_FIRST_FAILURES and not self._answered
            return 0
        self._answered = True
        self.held, self.fence = fence > 0, fence or self.fence
        return before

    def _renew_or_take(
        self, found: Sequence[bytes | None], time: tuple[int, int]
    ) -> tuple[tuple[int, int], list[Command]]:
        """The fencing number of this node, and the last one that was assigned; 0 for none.

        The number is at least the time: it grows even if Redis has forgotten the last one.
        """
        holder, last = found[0], int(found[1] or 0)
        if holder == self._holder.encode():
            return (last, last), [("PEXPIRE", self._lease, self._ttl_ms)]
        if holder is not None:
            return (0, last), []
        fence = max(last + 1, milliseconds(time))
        return (fence, last), [
            ("SET", self._lease, self._holder, "PX", self._ttl_ms),
            ("SET", self._fence, fence),
        ]

    async def release(self) -> None:
        """Release it for good, so that another node can take it at once."""
        self._wanted = False
        async with self._renewal:
            if self.held:
                self.held = False
                with suppress(Refused):
                    await self._redis.update([self._lease], [("GET", self._lease)], self._delete_own)

    def _delete_own(self, holder: bytes | None) -> tuple[None, list[Command]]:
        return None, [("DEL", self._lease)] if holder == self._holder.encode() else []
