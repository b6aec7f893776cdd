"""One node at a time: a lease in Redis, with a number that grows with every holder (Gray and Cheriton, "Leases", 1989).

Whoever cannot reach Redis stays what they are: with Redis away nobody can take a lease over either. Whoever never could takes
it to be theirs. Two holders are possible for a moment (a process that was stopped and goes on), so what a holder decides must be
guarded by the database as well.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from chatd.core.errors import Refused
from chatd.db.redis import Redis

TTL = 3.0
# After so many attempts a Redis that has never answered is taken for one that is away for all.
NOBODY_THERE = 4
# Ours still, free, or somebody else's: our number, and the one that was given out before it; 0 for none.
# The number is at least the time: it grows even when Redis has forgotten the last one.
# KEYS: the lease, the fence; ARGV: our name, milliseconds.
TAKE = """
local holder, last = redis.call('get', KEYS[1]), tonumber(redis.call('get', KEYS[2]) or 0)
if holder == ARGV[1] then
    redis.call('pexpire', KEYS[1], ARGV[2])
    return {last, last}
elseif not holder then
    redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
    local time = redis.call('time')
    local fence = math.max(last + 1, time[1] * 1000 + math.floor(time[2] / 1000))
    redis.call('set', KEYS[2], string.format('%.0f', fence))
    return {fence, last}
end
return {0, last}
"""
RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end"


class Lease:
    """`held` while it is ours; `fence` is its number then."""

    def __init__(self, redis: Redis, name: str, holder: str) -> None:
        self.held = False
        self.fence = 0
        self._wanted = True
        self._failures = 0
        self._answered = False
        # An answer that was under way when we let go of it must not make it ours again.
        self._asking = trio.Lock()
        self._redis = redis
        self._keys = (redis.key("lease", name), redis.key("fence", name))
        self._holder = holder

    async def run(self, changed: Callable[[bool], Awaitable[None]]) -> None:
        """Take it when it is free and keep it; `changed` is called whenever `held` or our `fence` has changed.

        Its argument: whether it was ours before, and nobody else's meanwhile. We may have slept, or Redis may have forgotten it.
        """
        while self._wanted:
            held, fence = self.held, self.fence
            before = await self._take()
            if self.held != held or (held and self.fence != fence):
                await changed(held and self.held and before in (0, fence))
            await trio.sleep(TTL / 4)

    async def _take(self) -> int:
        """The number that had been given out last; 0 for none."""
        async with self._asking:
            return await self._ask() if self._wanted else 0

    async def _ask(self) -> int:
        try:
            fence, before = await self._redis.call("EVAL", TAKE, 2, *self._keys, self._holder, int(TTL * 1000))
        except Refused:
            self._failures += 1
            self.held |= self._failures == NOBODY_THERE and not self._answered
            return 0
        self._answered = True
        self.held, self.fence = fence > 0, fence or self.fence
        return int(before)

    async def release(self) -> None:
        """Let somebody else have it at once, for good."""
        self._wanted = False
        async with self._asking:
            if self.held:
                self.held = False
                with suppress(Refused):
                    await self._redis.call("EVAL", RELEASE, 1, self._keys[0], self._holder)
