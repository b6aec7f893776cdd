"""Who is in a match and not connected: after the grace it is over, and the partners are told.

The node that somebody was connected to knows when they have gone. When that node is dead nobody does; so the owner of the match
pool looks, when a node falls silent and every half minute, who of those in a match is connected nowhere.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from chatd.cluster.bus import SILENCE
from chatd.cluster.cluster import Cluster
from chatd.core.errors import Refused
from chatd.core.health import Condition, Health
from chatd.core.ids import NIL
from chatd.matching.announcements import User
from chatd.matching.matches import Meetings

TICK = 0.25
# Seconds between two looks when nothing happens, and after one that could not be taken.
LOOK_EVERY, LOOK_AGAIN = 30, 2
# Seconds that other nodes are remembered while nothing is heard of anybody.
OTHERS = 600
# Milliseconds until the next attempt, when the database is away.
AGAIN = 1000
# Users asked for at once, and how many of these questions one look may ask; the next look goes on from there.
PAGE, MOST_PAGES = 500, 100
START = ("", NIL)
# Seconds without a failure after which the ends of matches count as well.
QUIET_S = 10.0


class Absences:
    """`run` it. `owns`: whether the pool is ours. Times in milliseconds."""

    def __init__(
        self, meetings: Meetings, cluster: Cluster, clock: Callable[[], int], grace: int, owns: Callable[[], bool]
    ) -> None:
        self._meetings = meetings
        self._cluster = cluster
        self._clock = clock
        self._grace = grace
        self._owns = owns
        self._away: dict[User, int] = {}
        self._banned: dict[User, int] = {}
        self._missing: dict[User, int] = {}
        self._after = START
        self._condition = Condition("ends of matches", quiet_s=QUIET_S)

    def gone(self, user: User, until: int) -> None:
        """The last session here has ended."""
        self._away[user] = until

    def came(self, user: User) -> None:
        self._away.pop(user, None)
        self._missing.pop(user, None)

    def ban(self, user: User) -> None:
        """Their match is over at once."""
        self._banned[user] = self._clock()

    async def run(self, health: Health) -> None:
        health.add(self._condition)
        async with trio.open_nursery() as nursery:
            health.start(nursery, "match lookout", self._look_out)
            while True:
                await trio.sleep(TICK)
                for user in due(self._away, self._clock()):
                    nursery.start_soon(self._try, self._end_of_gone, user, self._away)
                for user in due(self._banned, self._clock()):
                    nursery.start_soon(self._try, self._end_of_banned, user, self._banned)

    async def _try(self, end: Callable[[User], Awaitable[None]], user: User, waiting: dict[User, int]) -> None:
        """End the match of a user; when that fails, wait and try again."""
        done = False
        with self._condition.watch(), suppress(Refused):
            await end(user)
            done = True
        if not done:
            waiting[user] = self._clock() + AGAIN

    async def _end_of_gone(self, user: User) -> None:
        if await self._is_gone(user):
            await self._end(user, "disconnected")

    async def _is_gone(self, user: User) -> bool:
        """Whether nobody has them. Raises Refused where there are others who may, and cannot be asked."""
        if self._cluster.well or self._cluster.peers(OTHERS):
            return bool(await self._cluster.lookup.disconnected([user]))
        return not await self._cluster.lookup.is_connected(*user)

    async def _end_of_banned(self, user: User) -> None:
        """The partner does not learn of a ban: it looks as if they had left. Nor does the banned one hear of it."""
        await self._end(user, "left", but=user[1])

    async def _end(self, user: User, reason: str, *, but: str | None = None) -> None:
        """The match that they are in, if there is one. Who comes back in that moment hears it as well. Raises Refused."""
        row = await self._meetings.active(*user)
        if row is not None:
            await self._meetings.end(user[0], row["match"], reason, but=but)

    # --- whom nobody has seen go ----------------------------------------------------------------------------------------

    async def _look_out(self) -> None:
        """For ever. A look that could not be taken, because a node did not answer or the database is away, is taken again."""
        nodes: set[str] = set()
        owned, rest = False, LOOK_EVERY
        while True:
            await trio.sleep(1)
            rest -= 1
            now_there, owns = set(self._cluster.peers(SILENCE)), self._owns()
            if owns and (nodes - now_there or not owned or rest <= 0):
                rest = LOOK_EVERY if await self._look() else LOOK_AGAIN
            if owns:
                await self._end_of_missing()
            nodes, owned = now_there, owns

    async def _look(self) -> bool:
        """Whether everybody could be asked. Whoever is missing has the grace to come back."""
        try:
            for _ in range(MOST_PAGES):
                users = await self._meetings.page(self._after, PAGE)
                for user in await self._cluster.lookup.disconnected(users):
                    self._missing.setdefault(user, self._clock() + self._grace)
                self._after = users[-1] if len(users) == PAGE else START
                if self._after == START:
                    break
        except Refused:
            return False
        return True

    async def _end_of_missing(self) -> None:
        """Those who have not come back anywhere; where that cannot be known, the next look finds them again."""
        users = due(self._missing, self._clock())
        try:
            for at in range(0, len(users), PAGE):
                for user in await self._cluster.lookup.disconnected(users[at : at + PAGE]):
                    await self._end(user, "disconnected")
        except Refused:
            return


def due(times: dict[User, int], now: int) -> list[User]:
    """Take out those whose time has come."""
    users = [user for user, until in times.items() if until <= now]
    for user in users:
        del times[user]
    return users
