"""How many members of a conversation are there. In a large one nobody is told who.

A number must not say of one person what that person does not show to the asker. So in a small conversation those count whom the
asker may see, and in a large one those who show themselves to everybody; that number is the same for all who ask, and kept for
some seconds.
"""

from collections import OrderedDict

import trio

from chatd.db import queries
from chatd.db.postgres import Postgres, Row
from chatd.presence.local_presence import GONE, User
from chatd.presence.service import Presence
from chatd.presence.watchers import Target

SQL = queries.load("presence/headcount")
# Up to so many members it is looked up who may be seen by the asker.
SMALL = 200
# Seconds for which a number of a large conversation is kept, and how many of them.
FRESH = 10.0
MOST_KEPT = 1000
PAGE = 1000


class Headcount:
    """`count` may be called at any time; large conversations are counted one after the other."""

    def __init__(self, db: Postgres, presence: Presence, shown_to: str) -> None:
        self._db = db
        self._presence = presence
        self._shown_to = shown_to
        self._kept: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self._counting = trio.Lock()

    async def count(self, tenant: str, conversation: str, asker: str) -> tuple[int, int]:
        """How many are there (away or online), and how many members there are. Raises Refused."""
        members: int = await self._db.value(SQL.size, tenant, conversation) or 0
        if members <= SMALL:
            return await self._count_for(tenant, conversation, asker), members
        key = (tenant, conversation)
        async with self._counting:
            at, online = self._kept.get(key, (float("-inf"), 0))
            if trio.current_time() - at >= FRESH:
                online = await self._count_for_everybody(tenant, conversation)
                self._kept[key] = (trio.current_time(), online)
                self._kept.move_to_end(key)
                if len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
        return online, members

    async def _count_for(self, tenant: str, conversation: str, asker: str) -> int:
        rows = await self._page(tenant, conversation, None, 2 * SMALL)
        targets = [Target((tenant, row["user"]), row["alias"]) for row in rows]
        ranks = await self._presence.ranks([target.user for target in targets])
        there = [target for target in targets if ranks[target.user] > GONE]
        return len(await self._presence.sight.visible((target, asker) for target in there))

    async def _count_for_everybody(self, tenant: str, conversation: str) -> int:
        online, after = 0, None
        while True:
            rows = await self._page(tenant, conversation, after, PAGE)
            users: list[User] = [(tenant, row["user"]) for row in rows if row["open"]]
            online += sum(rank > GONE for rank in (await self._presence.ranks(users)).values())
            if len(rows) < PAGE:
                return online
            after = rows[-1]["user"]

    async def _page(self, tenant: str, conversation: str, after: str | None, limit: int) -> list[Row]:
        return await self._db.all(SQL.members, tenant, conversation, self._shown_to, after, limit)
