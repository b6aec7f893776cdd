"""Ends the matches of users who stay disconnected for the grace period, and those of banned users.

The node that a user was connected to knows when they disconnect, unless it dies. So the owner of the match pool looks
up, when a node falls silent and every thirty heartbeats, which users in a match are connected nowhere.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from chatd.cluster.cluster import Cluster
from chatd.core.errors import Refused
from chatd.core.health import Condition, Health
from chatd.core.identity import UserKey
from chatd.core.ids import NIL
from chatd.matching.matches import Matches
from chatd.matching.owned_pool import OwnedPool
from chatd.matching.tunables import MatchTunables

POLL_S = 0.25
# Heartbeats until a look-up that failed is repeated.
RETRY_LOOK_UP_BEATS = 2
# Time for which other nodes are remembered while the bus is unavailable.
PEERS_REMEMBERED_S = 600
# Time until the end of a match is tried again, if the database is unavailable.
RETRY_MS = 1000
# Users per request to the other nodes, and requests per look-up; the next look-up continues there.
PAGE_SIZE, MAX_PAGES = 500, 100
START = ("", NIL)
# Time without a failure after which the ends of matches have recovered.
RECOVERED_AFTER_S = 10.0


class DisconnectReaper:
    """Ends the matches of absent and banned users. `run` it in the background. Times are in milliseconds."""

    def __init__(
        self,
        matches: Matches,
        owned: OwnedPool,
        cluster: Cluster,
        clock: Callable[[], int],
        grace_ms: int,
        tunables: MatchTunables,
    ) -> None:
        self._matches = matches
        self._owned = owned
        self._cluster = cluster
        self._clock = clock
        self._grace_ms = grace_ms
        self._look_up_beats = tunables.disconnected_beats
        self._disconnected: dict[UserKey, int] = {}
        self._banned: dict[UserKey, int] = {}
        self._missing: dict[UserKey, int] = {}
        self._after = START
        self._condition = Condition("match endings", quiet_s=RECOVERED_AFTER_S)

    def on_disconnect(self, user: UserKey, until: int) -> None:
        """End the match of a user at `until`, because their last session on this node has ended."""
        self._disconnected[user] = until

    def on_reconnect(self, user: UserKey) -> None:
        self._disconnected.pop(user, None)
        self._missing.pop(user, None)

    def on_ban(self, user: UserKey) -> None:
        """End the match of the user at once."""
        self._banned[user] = self._clock()

    async def run(self, health: Health) -> None:
        health.add(self._condition)
        async with trio.open_nursery() as nursery:
            health.start(nursery, "missing match users", self._look_up_missing)
            while True:
                await trio.sleep(POLL_S)
                for user in take_due(self._disconnected, self._clock()):
                    nursery.start_soon(self._try, self._end_if_gone, user, self._disconnected)
                for user in take_due(self._banned, self._clock()):
                    nursery.start_soon(self._try, self._end_of_banned, user, self._banned)

    async def _try(self, end: Callable[[UserKey], Awaitable[None]], user: UserKey, waiting: dict[UserKey, int]) -> None:
        """End the match of a user; after a failure, try again later."""
        done = False
        with self._condition.watch(), suppress(Refused):
            await end(user)
            done = True
        if not done:
            waiting[user] = self._clock() + RETRY_MS

    async def _end_if_gone(self, user: UserKey) -> None:
        if await self._is_gone(user):
            await self._end(user, "disconnected")

    async def _is_gone(self, user: UserKey) -> bool:
        """Whether no node has a session of the user.

        Raises Refused if another node may have one and does not answer.
        """
        if self._cluster.is_healthy or self._cluster.peers(PEERS_REMEMBERED_S):
            return bool(await self._cluster.lookup.disconnected([user]))
        return not await self._cluster.lookup.is_connected(*user)

    async def _end_of_banned(self, user: UserKey) -> None:
        """Partners see the same as if the user had left: a ban is not disclosed. The banned user gets no event."""
        await self._end(user, "left", exclude_user=user[1])

    async def _end(self, user: UserKey, reason: str, *, exclude_user: str | None = None) -> None:
        """End the match of the user, if there is one; a user who has just reconnected is notified too.

        Raises Refused.
        """
        row = await self._matches.active(*user)
        if row is not None:
            await self._matches.end(user[0], row["match"], reason, exclude_user=exclude_user)

    # --- users of nodes that died ---------------------------------------------------------------------------------

    async def _look_up_missing(self) -> None:
        """Look up missing users until cancelled.

        A look-up that failed, because a node or the database did not answer, is repeated.
        """
        nodes: set[str] = set()
        has_owned, rest = False, self._look_up_beats
        while True:
            await trio.sleep(self._cluster.times.heartbeat)
            rest -= 1
            now_there, owns = set(self._cluster.peers(self._cluster.times.silence_s)), self._owned.held
            if owns and (nodes - now_there or not has_owned or rest <= 0):
                rest = self._look_up_beats if await self._note_missing() else RETRY_LOOK_UP_BEATS
            if owns:
                await self._end_of_missing()
            nodes, has_owned = now_there, owns

    async def _note_missing(self) -> bool:
        """Start the grace period of users who are connected nowhere. Returns whether all users could be looked up."""
        try:
            for _ in range(MAX_PAGES):
                users = await self._matches.page(self._after, PAGE_SIZE)
                for user in await self._cluster.lookup.disconnected(users):
                    self._missing.setdefault(user, self._clock() + self._grace_ms)
                self._after = users[-1] if len(users) == PAGE_SIZE else START
                if self._after == START:
                    break
        except Refused:
            return False
        return True

    async def _end_of_missing(self) -> None:
        """End the matches of users who have not reconnected to any node.

        If that is unknown, the next look-up finds them again.
        """
        users = take_due(self._missing, self._clock())
        try:
            for at in range(0, len(users), PAGE_SIZE):
                for user in await self._cluster.lookup.disconnected(users[at : at + PAGE_SIZE]):
                    await self._end(user, "disconnected")
        except Refused:
            return


def take_due(times: dict[UserKey, int], now: int) -> list[UserKey]:
    """Remove and return the users whose time has come."""
    users = [user for user, until in times.items() if until <= now]
    for user in users:
        del times[user]
    return users
