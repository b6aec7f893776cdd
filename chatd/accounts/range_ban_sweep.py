"""A ban on a range of addresses closes the sockets that come from there, on every node. See `bans.py` for how ranges are kept.

Which sessions are meant is worked out only when there is such a ban: each address has a keyed hash for every range around it.
"""

from collections.abc import Callable
from contextlib import suppress

import trio

from chatd.accounts.bans import address_hashes
from chatd.cluster.cluster import Cluster
from chatd.cluster.control_messages import ControlMessage
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.realtime.hub import Hub

SQL = queries.load("accounts/bans")
# Seconds between two looks into Postgres, which find what no order told of, and whoever was just coming in.
PATROL = 10
# Milliseconds that a ban is looked for: whoever came in later than that was refused at the door.
RECENT = 300_000
# After so many sessions in a row the other tasks get a turn.
SESSIONS_PER_TURN = 100


class CloseRange(ControlMessage, array_like=True, tag="close-range"):
    """Close the sessions from a range of addresses. `hash`: as stored. `at`: when the ban was committed, in milliseconds."""

    tenant: str
    hash: bytes
    at: int

    async def apply(self, cluster: Cluster) -> None:
        await cluster.services.get(RangeBans).close(self.tenant, self.hash, self.at)


class RangeBans:
    """`run` it."""

    def __init__(self, config: Config, db: Postgres, hub: Hub, clock: Callable[[], int]) -> None:
        self._config = config
        self._db = db
        self._hub = hub
        self._clock = clock

    async def run(self) -> None:
        """For ever: an order can be lost without a trace, a ban must not be."""
        while True:
            await trio.sleep(PATROL)
            with suppress(Refused):
                await self._look()

    async def _look(self) -> None:
        """Raises Refused."""
        tenants, now = list({session.tenant for session in self._hub.connections.by_id.values()}), self._clock()
        for row in await self._db.all(SQL.recent_ranges, tenants, now, now - RECENT):
            await self.close(row["tenant"], row["address_hash"], row["at"])

    async def close(self, tenant: str, hash_: bytes, at: int) -> None:
        meant: dict[str, bool] = {}
        found = []
        for turn, session in enumerate(list(self._hub.connections.by_id.values()), start=1):
            if session.tenant == tenant:
                if session.address not in meant:
                    meant[session.address] = hash_ in address_hashes(self._config, session.address)
                if meant[session.address]:
                    found.append(session)
            if turn % SESSIONS_PER_TURN == 0:
                await trio.lowlevel.checkpoint()
        self._hub.close_some(found, "banned", at=at)
