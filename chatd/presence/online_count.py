"""How many members of a conversation are online or away.

The number must not reveal what a member does not show to the asker. So in a small conversation it counts members whom
the asker may see, and in a large one members who show their presence to everybody; that number is the same for all
askers, and is cached.
"""

from collections import OrderedDict

import trio
from msgspec import Struct

from chatd.core.identity import UserKey
from chatd.db import queries
from chatd.db.postgres import Postgres, Row
from chatd.presence.local_presence import OFFLINE
from chatd.presence.service import Presence
from chatd.presence.subscriptions import Target

SQL = queries.load("presence/online_count")
# Numbers of large conversations.
MAX_CACHED = 1000


class CountTunables(Struct, frozen=True, kw_only=True):
    """Limits of the count.

    `max_small_members`: a conversation with more members is a large one. `cache_s`: how long the number of a large one
    is reused. `page_size`: members of a large one that are counted at a time.
    """

    max_small_members: int = 200
    cache_s: float = 10.0
    page_size: int = 1000


TUNABLES = CountTunables()


class OnlineCount:
    """Counts the members who are online or away. `count` may be called at any time; large conversations are counted one
    after the other.
    """

    def __init__(self, db: Postgres, presence: Presence, shown_to: str, tunables: CountTunables = TUNABLES) -> None:
        self._db = db
        self._presence = presence
        self._shown_to = shown_to
        self._tunables = tunables
        self._cache: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self._counting = trio.Lock()

    async def count(self, tenant: str, conversation: str, asker: str) -> tuple[int, int]:
        """Returns how many members are online or away, and how many members there are. Raises Refused."""
        members: int = await self._db.value(SQL.count_members, tenant, conversation) or 0
        if members <= self._tunables.max_small_members:
            return await self._count_for(tenant, conversation, asker), members
        key = (tenant, conversation)
        async with self._counting:
            at, online = self._cache.get(key, (float("-inf"), 0))
            if trio.current_time() - at >= self._tunables.cache_s:
                online = await self._count_for_everybody(tenant, conversation)
                self._cache[key] = (trio.current_time(), online)
                self._cache.move_to_end(key)
                if len(self._cache) > MAX_CACHED:
                    self._cache.popitem(last=False)
        return online, members

    async def _count_for(self, tenant: str, conversation: str, asker: str) -> int:
        rows = await self._page(tenant, conversation, None, 2 * self._tunables.max_small_members)
        targets = [Target((tenant, row["user"]), row["alias"]) for row in rows]
        levels = await self._presence.levels([target.user for target in targets])
        present = [target for target in targets if levels[target.user] > OFFLINE]
        return len(await self._presence.visibility.visible((target, asker) for target in present))

    async def _count_for_everybody(self, tenant: str, conversation: str) -> int:
        online, after = 0, None
        while True:
            rows = await self._page(tenant, conversation, after, self._tunables.page_size)
            users: list[UserKey] = [(tenant, row["user"]) for row in rows if row["visible_to_all"]]
            online += sum(level > OFFLINE for level in (await self._presence.levels(users)).values())
            if len(rows) < self._tunables.page_size:
                return online
            after = rows[-1]["user"]

    async def _page(self, tenant: str, conversation: str, after: str | None, limit: int) -> list[Row]:
        return await self._db.all(SQL.page_members, tenant, conversation, self._shown_to, after, limit)
