"""Notifies the indexer of the conversations to which this node has sent messages, by NOTIFY of Postgres.

One notification contains many conversations, and the change is committed before it is noted. So sending a message costs
a node one entry in a dictionary, and the indexer may run in this process, in another one, or on another machine. A lost
notification delays a message until the sweep finds its conversation (`search/indexer.py`).
"""

from collections.abc import Mapping

import trio

from chatd.cluster.signals import EventSent
from chatd.conversations.events import MessageNew, MessageUpdate
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.search.backlog import MAX_NOTED, Place
from chatd.search.notifications import CHANNEL, payloads
from chatd.wire.connection_events import Behind

SQL = queries.load("search/search_notices")
# The time after an event until it is announced, together with those that follow in between.
GATHER_S = 0.2
RETRY_S = 1.0


class Notices:
    """See the module."""

    def __init__(self, db: Postgres, *, gather_s: float = GATHER_S) -> None:
        self._db = db
        self._gather_s = gather_s
        # The number of changes by conversation.
        self._noted: dict[Place, int] = {}
        self._news = trio.Event()

    def note(self, signal: EventSent) -> None:
        """Note a conversation with a committed message. The sweep finds those beyond the limit."""
        if isinstance(signal.event, MessageNew | MessageUpdate | Behind):
            place = (signal.tenant, signal.conversation)
            if place in self._noted:
                self._noted[place] += 1
            elif len(self._noted) < MAX_NOTED:
                self._noted[place] = 1
                self._news.set()

    async def run(self) -> None:
        """Run forever. While the database is unavailable, conversations are kept and announced later."""
        while True:
            await self._news.wait()
            await trio.sleep(self._gather_s)
            self._news = trio.Event()
            noted, self._noted = self._noted, {}
            try:
                await self._db.all(SQL.announce, CHANNEL, list(payloads(noted)))
            except Refused:
                self._keep(noted)
                await trio.sleep(RETRY_S)

    def _keep(self, noted: Mapping[Place, int]) -> None:
        for place, changes in noted.items():
            if place in self._noted or len(self._noted) < MAX_NOTED:
                self._noted[place] = self._noted.get(place, 0) + changes
        self._news.set()
